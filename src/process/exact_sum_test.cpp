#include "process/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace tributary {
namespace {

template <typename Sum>
std::string bytes_of(const Sum& sum) {
  std::string out;
  sum.encode(out);
  return out;
}

// Terms of very different sizes, so that a running sum in doubles would lose some.
std::vector<double> wild_terms(std::mt19937_64& random, size_t count) {
  std::vector<double> terms;
  for (size_t i = 0; i < count; ++i) {
    auto mantissa = static_cast<double>(static_cast<int64_t>(random()));
    terms.push_back(std::ldexp(mantissa, static_cast<int>(random() % 1900) - 1130));
  }
  return terms;
}

TEST(ExactDouble, DoesNotDependOnOrderAndForgetsWhatWasTakenBack) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    auto terms = wild_terms(random, 1 + seed % 40);
    auto others = wild_terms(random, seed % 20);
    ExactDouble plain;
    for (double term : terms) plain.add(term, 1);
    ExactDouble mixed;
    auto shuffled = terms;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    for (double other : others) mixed.add(other, 1);
    for (double term : shuffled) mixed.add(term, 1);
    for (double other : others) mixed.add(other, -1);
    ASSERT_EQ(bytes_of(plain), bytes_of(mixed)) << "seed " << seed;
    ASSERT_EQ(plain.value(), mixed.value());
    std::string stored = bytes_of(plain);
    ByteReader again(stored);
    ASSERT_EQ(ExactDouble::decode(again).value(), plain.value());
  }
}

TEST(ExactDouble, RoundsOnceToNearest) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    ExactDouble sum;
    __float128 wide = 0;  // 113 bits hold these sums exactly
    for (int term = 0; term < 5; ++term) {
      double value =
          std::ldexp(static_cast<double>(static_cast<int64_t>(random()) >> 11), static_cast<int>(random() % 40));
      sum.add(value, 1);
      wide += value;
    }
    ASSERT_EQ(sum.value(), static_cast<double>(wide));
  }
  ExactDouble cancelled;
  for (double term : {1e16, 1.0, -1e16}) cancelled.add(term, 1);
  EXPECT_EQ(cancelled.value(), 1.0);
  ExactDouble least;
  least.add(std::numeric_limits<double>::denorm_min(), 3);
  EXPECT_EQ(least.value(), 3 * std::numeric_limits<double>::denorm_min());
}

TEST(ExactDouble, CountsWhatIsNoNumber) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  ExactDouble sum;
  sum.add(1, 1);
  sum.add(infinity, 1);
  EXPECT_EQ(sum.value(), infinity);
  sum.add(-infinity, 1);
  EXPECT_TRUE(std::isnan(sum.value()));
  sum.add(infinity, -1);
  EXPECT_EQ(sum.value(), -infinity);
  sum.add(-infinity, -1);
  EXPECT_EQ(sum.value(), 1);
  sum.add(std::nan(""), 1);
  EXPECT_TRUE(std::isnan(sum.value()));
  sum.add(std::nan(""), -1);
  EXPECT_EQ(sum.value(), 1);
}

TEST(ExactInteger, HoldsMoreThan128BitsOnTheWay) {
  Int128 big = static_cast<Int128>(~static_cast<unsigned __int128>(0) >> 1);
  ExactInteger sum;
  sum.add(big, 1);
  sum.add(big, 1);
  EXPECT_FALSE(sum.value().has_value());
  std::string stored = bytes_of(sum);
  ByteReader reader(stored);
  EXPECT_EQ(ExactInteger::decode(reader), sum);
  sum.add(big, -1);
  EXPECT_EQ(sum.value(), big);
  sum.add(-5, 3);
  sum.add(big, -1);
  EXPECT_EQ(sum.value(), -15);
}

TEST(ExactInteger, AveragesAreTheNearestDoubleOfTheQuotient) {
  auto average = [](Int128 value, int64_t count, uint8_t scale) {
    ExactInteger sum;
    sum.add(value, 1);
    return sum.average(count, scale);
  };
  EXPECT_EQ(average(1, 3, 0), 1.0 / 3);
  EXPECT_EQ(average(-200, 3, 2), -2.0 / 3);
  EXPECT_EQ(average(10, 4, 0), 2.5);
  EXPECT_EQ(average(1, int64_t{1} << 60, 0), std::ldexp(1.0, -60));
  EXPECT_EQ(average(12345, 1, 2), 123.45);
  EXPECT_EQ(average(0, 9, 2), 0);
}

// Half of the last place is a tie, unless anything at all follows, however small.
TEST(ExactDouble, WhatFollowsATieDecidesIt) {
  for (double rest : {0x1p-60, 0x1p-140, 0x1p-200, 0x1p-1074}) {
    ExactDouble sum;
    sum.add(1.0, 1);
    sum.add(0x1p-53, 1);
    EXPECT_EQ(sum.value(), 1.0);
    sum.add(rest, 1);
    EXPECT_EQ(sum.value(), 1.0 + 0x1p-52) << rest;
    sum.add(rest, -2);
    EXPECT_EQ(sum.value(), 1.0) << rest;
  }
}

}  // namespace
}  // namespace tributary
