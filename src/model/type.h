// The types that values have between source and store. Few on purpose: a source type that none of them holds
// exactly travels as kText in the source's own text form (docs/types.md lists every type).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

using Int128 = __int128;

enum class TypeId : uint8_t {  // numbers are stored: never reuse one (docs/formats/log-block.md)
  kBool = 1,         // 1 byte, 0 or 1
  kInt16 = 2,        // little-endian two's complement, as the rest
  kInt32 = 3,
  kInt64 = 4,
  kUInt64 = 5,
  kFloat32 = 6,      // IEEE 754
  kFloat64 = 7,
  kDecimal = 8,      // precision 1..38, scale 0..precision: Int128 of 10^-scale
  kDate = 9,         // int32 days since 1970-01-01, proleptic Gregorian
  kTimestamp = 10,   // int64 microseconds since 1970-01-01 00:00:00 without a time zone
  kTimestampTz = 11, // int64 microseconds since 1970-01-01 00:00:00 UTC
  kUuid = 12,        // 16 bytes, in the order of its text form
  kText = 13,        // UTF-8
  kBytes = 14,
  kJson = 15,        // UTF-8 text of a JSON document
  kBigDecimal = 16,  // precision 39..76: its decimal text, normalized by the source
};

struct LogicalType {
  TypeId id = TypeId::kText;
  uint8_t precision = 0;  // decimals only
  uint8_t scale = 0;

  friend bool operator==(const LogicalType&, const LogicalType&) = default;

  // Bytes of one value in a fixed-width column; 0 for text, bytes, JSON and big decimals.
  size_t fixed_width() const;
  bool is_variable() const { return fixed_width() == 0; }

  // "int64", "decimal(12,2)"; parse() is its inverse.
  std::string to_string() const;
  static std::optional<LogicalType> parse(std::string_view text);
};

// Decimal text of value * 10^-scale, all digits of the scale: (-5, 2) → "-0.05".
std::string decimal_to_string(Int128 value, uint8_t scale);
// The same with `shown_scale` digits behind the point: (200, 2, 0) → "2", (200, 2, 3) → "2.000". Only zeros are left out.
std::string decimal_to_string(Int128 value, uint8_t scale, uint16_t shown_scale);

// Exact parse of "[-]digits[.digits]" into value * 10^-scale. nullopt where it has other characters, non-zero digits
// beyond `scale`, or more than `precision` digits: never rounds.
std::optional<Int128> parse_decimal(std::string_view text, uint8_t precision, uint8_t scale);

// A uuid's 16 bytes as text, "0189d2c4-…", appended; and back, from digits of either case.
void append_uuid_text(std::string& out, std::string_view bytes);
std::optional<std::array<char, 16>> parse_uuid(std::string_view text);

// The narrowest type that holds every value of both, when there is one without loss (docs/types.md, "widening").
std::optional<LogicalType> widen(const LogicalType& a, const LogicalType& b);

// Proleptic Gregorian civil dates (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
int32_t days_from_civil(int64_t year, unsigned month, unsigned day);
struct CivilDate {
  int64_t year;
  unsigned month;
  unsigned day;
};
CivilDate civil_from_days(int64_t days);
std::string date_to_string(int32_t days);  // "2024-02-29"; years before 1: "-0001-…" is year -1
std::string timestamp_to_string(int64_t micros);  // "2024-02-29 23:59:59.000001"; six digits unless they are all zero

}  // namespace tributary
