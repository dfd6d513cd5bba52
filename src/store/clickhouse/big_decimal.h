// Decimals of 39 to 76 digits as ClickHouse's Decimal256 holds them: a 256-bit two's complement integer of 10^-scale.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tributary {

// Exact parse of "[-]digits[.digits]"; nullopt for anything else, and for what needs more than `scale` digits behind the
// point or `precision` in all. Low word first.
std::optional<std::array<uint64_t, 4>> parse_big_decimal(std::string_view text, int precision, int scale);

}  // namespace tributary
