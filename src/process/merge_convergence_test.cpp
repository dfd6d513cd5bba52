// Whatever the order, duplication and grouping of the facts about a table, the rows that come out are the table's.
//
// A small table lives through a random history: inserts, updates that leave an unchanged value out, deletes, key changes,
// TRUNCATE, and a snapshot that may see more than has been delivered. Its facts are then delivered shuffled, repeated and cut
// into rounds. What came out is kept as a store does: the greatest version of a key, and nothing below a withdrawal.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>

#include "process/domain_merge.h"
#include "process/memory_state.h"
#include "process/row_state.h"

namespace tributary {
namespace {

const ClientId client{"acme"};

SchemaPtr shop_schema(bool toast) {
  TableSchema schema;
  schema.table = "public.orders";
  schema.version = 1;
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                    {"amount", {TypeId::kInt32}, "integer", false, false},
                    {"note", {TypeId::kText}, "text", false, toast}};
  schema.key_columns = {0};
  return std::make_shared<const TableSchema>(schema);
}

Relation shop_relation() {
  return {"orders", {{"id", {TypeId::kInt64}, false}, {"amount", {TypeId::kInt32}}, {"note", {TypeId::kText}}}, {"id"}};
}

struct Row {
  int32_t amount;
  std::string note;
  bool operator==(const Row&) const = default;
};
using Table = std::map<int64_t, Row>;

struct Fact {
  Op op = Op::kCreate;
  Position position;
  int64_t id = 0;
  int32_t amount = 0;
  std::optional<std::string> note;  // nullopt: left out
  std::optional<int64_t> moved;
  std::optional<RangeFact> range;  // then nothing else
};

std::string key_of(int64_t id) {
  Column column({TypeId::kInt64});
  column.append_fixed(id);
  EventBatch batch(client, "orders", shop_schema(true));
  batch.columns[0] = column;
  return batch.row_key(0);
}

void append(EventBatch& batch, const Fact& fact) {
  if (fact.range) {
    batch.ranges.push_back(*fact.range);
    return;
  }
  if (fact.moved) batch.moved.push_back({static_cast<uint32_t>(batch.rows()), key_of(*fact.moved)});
  batch.ops.push_back(fact.op);
  batch.positions.push_back(fact.position);
  batch.commit_micros.push_back(0);
  batch.transactions.push_back(0);
  batch.columns[0].append_fixed(fact.id);
  if (fact.op == Op::kDelete) {
    batch.columns[1].append_absent();
    batch.columns[2].append_absent();
    return;
  }
  batch.columns[1].append_fixed(fact.amount);
  if (fact.note) {
    batch.columns[2].append_bytes(*fact.note);
  } else {
    batch.columns[2].append_absent();
  }
}

// A table, its facts in commit order, and what the table holds in the end.
struct History {
  std::vector<Fact> facts;
  Table table;
  uint64_t commit = 1;

  void run(std::mt19937_64& random, int steps, bool toast) {
    auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint64_t>(n)); };
    auto any_row = [&] { return std::next(table.begin(), below(static_cast<int>(table.size()))); };
    for (int step = 0; step < steps; ++step) {
      Position position{1, commit++, 5, 0};
      int64_t id = below(6);
      bool known = table.contains(id);
      switch (below(12)) {
        case 0:
        case 1:
        case 2:
          if (known) break;
          table[id] = {below(1000), "note" + std::to_string(below(1000))};
          facts.push_back({Op::kCreate, position, id, table[id].amount, table[id].note});
          break;
        case 3:
        case 4:
        case 5: {
          if (!known) break;
          table[id].amount = below(1000);
          bool keep = toast && below(2) == 0;
          if (!keep) table[id].note = "changed" + std::to_string(below(1000));
          facts.push_back(
              {Op::kUpdate, position, id, table[id].amount, keep ? std::nullopt : std::optional(table[id].note)});
          break;
        }
        case 6:
          if (!known) break;
          table.erase(id);
          facts.push_back({Op::kDelete, position, id});
          break;
        case 7:
        case 8: {
          if (table.empty()) break;
          auto from = any_row();
          if (known || from->first == id) break;
          Row row = from->second;
          if (below(2) == 0) row.amount = below(1000);  // a key change may change more than the key
          facts.push_back({Op::kDelete, position, from->first, 0, std::nullopt, id});
          facts.push_back(
              {Op::kCreate, position, id, row.amount, toast ? std::nullopt : std::optional(row.note), from->first});
          table.erase(from);
          table[id] = row;
          break;
        }
        case 9: {
          if (below(4) != 0) break;
          table.clear();
          Fact fact;
          fact.range = RangeFact{RangeKind::kTruncate, position, "", "", 0, 0};
          facts.push_back(fact);
          break;
        }
        case 10: {  // a chunk: rows as of a position that may be older than what the read saw
          uint64_t behind = std::min<uint64_t>(commit - 1, static_cast<uint64_t>(below(3)));
          bool may_be_older = behind > 0;
          Position as_of = Position::end_of_commit(1, commit - 1 - behind);
          if (may_be_older && !facts.empty()) as_of = Position::end_of_commit(1, commit - 1 - behind);
          for (const auto& [key, row] : table) facts.push_back({Op::kSnapshot, as_of, key, row.amount, row.note});
          Fact fact;
          fact.range = RangeFact{RangeKind::kAbsence, as_of, "", "", 0, 0};
          facts.push_back(fact);
          break;
        }
        default: break;
      }
    }
  }
};

