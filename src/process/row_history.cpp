#include "process/row_history.h"

#include <algorithm>

namespace tributary {
namespace {

constexpr int keys_max = 100;  // that one row had, one after the other

struct Fact {
  const EventBatch* batch;
  size_t row;
  const Position& position() const { return batch->positions[row]; }
  Op op() const { return batch->ops[row]; }
};

// Those about `key`, the newest first.
std::vector<Fact> facts_about(const std::string& key, const std::vector<EventBatch>& batches) {
  std::vector<Fact> facts;
  for (const EventBatch& batch : batches) {
    for (size_t row = 0; row < batch.rows(); ++row) {
      if (batch.row_key(row) == key) facts.push_back({&batch, row});
    }
  }
  std::stable_sort(facts.begin(), facts.end(),
                   [](const Fact& a, const Fact& b) { return a.position() > b.position(); });
  return facts;
}

// What a row still lacks; `cells` are of `schema`.
class Missing {
 public:
  Missing(SchemaPtr schema, std::vector<Column>& cells) : schema_(std::move(schema)), cells_(cells) {}

  bool none() const {
    return std::all_of(cells_.begin(), cells_.end(),
                       [](const Column& cell) { return cell.state(0) != CellState::kAbsent; });
  }

  void fill_from(const Fact& fact) {
    for (size_t i = 0; i < cells_.size(); ++i) {
      if (cells_[i].state(0) != CellState::kAbsent) continue;
      auto index = fact.batch->schema->find(schema_->columns[i].name);
      if (!index) continue;
      const Column& from = fact.batch->columns[*index];
      if (from.type() != cells_[i].type() || from.state(fact.row) == CellState::kAbsent) continue;
      cells_[i].clear();
      cells_[i].append_from(from, fact.row);
    }
  }

 private:
  SchemaPtr schema_;
  std::vector<Column>& cells_;
};

// Fills from facts before `before`, back to where the row began. Gives the key that it had before that; empty: none.
std::string fill_back(const std::vector<Fact>& facts, const Position& before, bool including, Missing& missing,
                      Position& moved_at) {
  for (const Fact& fact : facts) {
    if (fact.position() > before || (!including && fact.position() == before)) continue;
    if (fact.op() == Op::kDelete) return {};
    missing.fill_from(fact);
    if (missing.none() || fact.op() == Op::kSnapshot) return {};
    if (fact.op() != Op::kCreate) continue;
    const std::string* from = fact.batch->moved_key(fact.row);
    moved_at = fact.position();
    return from == nullptr ? std::string() : *from;
  }
  return {};
}

}  // namespace

Result<std::optional<EventBatch>> complete_row(const std::string& key, const FactsOfKey& facts_of) {
  ASSIGN_OR_RETURN(std::vector<EventBatch> batches, facts_of(key));
  std::vector<Fact> facts = facts_about(key, batches);
  if (facts.empty() || facts[0].op() == Op::kDelete) return std::optional<EventBatch>();
  const EventBatch& newest = *facts[0].batch;
  size_t row = facts[0].row;
  EventBatch whole(newest.client, newest.domain, newest.schema);
  for (size_t i = 0; i < newest.columns.size(); ++i) whole.columns[i].append_from(newest.columns[i], row);
  Missing missing(newest.schema, whole.columns);
  if (missing.none()) return std::optional<EventBatch>();
  Position before = newest.positions[row];
  std::string from = fill_back(facts, before, true, missing, before);
  for (int i = 0; i < keys_max && !missing.none() && !from.empty(); ++i) {
    ASSIGN_OR_RETURN(std::vector<EventBatch> older, facts_of(from));
    from = fill_back(facts_about(from, older), before, false, missing, before);
  }
  if (!missing.none()) return std::optional<EventBatch>();
  Position position = newest.positions[row];
  position.ordinal |= ordinal_completed;
  whole.ops.push_back(Op::kSnapshot);
  whole.positions.push_back(position);
  whole.commit_micros.push_back(newest.commit_micros[row]);
  whole.transactions.push_back(newest.transactions[row]);
  return std::optional(std::move(whole));
}

}  // namespace tributary
