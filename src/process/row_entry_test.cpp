// A RowEntry and a RowState that get the same facts store the same bytes, whatever way the entry took.
#include "process/row_entry.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tributary {
namespace {

SchemaPtr schema_of(uint32_t version) {
  TableSchema schema;
  schema.table = "public.orders";
  schema.version = version;
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                    {"amount", {version == 1 ? TypeId::kInt32 : TypeId::kInt64}, "integer", false, false},
                    {"note", {TypeId::kText}, "text", false, true}};
  schema.key_columns = {0};
  return std::make_shared<const TableSchema>(schema);
}

const SchemaPtr schemas[] = {schema_of(1), schema_of(2)};
const RowEntry::Schemas find_schema = [](uint32_t version) -> Result<SchemaPtr> { return schemas[version - 1]; };

EventBatch random_fact(Random& random) {
  size_t version = random.below(2);
  EventBatch batch(ClientId{"acme"}, "orders", schemas[version]);
  static constexpr Op ops[] = {Op::kCreate, Op::kUpdate, Op::kUpdate, Op::kUpdate, Op::kSnapshot, Op::kDelete};
  Op op = ops[random.below(std::size(ops))];
  batch.ops.push_back(op);
  batch.positions.push_back({1, 1 + random.below(12), random.below(2), 0});
  batch.commit_micros.push_back(0);
  batch.transactions.push_back(0);
  if (random.one_in(6) && (op == Op::kCreate || op == Op::kDelete)) batch.moved.push_back({0, "other"});
  batch.columns[0].append_fixed<int64_t>(7);
  auto amount = static_cast<int32_t>(random.below(3));
  if (op == Op::kDelete) {
    batch.columns[1].append_absent();
    batch.columns[2].append_absent();
    return batch;
  }
  if (random.one_in(5)) {
    batch.columns[1].append_text("NaN");
  } else if (version == 0) {
    batch.columns[1].append_fixed(amount);
  } else {
    batch.columns[1].append_fixed<int64_t>(amount);
  }
  if (random.one_in(4)) {
    batch.columns[2].append_absent();
  } else if (random.one_in(4)) {
    batch.columns[2].append_null();
  } else {
    batch.columns[2].append_bytes("note" + std::to_string(random.below(3)));
  }
  return batch;
}

std::string text_of(const std::vector<MovedValues>& moved) {
  std::string text;
  for (const MovedValues& values : moved) {
    text += values.to_key + values.position.to_string();
    for (const CellValue& cell : values.cells) text += cell.origin.to_string() + cell.bytes + "|";
  }
  return text;
}

void run_case(uint64_t seed) {
  Random random(seed);
  std::optional<std::string> stored;
  Position floor;
  for (int round = 0; round < 6; ++round) {
    if (random.one_in(4)) floor = std::max(floor, Position{1, random.below(12), 0, 0});
    RowState state = stored ? RowState::decode(*stored, find_schema).value() : RowState{};
    raise_floor(state, floor);
    RowEntry entry = RowEntry::load(stored, floor).value();
    std::vector<EventBatch> facts;
    for (uint64_t i = random.below(4); i > 0; --i) facts.push_back(random_fact(random));
    std::vector<MovedValues> of_state;
    std::vector<MovedValues> of_entry;
    for (const EventBatch& fact : facts) {
      merge_fact(state, fact, 0, of_state);
      ASSERT_TRUE(entry.merge(fact, 0, find_schema, of_entry).ok());
      if (!random.one_in(6)) continue;
      MovedValues values{"key", {1, random.below(12), 1, 0}, schemas[0], std::vector<CellValue>(3)};
      values.cells[2] = {CellState::kValue, values.position, {1, 1, 0, 0}, "carried"};
      merge_moved(state, values, of_state);
      ASSERT_TRUE(entry.merge(values, find_schema, of_entry).ok());
    }
    ASSERT_TRUE(entry.settle(find_schema).ok());
    ASSERT_EQ(text_of(of_entry), text_of(of_state)) << "seed " << seed;
    ASSERT_EQ(entry.live(), state.live()) << "seed " << seed;
    ASSERT_EQ(entry.position(), state.position) << "seed " << seed;
    ASSERT_EQ(entry.floor(), state.floor) << "seed " << seed;
    if (state.live()) {
      ASSERT_EQ(entry.complete(), state.complete()) << "seed " << seed;
      ASSERT_EQ(entry.fill(), state.fill) << "seed " << seed;
    }
    bool nothing = !stored && state.floor == Position{} && state.schema == nullptr && state.moves.empty();
    std::string expected = state.encode();
    auto changed = entry.changed();
    ASSERT_EQ(changed.has_value(), !nothing && expected != stored.value_or("")) << "seed " << seed;
    if (changed) {
      ASSERT_EQ(*changed, expected) << "seed " << seed;
    }
    if (!nothing) stored = expected;
  }
}

TEST(RowEntry, StoresWhatARowStateStores) {
  for (uint64_t seed = 1; seed <= 20'000 && !testing::Test::HasFatalFailure(); ++seed) run_case(seed);
}

TEST(RowEntry, DamagedBytesAreRefused) {
  std::string stored = encode_whole_row(
      {},
      [] {
        Random random(1);
        EventBatch fact = random_fact(random);
        while (fact.ops[0] == Op::kDelete || fact.columns[2].state(0) == CellState::kAbsent) fact = random_fact(random);
        return fact;
      }(),
      0);
  ASSERT_TRUE(RowEntry::load(stored, {}).ok());
  for (size_t size = 0; size < stored.size(); ++size) {
    EXPECT_FALSE(RowEntry::load(stored.substr(0, size), {}).ok()) << size;
  }
  EXPECT_FALSE(RowEntry::load(stored + "x", {}).ok());
}

}  // namespace
}  // namespace tributary