// What a versioned store keeps.
struct Store {
  struct Kept {
    Version version;
    bool deleted = false;
    Row row;
  };
  bool stateful;  // else two reads of one row under one position may differ, and a later fact settles it
  std::map<std::string, Kept> rows;
  std::map<std::string, int64_t> ids;

  void write(const std::string& key, Kept kept) {
    auto at = rows.find(key);
    if (at == rows.end() || at->second.version < kept.version) {
      rows[key] = std::move(kept);
    } else if (stateful && at->second.version == kept.version && !kept.deleted && !at->second.deleted) {
      EXPECT_EQ(at->second.row, kept.row) << "two contents under one version";
    }
  }

  void take(const MergeOutput& out) {
    for (const RaisedFloor& floor : out.floors) {
      Version below = Version::of_row(floor.position, 0, 0);
      for (auto& [key, kept] : rows) {
        if (kept.version < below) kept.deleted = true;
      }
    }
    for (size_t i = 0; i < out.live.rows(); ++i) {
      const auto& columns = out.live.columns;
      EXPECT_TRUE(columns[2].is_value(i));
      ids[out.live.keys[i]] = columns[0].fixed<int64_t>(i);
      write(out.live.keys[i], {Version::of_row(out.live.positions[i], 1, out.live.fills[i]),
                               false,
                               {columns[1].fixed<int32_t>(i), std::string(columns[2].bytes(i))}});
    }
    for (size_t i = 0; i < out.gone.rows(); ++i) {
      write(out.gone.keys[i], {Version::of_row(out.gone.positions[i], 1, out.gone.fills[i]), true, {}});
    }
  }

  Table table() const {
    Table out;
    for (const auto& [key, kept] : rows) {
      if (!kept.deleted) out[ids.at(key)] = kept.row;
    }
    return out;
  }
};

enum class Delivery { kInOrder, kShuffled };

// What rows that go and come add up to (keep_rows): each that goes was there as it says.
struct Followed {
  std::map<std::string, Row> rows;  // by key

  static Row row_at(const MergedRows& merged, size_t row) {
    return {merged.columns[1].fixed<int32_t>(row), std::string(merged.columns[2].bytes(row))};
  }
  void take(const MergeOutput& out) {
    for (size_t i = 0; i < out.before.rows(); ++i) {
      auto at = rows.find(out.before.keys[i]);
      ASSERT_NE(at, rows.end()) << "a row goes that was not there";
      ASSERT_EQ(at->second, row_at(out.before, i));
      rows.erase(at);
    }
    for (size_t i = 0; i < out.live.rows(); ++i) {
      ASSERT_TRUE(rows.emplace(out.live.keys[i], row_at(out.live, i)).second) << "a row comes that is there";
    }
  }
  void expect(const Table& table) const {
    ASSERT_EQ(rows.size(), table.size());
    for (const auto& [id, row] : table) ASSERT_EQ(rows.at(key_of(id)), row);
  }
};

