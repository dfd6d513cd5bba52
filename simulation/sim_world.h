// The clients' tables, and the facts of what happens to them.
#pragma once

#include <map>

#include "model/event_batch.h"
#include "sim_case.h"

namespace tributary::simulation {

struct Fact {
  uint32_t client = 0;
  uint32_t domain = 0;
  uint32_t version = 1;  // of the table's schema
  Op op = Op::kCreate;
  Position position;
  int64_t key = 0;
  std::vector<Value> values;         // of the columns that are no key
  std::set<uint32_t> left_out;       // columns
  std::optional<int64_t> moved;
  std::optional<RangeFact> range;    // then nothing else
};

// One that is on its way, until step `due`.
struct Delayed {
  size_t due = 0;
  Fact fact;
};

class World {
 public:
  explicit World(const SimCase& sim);

  // Does what the step says, where it can be done, and gives the facts. `kinds` gets what kinds of change it was.
  std::vector<Fact> apply(const Step& step, std::set<std::string>& kinds);

  const std::map<int64_t, std::vector<Value>>& table(uint32_t client, uint32_t domain) const {
    return tables_.at({client, domain});
  }
  // Versions 1 and 2, which are the same where the domain does not grow.
  const SchemaPtr& schema(uint32_t domain, uint32_t version) const { return schemas_[2 * domain + version - 1]; }
  uint32_t version(uint32_t client, uint32_t domain) const { return versions_.at({client, domain}); }
  // Rows that were there before the capture began and that no fact has told of, as the snapshot tells of them.
  std::vector<Fact> snapshot_of_unseen();
  // The row as it is, as a snapshot would read it, or its absence.
  Fact read_again(uint32_t client, uint32_t domain, std::string_view row_key);

  void append(EventBatch& batch, const Fact& fact) const;
  std::string row_key(uint32_t domain, int64_t key) const;
  // All cells of a row as SQL text, in the columns' order.
  std::vector<Value> cells(uint32_t domain, int64_t key, const std::vector<Value>& values) const;

 private:
  Fact read_now(uint32_t client, uint32_t domain);
  using Row = std::vector<Value>;

  const SimCase& sim_;
  std::vector<Fact> snapshot(const Step& step);
  void grow(uint32_t client, uint32_t domain, std::set<std::string>& kinds);

  std::vector<SchemaPtr> schemas_;
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> versions_;
  std::map<std::pair<uint32_t, uint32_t>, std::map<int64_t, Row>> tables_;
  std::map<std::pair<uint32_t, uint32_t>, std::set<int64_t>> deleted_once_;
  std::set<std::tuple<uint32_t, uint32_t, int64_t>> unseen_;  // client, domain, key
  uint64_t commit_ = 1;
};

// Appends a value given as SQL text.
void append_text_value(Column& column, const Value& value);

}  // namespace tributary::simulation
