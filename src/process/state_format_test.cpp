// Bytes of docs/formats/state.md, once written: they must decode for ever.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "contracts/keyed_state.h"
#include "process/aggregate.h"
#include "process/attributes.h"
#include "process/join_state.h"
#include "process/memory_state.h"
#include "process/plan_text.h"
#include "process/range_floors.h"
#include "process/row_state.h"
#include "process/rows_for_test.h"
#include "process/sweep.h"
#include "process/view_graph.h"

namespace tributary {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

// Floor 1:0/5:0/4:3 · one move at 1:0/2:0/2:0 to key "k" · schema 3 · position 1:0/10:0/20:1 · fill 2 · three cells:
// int64 7 at the row's position; text "note" of its own position with an origin; absent.
const std::string stored_row = from_hex(
    "01"
    "000000010000000000000005000000000000000400000003"
    "01"
    "000000010000000000000002000000000000000200000000"
    "016b"
    "03"
    "000000010000000000000010000000000000002000000001"
    "02"
    "03"
    "00"
    "080700000000000000"
    "0c"
    "000000010000000000000008000000000000000800000000"
    "000000010000000000000007000000000000000700000000"
    "046e6f7465"
    "02");

SchemaPtr schema() {
  TableSchema schema;
  schema.table = "public.orders";
  schema.version = 3;
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                    {"note", {TypeId::kText}, "text", false, true},
                    {"more", {TypeId::kText}, "text", false, true}};
  schema.key_columns = {0};
  return std::make_shared<const TableSchema>(schema);
}

TEST(StateFormat, StoredRowStateDecodes) {
  uint32_t asked = 0;
  auto state = RowState::decode(stored_row, [&](uint32_t version) -> Result<SchemaPtr> {
    asked = version;
    return schema();
  });
  ASSERT_TRUE(state.ok()) << state.error().to_string();
  EXPECT_EQ(asked, 3u);
  EXPECT_EQ(state->floor, (Position{1, 5, 4, 3}));
  EXPECT_EQ(state->position, (Position{1, 0x10, 0x20, 1}));
  EXPECT_EQ(state->fill, 2u);
  ASSERT_EQ(state->moves.size(), 1u);
  EXPECT_EQ(state->moves[0], (RowMove{{1, 2, 2, 0}, "k"}));
  ASSERT_EQ(state->cells.size(), 3u);
  EXPECT_EQ(state->cells[0].bytes, from_hex("0700000000000000"));
  EXPECT_EQ(state->cells[1].position, (Position{1, 8, 8, 0}));
  EXPECT_EQ(state->cells[1].origin, (Position{1, 7, 7, 0}));
  EXPECT_EQ(state->cells[1].bytes, "note");
  EXPECT_EQ(state->cells[2].state, CellState::kAbsent);
  EXPECT_EQ(state->encode(), stored_row);
}

TEST(StateFormat, StoredFloorsDecode) {
  std::string stored = from_hex(
      "0102"
      "00"
      "00"
      "000000010000000000000005000000000000000400000003"
      "0161"
      "0162"
      "000000010000000000000009000000000000000400000003");
  auto floors = RangeFloors::decode(stored);
  ASSERT_TRUE(floors.ok()) << floors.error().to_string();
  EXPECT_EQ(floors->floor_of("z"), (Position{1, 5, 4, 3}));
  EXPECT_EQ(floors->floor_of("a"), (Position{1, 9, 4, 3}));
  EXPECT_EQ(floors->encode(), stored);
}

TEST(StateFormat, StoredJoinKeyDecodes) {
  // 2 rows left, 1 right · 1 waiting left · a change of the right side below "k": row "r" went from cells "x" to none.
  std::string stored = from_hex(
      "01"
      "04"
      "02"
      "02"
      "00"
      "01"
      "01"
      "016b"
      "01"
      "0172"
      "01"
      "0178"
      "00");
  auto state = JoinKeyState::decode(stored);
  ASSERT_TRUE(state.ok()) << state.error().to_string();
  EXPECT_EQ(state->rows[0], 2);
  EXPECT_EQ(state->rows[1], 1);
  EXPECT_EQ(state->queued[0], 1);
  ASSERT_TRUE(state->pass.has_value());
  EXPECT_EQ(state->pass->side, 1);
  EXPECT_EQ(state->pass->cursor, "k");
  ASSERT_EQ(state->pass->changes.size(), 1U);
  EXPECT_EQ(state->pass->changes[0].key, "r");
  EXPECT_EQ(state->pass->changes[0].before, "x");
  EXPECT_EQ(state->pass->changes[0].after, std::nullopt);
  EXPECT_EQ(state->encode(), stored);
  EXPECT_FALSE(JoinKeyState::decode("\x02" + stored.substr(1)).ok());
  EXPECT_EQ(decode_queued(from_hex("010178")), "x");
  EXPECT_EQ(decode_queued(from_hex("00")), std::nullopt);
}

