#include "process/exact_sum.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace tributary {
namespace {

constexpr uint64_t limb_mask = 0xFFFFFFFF;
constexpr uint64_t terms_before_carry = uint64_t{1} << 29;

}  // namespace

void ExactInteger::add(Int128 term, int64_t weight) {
  // term = th × 2^64 + tl with 0 <= tl < 2^64; each product fits into 128 bits, since |weight| is small.
  auto tl = static_cast<Int128>(static_cast<uint64_t>(term));
  Int128 th = term >> 64;
  Int128 low = static_cast<Int128>(low_) + tl * weight;
  high_ += th * weight + (low >> 64);
  low_ = static_cast<uint64_t>(low);
}

std::optional<Int128> ExactInteger::value() const {
  if (high_ != static_cast<int64_t>(high_)) return std::nullopt;
  return static_cast<Int128>((static_cast<unsigned __int128>(high_) << 64) | low_);
}

double ExactInteger::average(int64_t count, uint8_t scale) const {
  auto sum = value();
  if (!sum)
    return static_cast<double>((static_cast<__float128>(high_) * 0x1p64 + low_) / count) * std::pow(10.0, -scale);
  bool negative = *sum < 0;
  unsigned __int128 magnitude = negative ? -static_cast<unsigned __int128>(*sum) : static_cast<unsigned __int128>(*sum);
  auto divisor = static_cast<unsigned __int128>(count);
  // 40 significant digits, and a last one that says whether more would follow.
  std::string digits = decimal_to_string(static_cast<Int128>(magnitude / divisor), 0);
  unsigned __int128 rest = magnitude % divisor;
  constexpr int digits_wanted = 40;
  int significant = digits == "0" ? 0 : static_cast<int>(digits.size());
  digits.push_back('.');
  while (significant < digits_wanted && rest != 0) {
    rest *= 10;
    auto digit = static_cast<int>(rest / divisor);
    digits.push_back(static_cast<char>('0' + digit));
    if (significant > 0 || digit != 0) ++significant;
    rest %= divisor;
  }
  digits.push_back(rest != 0 ? '1' : '0');
  digits += fmt::format("e-{}", scale);
  double result = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), result);
  return negative ? -result : result;
}

void ExactInteger::encode(std::string& out) const {
  put_u64(out, low_);
  auto small = static_cast<int64_t>(high_);
  put_u8(out, small == high_ ? 0 : 1);
  if (small == high_) {
    put_varint_signed(out, small);
  } else {
    put_little(out, high_);
  }
}

ExactInteger ExactInteger::decode(ByteReader& reader) {
  ExactInteger sum;
  sum.low_ = reader.u64();
  sum.high_ = reader.u8() == 0 ? Int128{reader.varint_signed()} : reader.little<Int128>();
  return sum;
}

void ExactDouble::add(double term, int64_t weight) {
  if (std::isnan(term)) {
    nans_ += weight;
  } else if (std::isinf(term)) {
    (term > 0 ? positive_infinities_ : negative_infinities_) += weight;
  } else if (term != 0) {
    auto bits = std::bit_cast<uint64_t>(term);
    auto exponent = static_cast<int>((bits >> 52) & 0x7FF);
    uint64_t mantissa = bits & ((uint64_t{1} << 52) - 1);
    if (exponent == 0) {
      exponent = 1;  // subnormal
    } else {
      mantissa |= uint64_t{1} << 52;
    }
    int shift = exponent - 1075 - least_exponent;
    int64_t signed_weight = term < 0 ? -weight : weight;
    auto wide = static_cast<unsigned __int128>(mantissa) << (shift % 32);
    for (int limb = shift / 32; wide != 0; ++limb, wide >>= 32) {
      limbs_[static_cast<size_t>(limb)] +=
          static_cast<int64_t>(static_cast<uint64_t>(wide) & limb_mask) * signed_weight;
    }
    uncarried_ += static_cast<uint64_t>(weight < 0 ? -weight : weight);
    if (uncarried_ >= terms_before_carry) carry();
  }
}

void ExactDouble::carry() {
  for (size_t i = 0; i + 1 < limbs_.size(); ++i) {
    limbs_[i + 1] += limbs_[i] >> 32;
    limbs_[i] &= static_cast<int64_t>(limb_mask);
  }
  uncarried_ = 1;
}

std::array<uint32_t, ExactDouble::limbs_count> ExactDouble::magnitude(bool& negative) const {
  ExactDouble copy = *this;
  copy.carry();
  negative = copy.limbs_.back() < 0;
  if (negative) {
    for (int64_t& limb : copy.limbs_) limb = -limb;
    copy.carry();
  }
  std::array<uint32_t, limbs_count> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint32_t>(copy.limbs_[i]);
  return out;
}

double ExactDouble::value() const {
  if (nans_ > 0 || (positive_infinities_ > 0 && negative_infinities_ > 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (positive_infinities_ > 0) return std::numeric_limits<double>::infinity();
  if (negative_infinities_ > 0) return -std::numeric_limits<double>::infinity();
  bool negative = false;
  auto limbs = magnitude(negative);
  int top = limbs_count - 1;
  while (top >= 0 && limbs[static_cast<size_t>(top)] == 0) --top;
  if (top < 0) return 0;
  // The highest 96 bits, then 64 of them with a last bit that says that something follows: the conversion rounds once.
  unsigned __int128 wide = 0;
  for (int i = 0; i < 3; ++i) wide = (wide << 32) | (top - i >= 0 ? limbs[static_cast<size_t>(top - i)] : 0);
  bool more = false;
  for (int i = 0; i < top - 2; ++i) more = more || limbs[static_cast<size_t>(i)] != 0;
  int exponent = 32 * (top - 2) + least_exponent;
  int drop = 64 - std::countl_zero(static_cast<uint64_t>(wide >> 64));  // wide has 64 + drop bits
  if ((wide & ((static_cast<unsigned __int128>(1) << drop) - 1)) != 0) more = true;
  auto bits = static_cast<uint64_t>(wide >> drop);
  if (more) bits |= 1;
  // Where the result is subnormal, all bits fit: every term is a multiple of the least double.
  double result = std::ldexp(static_cast<double>(bits), exponent + drop);
  return negative ? -result : result;
}

void ExactDouble::encode(std::string& out) const {
  put_varint_signed(out, nans_);
  put_varint_signed(out, positive_infinities_);
  put_varint_signed(out, negative_infinities_);
  bool negative = false;
  auto limbs = magnitude(negative);
  size_t first = 0;
  while (first < limbs.size() && limbs[first] == 0) ++first;
  size_t end = limbs.size();
  while (end > first && limbs[end - 1] == 0) --end;
  put_u8(out, negative ? 1 : 0);
  put_u8(out, static_cast<uint8_t>(first));
  put_u8(out, static_cast<uint8_t>(end - first));
  for (size_t i = first; i < end; ++i) put_u32(out, limbs[i]);
}

ExactDouble ExactDouble::decode(ByteReader& reader) {
  ExactDouble sum;
  sum.nans_ = reader.varint_signed();
  sum.positive_infinities_ = reader.varint_signed();
  sum.negative_infinities_ = reader.varint_signed();
  int64_t sign = reader.u8() != 0 ? -1 : 1;
  size_t first = reader.u8();
  size_t count = reader.u8();
  for (size_t i = 0; i < count; ++i) {
    auto limb = static_cast<int64_t>(reader.u32());
    if (first + i < sum.limbs_.size()) sum.limbs_[first + i] = sign * limb;
  }
  sum.uncarried_ = 1;
  return sum;
}

}  // namespace tributary
