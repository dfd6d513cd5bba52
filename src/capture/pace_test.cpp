#include "capture/pace.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

using std::chrono::milliseconds;

TEST(Pace, WithoutALimitNothingWaits) {
  Pace pace(0);
  Pace::Clock::time_point now{std::chrono::hours(1)};
  pace.count(1'000'000'000, now);
  EXPECT_LE(pace.wait_from(now).count(), 0);
  EXPECT_EQ(pace.rows_at_once(500), 500u);
}

TEST(Pace, RowsBeyondOneSecondsWait) {
  Pace pace(1000);
  Pace::Clock::time_point now{std::chrono::hours(1)};
  pace.count(3000, now);
  EXPECT_EQ(pace.wait_from(now), milliseconds(2000));
  now += milliseconds(2000);
  EXPECT_LE(pace.wait_from(now).count(), 0);
  pace.count(100, now);
  EXPECT_EQ(pace.wait_from(now), milliseconds(100));  // what was used up does not come back at once
  now += std::chrono::hours(1);
  pace.count(1000, now);
  EXPECT_LE(pace.wait_from(now).count(), 0);  // an hour's idleness is worth one second
  pace.count(1, now);
  EXPECT_EQ(pace.wait_from(now), milliseconds(1));
}

// However it is cut in pieces, in the long run as many rows are read as the limit says.
TEST(Pace, PiecesDoNotMatter) {
  for (uint64_t piece : {1, 7, 1000, 50'000}) {
    Pace pace(2000);
    Pace::Clock::time_point begin{std::chrono::hours(1)};
    Pace::Clock::time_point now = begin;
    for (uint64_t rows = 0; rows < 100'000; rows += piece) {
      pace.count(piece, now);
      now += std::max(pace.wait_from(now), Pace::Clock::duration{0});
    }
    EXPECT_NEAR(std::chrono::duration<double>(now - begin).count(), 49, 0.01) << piece;
  }
  EXPECT_EQ(Pace(2000).rows_at_once(10'000), 200u);
  EXPECT_EQ(Pace(3).rows_at_once(10'000), 1u);
}

}  // namespace
}  // namespace tributary
