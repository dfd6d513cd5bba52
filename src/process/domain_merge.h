// DomainMerge: facts of one domain in, current rows out. The first operator of every plan.
//
// Facts are merged per row key with what is known of it (row_state.h). Tables whose updates never leave a value out keep
// no state: each fact is its row's image, and the stores keep the newest. Once a (client, domain) keeps state it goes on
// doing so, since rows changed in between would be unknown.
//
// Per round:
//   DomainMerge merge(...);
//   merge.add(batch); …                      // in log order
//   ASSIGN_OR_RETURN(MergeOutput out, merge.run(state, relation));
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "contracts/keyed_state.h"
#include "contracts/view_plan.h"
#include "model/event_batch.h"

namespace tributary {

// Operator ids in state keys. Stored: never reuse one (docs/formats/state.md).
enum class StateOperator : uint16_t { kMergedRow = 1, kFloor = 2, kParked = 3, kDeadLetter = 4, kStateful = 5 };

// Rows of a domain, of any number of clients, laid out as its relation.
struct MergedRows {
  std::vector<ClientId> clients;
  std::vector<uint32_t> client_of_row;  // index into clients
  std::vector<Column> columns;          // as the relation's; of rows that are gone only the key columns have values
  std::vector<std::string> keys;
  std::vector<Position> positions;
  std::vector<uint32_t> fills;

  size_t rows() const { return keys.size(); }
};

// What is older than `position` and in [low, high) of a client's domain is gone.
struct RaisedFloor {
  ClientId client;
  std::string domain;
  Position position;
  std::string low;
  std::string high;
};

struct ParkedRow {
  ClientId client;
  std::string table;
  std::string key;
};

struct MergeOutput {
  MergedRows live;                   // complete rows that are new or changed
  MergedRows gone;                   // rows that were deleted
  std::vector<RaisedFloor> floors;   // take effect on rows that earlier rounds gave out
  std::vector<ParkedRow> parked;     // newly waiting for a value
};

using FindSchema = std::function<Result<SchemaPtr>(const ClientId&, const std::string& table, uint32_t version)>;

class DomainMerge {
 public:
  DomainMerge(std::string domain, FindSchema find_schema)
      : domain_(std::move(domain)), find_schema_(std::move(find_schema)) {}

  void add(EventBatch batch) { batches_.push_back(std::move(batch)); }
  bool empty() const { return batches_.empty(); }

  // Merges what was added and forgets it. `relation` has a column for every column of the batches' schemas that is to be
  // kept; others are dropped.
  Result<MergeOutput> run(KeyedState& state, const Relation& relation);

 private:
  std::string domain_;
  FindSchema find_schema_;
  std::vector<EventBatch> batches_;
};

}  // namespace tributary