TEST(StateFormat, StoredSweepsDecode) {
  std::string stored = from_hex(
      "0102"
      "00"
      "016b"
      "00"
      "00"
      "01"
      "00"
      "017a"
      "0161");
  auto sweeps = Sweeps::decode(stored);
  ASSERT_TRUE(sweeps.ok()) << sweeps.error().to_string();
  EXPECT_EQ(sweeps->list, (std::vector<Sweep>{{"k", "", false, ""}, {"", "z", true, "a"}}));
  EXPECT_EQ(sweeps->encode(), stored);
  EXPECT_FALSE(Sweeps::decode("\x03" + stored.substr(1)).ok());
  std::string with_again = from_hex(
      "0202"
      "00"
      "016b"
      "00"
      "00"
      "02"
      "00"
      "017a"
      "00");
  auto again = Sweeps::decode(with_again);
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_EQ(again->list, (std::vector<Sweep>{{"k", "", false, ""}, {"", "z", false, "", true}}));
  EXPECT_EQ(again->encode(), with_again);
}

TEST(StateFormat, StoredKeysOfDeadLettersDecode) {
  EXPECT_EQ(dead_key(7, "k"), from_hex("f0076b"));
  EXPECT_EQ(dead_key(255, "k"), from_hex("f0ff6b"));
  EXPECT_EQ(dead_key(256, "k"), from_hex("f101006b"));
  for (size_t node : {7, 255, 256, 65535}) {
    FailedAt failed = failed_at(dead_key(node, "k"));
    EXPECT_EQ(failed.node, std::optional(node));
    EXPECT_EQ(failed.key, "k");
  }
  FailedAt by_row = failed_at(from_hex("028000000000000007"));
  EXPECT_EQ(by_row.node, std::nullopt);
  EXPECT_EQ(by_row.key, from_hex("028000000000000007"));
}

TEST(StateFormat, StoredAttributesDecode) {
  // Revision 5 · plan, text "gold" · since, NULL of type date.
  std::string stored = from_hex(
      "05000000"
      "02"
      "04706c616e"
      "0474657874"
      "0004676f6c64"
      "0573696e6365"
      "0464617465"
      "01");
  auto attributes = ClientAttributes::decode(stored);
  ASSERT_TRUE(attributes.ok()) << attributes.error().to_string();
  EXPECT_EQ(attributes->revision, 5U);
  ASSERT_EQ(attributes->values.size(), 2U);
  EXPECT_EQ(attributes->values.at("plan").bytes(0), "gold");
  EXPECT_EQ(attributes->values.at("since").state(0), CellState::kNull);
  EXPECT_EQ(attributes->encode(), stored);
}

TEST(StateFormat, StoredFingerprintDecodes) {
  std::string stored = from_hex(
      "02"
      "026162"
      "0166"
      "01"
      "02"
      "6964"
      "0169"
      "05"
      "696e743634"
      "01"
      "026964");
  auto fingerprint = PlanFingerprint::decode(stored);
  ASSERT_TRUE(fingerprint.ok()) << fingerprint.error().to_string();
  EXPECT_EQ(fingerprint->exact, "ab");
  EXPECT_EQ(fingerprint->core, "f");
  ASSERT_EQ(fingerprint->outputs.size(), 1U);
  EXPECT_EQ(fingerprint->outputs.at("id").from, "i");
  EXPECT_EQ(fingerprint->outputs.at("id").type, LogicalType{TypeId::kInt64});
  EXPECT_EQ(fingerprint->relation_columns, std::vector<std::string>{"id"});
  EXPECT_EQ(fingerprint->encode(), stored);
}

// As it was stored once: the same layout under 1, and before that without the outputs' types.
TEST(StateFormat, FingerprintsOfVersion1Decode) {
  auto typed =
      PlanFingerprint::decode(from_hex("010261620166010269640169"
                                       "05696e743634"
                                       "01026964"));
  ASSERT_TRUE(typed.ok());
  EXPECT_EQ(typed->outputs.at("id").type, LogicalType{TypeId::kInt64});
  auto untyped =
      PlanFingerprint::decode(from_hex("010261620166010269640169"
                                       "01026964"));
  ASSERT_TRUE(untyped.ok()) << untyped.error().to_string();
  EXPECT_EQ(untyped->exact, "ab");
  EXPECT_EQ(untyped->core, "");
  EXPECT_FALSE(PlanFingerprint::decode(from_hex("020261620166010269640169"
                                                "01026964"))
                   .ok());
  EXPECT_FALSE(PlanFingerprint::decode(from_hex("03026162")).ok());
}

