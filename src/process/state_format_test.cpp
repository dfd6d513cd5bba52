// Bytes of docs/formats/state.md, once written: they must decode for ever.
#include <gtest/gtest.h>

#include "contracts/keyed_state.h"
#include "process/range_floors.h"
#include "process/row_state.h"

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
