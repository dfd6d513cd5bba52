// Decimals as BSON's Decimal128 (IEEE 754-2008 in its binary form): exactly, with the zeros that the source showed, or not
// at all. https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md
#pragma once

#include <bson/bson.h>

#include <optional>
#include <string>
#include <string_view>

#include "model/type.h"

namespace tributary {

struct PlainDecimal {
  Int128 coefficient = 0;
  int scale = 0;  // digits behind the point
};

// nullopt: more than 34 digits, or a scale that is not 0…6176.
std::optional<bson_decimal128_t> to_decimal128(const PlainDecimal& decimal);
// nullopt: not a number, infinite, a negative zero, or one with a positive exponent.
std::optional<PlainDecimal> from_decimal128(const bson_decimal128_t& decimal);

// "-12.50" → {-1250, 2}; nullopt where the text is not exactly what plain_text() gives back.
std::optional<PlainDecimal> parse_plain(std::string_view text);
std::string plain_text(const PlainDecimal& decimal);

// value · 10^digits where that fits.
std::optional<Int128> times_power_of_ten(Int128 value, int digits);
// value / 10^digits where nothing is lost.
std::optional<Int128> over_power_of_ten(Int128 value, int digits);

}  // namespace tributary
