#include "process/range_floors.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

RangeFact range(uint64_t commit, std::string low, std::string high) {
  return {.position = {1, commit, 0, 0}, .low = std::move(low), .high = std::move(high)};
}

uint64_t commit_of(const RangeFloors& floors, std::string_view key) {
  Position floor = floors.floor_of(key);
  return floor == Position{} ? 0 : floor.commit + 1;  // the floor is just below the fact
}

TEST(RangeFloors, HoldFromTheLowKeyToBeforeTheHighOne) {
  RangeFloors floors;
  EXPECT_TRUE(floors.add(range(5, "c", "f")));
  EXPECT_EQ(commit_of(floors, "b"), 0u);
  EXPECT_EQ(commit_of(floors, "c"), 5u);
  EXPECT_EQ(commit_of(floors, "ez"), 5u);
  EXPECT_EQ(commit_of(floors, "f"), 0u);
}

TEST(RangeFloors, ARangeWithoutAnEndIsCoveredByNoneThatEnds) {
  RangeFloors floors;
  EXPECT_TRUE(floors.add(range(9, "a", "m")));
  EXPECT_TRUE(floors.add(range(5, "b", "")));
  EXPECT_EQ(commit_of(floors, "z"), 5u);
  EXPECT_EQ(commit_of(floors, "c"), 9u);
  EXPECT_FALSE(floors.add(range(4, "c", "")));  // says nothing new
}

// Whatever comes later, the newest range that a key is in counts.
TEST(RangeFloors, AnOlderRangeThatCoversNewerOnesLeavesThem) {
  RangeFloors floors;
  floors.add(range(9, "c", "f"));
  EXPECT_TRUE(floors.add(range(5, "", "")));
  EXPECT_EQ(commit_of(floors, "d"), 9u);
  EXPECT_EQ(commit_of(floors, "z"), 5u);
  EXPECT_TRUE(floors.add(range(12, "", "")));
  EXPECT_EQ(commit_of(floors, "d"), 12u);
  auto stored = RangeFloors::decode(floors.encode());
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(commit_of(*stored, "d"), 12u);
}

}  // namespace
}  // namespace tributary
