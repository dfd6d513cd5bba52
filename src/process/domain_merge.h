// DomainMerge: facts of one domain in, current rows out. The first operator of every plan.
//
// Facts are merged per row key with what is known of it (row_state.h). Tables whose updates never leave a value out keep
// no state: each fact is its row's image, and the stores keep the newest. Once a (client, domain) keeps state it goes on
// doing so, since rows changed in between would be unknown. With `keep_rows` state is kept from the start, and every change
// comes with the row as it was, for operators that must take back what they made of it.
//
// A range fact (TRUNCATE, the absences of a snapshot) is known at once, and with `keep_rows` the rows that it voids are
// looked for piece by piece, in sweeps: at most `sweep_rows_max` a round.
//
// Per round:
//   DomainMerge merge({.domain = "orders"}, find_schema);
//   merge.add(batch); …                      // in log order; batches live until run() returns
//   ASSIGN_OR_RETURN(MergeOutput out, merge.run(state, relation));
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "contracts/keyed_state.h"
#include "contracts/view_plan.h"
#include "model/event_batch.h"
#include "process/state_operators.h"
#include "process/sweep.h"

namespace tributary {

// Rows of a domain, of any number of clients, laid out as its relation.
struct MergedRows {
  std::vector<ClientId> clients;
  std::vector<uint32_t> client_of_row;  // index into clients
  std::vector<Column> columns;  // as the relation's; of rows that are gone only the key columns have values
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
  MergedRows live;  // complete rows that are new or changed
  MergedRows gone;  // rows that were deleted
  MergedRows before;  // keep_rows: rows of changed keys as the round before left them
  std::vector<RaisedFloor> floors;  // take effect on rows that earlier rounds gave out
  std::vector<ParkedRow> parked;  // newly waiting for a value
  std::map<ClientId, Sweeps> sweeps_before;  // keep_rows: of clients that had or got some, at the begin of the round
  // … and now. Under which attributes a row counts: of a client without state none, since no sweep will come by its rows.
  std::map<ClientId, Sweeps> sweeps;
  std::map<ClientId, bool> sweeping;  // of those clients: whether sweeps are left
  bool pending = false;  // sweeps are left
  bool again = false;  // rows are given out, as they are, because that is wanted once more (keep_rows)
  std::set<ClientId> all_again;  // … all of these clients', from this round on
};

using FindSchema = std::function<Result<SchemaPtr>(const ClientId&, const std::string& table, uint32_t version)>;

struct MergeOptions {
  std::string domain;
  std::string state_name;  // of its entries in the keyed state; empty: the domain's
  bool keep_rows = false;
  bool facts_again = false;  // rows that facts are about are given out whether or not they change
  size_t sweep_rows_max = 5000;
  std::vector<uint8_t> used_columns;  // by relation column, 1: given out; others stay without rows. Empty: all are
};

class DomainMerge {
 public:
  DomainMerge(MergeOptions options, FindSchema find_schema)
      : options_(std::move(options)), find_schema_(std::move(find_schema)) {
    if (options_.state_name.empty()) options_.state_name = options_.domain;
  }

  // `batch` is referred to until run() returns.
  void add(const EventBatch& batch) { batches_.push_back(&batch); }
  // The client's sweeps go on in this round. `table` feeds the domain.
  void go_on(const ClientId& client, const std::string& table) { sweeping_.emplace_back(client, table); }
  // The row is given out again as it is, if it is there (keep_rows).
  void touch(const ClientId& client, const std::string& table, std::string key) {
    touched_.push_back({client, table, std::move(key)});
  }
  bool empty() const { return batches_.empty() && sweeping_.empty() && touched_.empty(); }

  // Merges what was added and forgets it. `relation` has a column for every column of the batches' schemas that is to be
  // kept; others are dropped.
  Result<MergeOutput> run(KeyedState& state, const Relation& relation);

  // Has the rows of one client's domain that are kept looked at again, since its attributes changed. `old_attributes` is
  // what they were.
  static Status sweep_attributes(KeyedState& state, const std::string& state_name, const ClientId& client,
                                 std::string old_attributes);
  // Has all rows of one client's domain that are kept given out again as they are.
  static Status sweep_again(KeyedState& state, const std::string& state_name, const ClientId& client);
  // The client's sweeps that are left.
  static Result<Sweeps> sweeps(KeyedState& state, const std::string& state_name, const ClientId& client);

 private:
  MergeOptions options_;
  FindSchema find_schema_;
  std::vector<const EventBatch*> batches_;
  std::vector<std::pair<ClientId, std::string>> sweeping_;
  std::vector<ParkedRow> touched_;
};

}  // namespace tributary