Table deliver(std::vector<Fact> facts, const History& history, std::mt19937_64& random, Delivery delivery, bool toast,
              bool keep_rows) {
  auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  if (delivery == Delivery::kShuffled) {
    size_t original = facts.size();
    for (size_t i = 0; i < original / 3; ++i) facts.push_back(facts[below(original)]);
    std::shuffle(facts.begin(), facts.end(), random);
  }
  SchemaPtr schema = shop_schema(toast);
  MemoryState state;
  Store store{toast, {}, {}};
  DomainMerge merge({.domain = "orders", .state_name = {}, .keep_rows = keep_rows, .sweep_rows_max = 2},
                    [&](const ClientId&, const std::string&, uint32_t) -> Result<SchemaPtr> { return schema; });
  Followed followed;
  bool pending = false;
  std::map<std::string, bool> parked;
  auto round = [&](const std::vector<Fact>& some) {
    std::deque<EventBatch> batches(1, EventBatch(client, "orders", schema));
    for (const Fact& fact : some) {
      append(batches.back(), fact);
      if (below(3) == 0) batches.emplace_back(client, "orders", schema);
    }
    for (const EventBatch& batch : batches) merge.add(batch);
    if (pending && below(2) == 0) merge.go_on(client, schema->table);
    auto out = merge.run(state, shop_relation());
    ASSERT_TRUE(out.ok()) << out.error().to_string();
    store.take(*out);
    if (keep_rows) followed.take(*out);
    pending = out->pending || (pending && out->sweeps.empty());
  };
  for (size_t at = 0; at < facts.size();) {
    size_t count = std::min(facts.size() - at, 1 + below(6));
    round({facts.begin() + static_cast<long>(at), facts.begin() + static_cast<long>(at + count)});
    at += count;
  }
  // Rows that still wait for a value are read again from the source.
  std::vector<Fact> again;
  Position now = Position::end_of_commit(1, history.commit);
  EXPECT_TRUE(state
                  .scan("", "",
                        [&](std::string_view key, std::string_view) {
                          if (key.substr(0, 2) != std::string_view("\0\3", 2)) return true;
                          std::string row_key(
                              key.substr(2 + 1 + client.value.size() + 1 + std::string("orders").size()));
                          Fact fact;
                          for (const auto& [id, row] : history.table) {
                            if (key_of(id) == row_key) fact = {Op::kSnapshot, now, id, row.amount, row.note};
                          }
                          if (fact.position == Position{})
                            fact.range = RangeFact{RangeKind::kAbsence, now, row_key, row_key + '\0', 0, 0};
                          again.push_back(fact);
                          return true;
                        })
                  .ok());
  if (!again.empty()) round(again);
  for (int rounds = 0; pending && rounds < 1000; ++rounds) round({});
  if (keep_rows) followed.expect(history.table);
  return store.table();
}

class Convergence : public ::testing::TestWithParam<std::tuple<Delivery, bool, bool>> {};

TEST_P(Convergence, AnyDeliveryGivesTheTable) {
  auto [delivery, toast, keep_rows] = GetParam();
  for (uint64_t seed = 1; seed <= 5000; ++seed) {
    std::mt19937_64 random(seed);
    History history;
    history.run(random, 4 + static_cast<int>(seed % 40), toast);
    Table got = deliver(history.facts, history, random, delivery, toast, keep_rows);
    ASSERT_EQ(got, history.table) << "FAILED AnyDeliveryGivesTheTable seed=" << seed;
  }
}

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.amount << ' ' << row.note; }

INSTANTIATE_TEST_SUITE_P(Merge, Convergence,
                         ::testing::Combine(::testing::Values(Delivery::kInOrder, Delivery::kShuffled),
                                            ::testing::Bool(), ::testing::Bool()));

TEST(RowState, EncodesAndDecodes) {
  SchemaPtr schema = shop_schema(true);
  EventBatch batch(client, "orders", schema);
  append(batch, {Op::kCreate, {1, 10, 5, 0}, 7, 1, "first"});
  append(batch, {Op::kUpdate, {1, 11, 5, 0}, 7, 2, std::nullopt});
  RowState state;
  std::vector<MovedValues> moved;
  for (size_t row = 0; row < batch.rows(); ++row) merge_fact(state, batch, row, moved);
  state.moves = {{{1, 4, 5, 0}, key_of(9)}};
  std::string bytes = state.encode();
  auto decoded = RowState::decode(bytes, [&](uint32_t) -> Result<SchemaPtr> { return schema; });
  ASSERT_TRUE(decoded.ok()) << decoded.error().to_string();
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(decoded->moves, state.moves);
  EXPECT_TRUE(decoded->complete());
  EXPECT_EQ(decoded->cells[2].bytes, "first");
  EXPECT_EQ(decoded->cells[2].position, (Position{1, 10, 5, 0}));
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(RowState::decode(bytes.substr(0, cut), [&](uint32_t) -> Result<SchemaPtr> { return schema; }).ok());
  }
}

TEST(Position, PredecessorBorrows) {
  EXPECT_EQ(predecessor({1, 2, 3, 4}), (Position{1, 2, 3, 3}));
  EXPECT_EQ(predecessor({1, 2, 3, 0}), (Position{1, 2, 2, UINT32_MAX}));
  EXPECT_EQ(predecessor({1, 2, 0, 0}), (Position{1, 1, UINT64_MAX, UINT32_MAX}));
}

}  // namespace
}  // namespace tributary
