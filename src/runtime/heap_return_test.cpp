#include "runtime/heap_return.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(HeapReturn, ActsOnceWhenWorkHasEnded) {
  HeapReturn heap;
  HeapReturn::Clock::time_point now{};
  EXPECT_FALSE(heap.turn(false, now)) << "nothing was done yet";
  EXPECT_FALSE(heap.turn(true, now));
  EXPECT_FALSE(heap.turn(true, now + seconds(1)));
  EXPECT_FALSE(heap.turn(false, now + milliseconds(2900)));
  EXPECT_TRUE(heap.turn(false, now + seconds(3)));
  EXPECT_FALSE(heap.turn(false, now + seconds(300)));
}

TEST(HeapReturn, ActsEachMinuteWhileWorkGoesOn) {
  HeapReturn heap;
  HeapReturn::Clock::time_point now{};
  int acted = 0;
  for (int second = 0; second <= 200; ++second) acted += heap.turn(true, now + seconds(second)) ? 1 : 0;
  EXPECT_EQ(acted, 3);
}

}  // namespace
}  // namespace tributary
