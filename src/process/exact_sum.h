// Sums that do not depend on the order of their terms, and from which terms can be taken back exactly.
//
// ExactInteger: integers and unscaled decimals, 192 bits wide, so that no number of 128-bit terms overflows it.
// ExactDouble: doubles as one fixed-point number of 2,176 bits (a superaccumulator: Neal, "Fast exact summation using small
// and large superaccumulators", 2015), rounded once, to nearest even. NaN and infinities are counted beside it.
//
// Encodings are canonical: equal sums have equal bytes, whatever was added and taken back before.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "model/type.h"

namespace tributary {

class ExactInteger {
 public:
  // Adds term × weight.
  void add(Int128 term, int64_t weight);
  // nullopt where it does not fit into 128 bits.
  std::optional<Int128> value() const;
  // The exact quotient sum / (count × 10^scale), rounded once to the nearest double. count > 0.
  double average(int64_t count, uint8_t scale) const;

  void encode(std::string& out) const;
  static ExactInteger decode(ByteReader& reader);
  friend bool operator==(const ExactInteger&, const ExactInteger&) = default;

 private:
  Int128 high_ = 0;  // the sum is high × 2^64 + low
  uint64_t low_ = 0;
};

class ExactDouble {
 public:
  void add(double term, int64_t weight);
  // NaN where a term is NaN or infinities of both signs are in it.
  double value() const;

  void encode(std::string& out) const;
  static ExactDouble decode(ByteReader& reader);

 private:
  // The sum is Σ limbs[i] × 2^(32 i − 1,088): the least double is 2^−1074, the greatest below 2^1024, and 64 bits are left
  // for the number of terms. Limbs are 32 bits each once carried.
  static constexpr int limbs_count = 68;
  static constexpr int least_exponent = -1088;
  // Carried limbs of the sum's absolute value, and whether it is negative.
  std::array<uint32_t, limbs_count> magnitude(bool& negative) const;

  std::array<int64_t, limbs_count> limbs_{};
  uint64_t uncarried_ = 0;  // terms since limbs were last below 2^33
  int64_t nans_ = 0;
  int64_t positive_infinities_ = 0;
  int64_t negative_infinities_ = 0;

  void carry();
};

}  // namespace tributary
