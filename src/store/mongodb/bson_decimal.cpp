#include "store/mongodb/bson_decimal.h"

namespace tributary {
namespace {

using UInt128 = unsigned __int128;

constexpr int digits_max = 34;
constexpr int exponent_bias = 6176;
constexpr int scale_max_shown = 255;  // what plain_text() writes
constexpr int coefficient_high_bits = 49;

UInt128 magnitude_of(Int128 value) { return value < 0 ? -static_cast<UInt128>(value) : static_cast<UInt128>(value); }

UInt128 power_of_ten(int digits) {
  UInt128 power = 1;
  for (int i = 0; i < digits; ++i) power *= 10;
  return power;
}

}  // namespace

std::optional<bson_decimal128_t> to_decimal128(const PlainDecimal& decimal) {
  UInt128 magnitude = magnitude_of(decimal.coefficient);
  if (magnitude >= power_of_ten(digits_max) || decimal.scale < 0 || decimal.scale > exponent_bias) return std::nullopt;
  bson_decimal128_t out;
  out.low = static_cast<uint64_t>(magnitude);
  out.high = static_cast<uint64_t>(magnitude >> 64) |
             static_cast<uint64_t>(exponent_bias - decimal.scale) << coefficient_high_bits |
             (decimal.coefficient < 0 ? uint64_t{1} << 63 : 0);
  return out;
}

std::optional<PlainDecimal> from_decimal128(const bson_decimal128_t& decimal) {
  if ((decimal.high >> 61 & 3) == 3) return std::nullopt;  // special, or a coefficient that is no canonical one
  bool negative = decimal.high >> 63 != 0;
  int exponent = static_cast<int>(decimal.high >> coefficient_high_bits & 0x3FFF) - exponent_bias;
  UInt128 magnitude =
      static_cast<UInt128>(decimal.high & ((uint64_t{1} << coefficient_high_bits) - 1)) << 64 | decimal.low;
  if (exponent > 0 || magnitude >= power_of_ten(digits_max) || (negative && magnitude == 0)) return std::nullopt;
  auto coefficient = static_cast<Int128>(magnitude);
  return PlainDecimal{negative ? -coefficient : coefficient, -exponent};
}

std::optional<PlainDecimal> parse_plain(std::string_view text) {
  PlainDecimal out;
  std::string_view digits = text;
  bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  bool behind_point = false;
  int count = 0;
  for (char c : digits) {
    if (c == '.' && !behind_point) {
      behind_point = true;
    } else if (c >= '0' && c <= '9' && (out.coefficient == 0 || ++count < digits_max)) {
      out.coefficient = out.coefficient * 10 + (c - '0');
      out.scale += behind_point ? 1 : 0;
    } else {
      return std::nullopt;
    }
  }
  if (negative) out.coefficient = -out.coefficient;
  if (out.scale > scale_max_shown || plain_text(out) != text) return std::nullopt;
  return out;
}

std::string plain_text(const PlainDecimal& decimal) {
  std::string digits = decimal_to_string(decimal.coefficient, 0);
  bool negative = digits.front() == '-';
  if (negative) digits.erase(0, 1);
  auto scale = static_cast<size_t>(decimal.scale);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  if (scale > 0) digits.insert(digits.size() - scale, 1, '.');
  return (negative ? "-" : "") + digits;
}

std::optional<Int128> times_power_of_ten(Int128 value, int digits) {
  for (int i = 0; i < digits; ++i) {
    if (__builtin_mul_overflow(value, Int128{10}, &value)) return std::nullopt;
  }
  return value;
}

std::optional<Int128> over_power_of_ten(Int128 value, int digits) {
  for (int i = 0; i < digits && value != 0; ++i) {
    if (value % 10 != 0) return std::nullopt;
    value /= 10;
  }
  return value;
}

}  // namespace tributary