TEST(StateFormat, StoredGroupDecodes) {
  const std::vector<OutputColumn> input = {{"status", {TypeId::kText}}};
  AggregateCall count;
  count.kind = AggregateKind::kCountRows;
  count.column = {"orders", {TypeId::kInt64}};
  AggregateOperator op(AggregatePlan{.group_columns = 1, .global = false, .calls = {count}}, input,
                       std::vector<OutputColumn>{input[0], count.column}, "by_status#2");
  // The cell "new" · 2 rows · none that cannot be taken in, and no reason · count(*): 2.
  std::string stored = from_hex(
      "01"
      "05"
      "00036e6577"
      "04"
      "00"
      "00"
      "04");
  MemoryState state;
  EXPECT_EQ(run(op, state, {rows_of(input, {"+ acme a new", "+ acme b new"})}), "+ acme new 2\n");
  ASSERT_EQ(state.entries().size(), 1U);
  const std::string key = state.entries().begin()->first;
  EXPECT_EQ(state.entries().begin()->second, stored);
  MemoryState restored;
  restored.put(key, stored);
  EXPECT_EQ(run(op, restored, {rows_of(input, {"- acme a new"})}), "+ acme new 1\n- acme new 2\n");
  restored.put(key, "\x02" + stored.substr(1));
  EXPECT_FALSE(op.run(restored, std::vector<Rows>{rows_of(input, {"- acme a new"})}).ok());
}

// What a group remembers of each kind of call.
TEST(StateFormat, StoredAggregateCallsDecode) {
  std::vector<OutputColumn> input = {{"n", {TypeId::kInt64}}, {"f", {TypeId::kFloat64}}, {"b", {TypeId::kBool}}};
  struct Stored {
    AggregateKind kind;
    uint32_t argument;
    std::string_view hex;
  };
  const std::vector<Stored> stored = {
      {AggregateKind::kCountRows, 0, "06"},
      {AggregateKind::kBoolAnd, 2, "0402"},  // two true, one false
      {AggregateKind::kSum, 0,
       "06"
       "2a00000000000000"
       "00"
       "00"},  // three values, 42
      {AggregateKind::kSum, 1,
       "02"
       "000000"
       "00"
       "22"
       "01"
       "01000000"},  // one value, 1.0: limb 34 counts 2^0
      {AggregateKind::kMin, 0,
       "02"
       "02"
       "09"
       "018000000000000007"
       "09"
       "000700000000000000"},
  };
  for (const Stored& entry : stored) {
    AggregateCall call;
    call.kind = entry.kind;
    call.argument = entry.argument;
    CallRules rules(call, input);
    std::string bytes = from_hex(entry.hex);
    ByteReader reader(bytes);
    CallState state = rules.decode(reader);
    EXPECT_TRUE(reader.ok() && reader.at_end()) << entry.hex;
    std::string again;
    rules.encode(state, again);
    EXPECT_EQ(again, bytes) << entry.hex;
    if (entry.kind == AggregateKind::kSum) {
      Column sum(entry.argument == 0 ? LogicalType{TypeId::kDecimal, 38, 0} : LogicalType{TypeId::kFloat64});
      ASSERT_TRUE(rules.append_result(state, 3, sum).ok());
      if (entry.argument == 0) {
        EXPECT_EQ(sum.fixed<Int128>(0), 42);
      } else {
        EXPECT_EQ(sum.fixed<double>(0), 1.0);
      }
    }
  }
}

TEST(StateFormat, StateKeyIsOneRangePerOperatorAndClient) {
  EXPECT_EQ(state_key(1, "acme", "k"), from_hex("00010461636d656b"));
  EXPECT_LT(state_key(1, "acme", "zzz"), state_key(1, "globex", "a"));
}

TEST(RangeFloors, AWiderLaterRangeTakesTheOthersPlace) {
  RangeFloors floors;
  EXPECT_TRUE(floors.add({RangeKind::kTruncate, {1, 5, 0, 0}, "b", "c", 0, 0}));
  EXPECT_TRUE(floors.add({RangeKind::kTruncate, {1, 9, 0, 0}, "", "", 0, 0}));
  EXPECT_FALSE(floors.add({RangeKind::kAbsence, {1, 8, 0, 0}, "b", "c", 0, 0}));
  EXPECT_FALSE(floors.add({RangeKind::kTruncate, {1, 9, 0, 0}, "", "", 0, 0}));
  EXPECT_EQ(floors.floor_of("b"), predecessor({1, 9, 0, 0}));
}

}  // namespace
}  // namespace tributary
