#include "codec/postgres/text_values.h"

#include <array>
#include <charconv>
#include <optional>
#include <string>

namespace tributary {
namespace {

// pg_type.oid of built-in types (pg_type.dat): fixed for ever.
enum PgTypeOid : uint32_t {
  bool_oid = 16,
  bytea_oid = 17,
  int8_oid = 20,
  int2_oid = 21,
  int4_oid = 23,
  oid_oid = 26,
  json_oid = 114,
  float4_oid = 700,
  float8_oid = 701,
  money_oid = 790,
  date_oid = 1082,
  timestamp_oid = 1114,
  timestamptz_oid = 1184,
  numeric_oid = 1700,
  uuid_oid = 2950,
  jsonb_oid = 3802,
};

LogicalType numeric_type(int32_t modifier) {
  if (modifier < 4) return {TypeId::kDecimal, 38, 18};
  int precision = ((modifier - 4) >> 16) & 0xFFFF;
  int scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024;  // 11 bits with a sign since PostgreSQL 15
  if (scale < 0) {
    precision -= scale;
    scale = 0;
  }
  if (precision < scale) precision = scale;  // numeric(2,5) holds 0.00012
  if (precision > 76) return {TypeId::kText};
  return {precision <= 38 ? TypeId::kDecimal : TypeId::kBigDecimal, static_cast<uint8_t>(precision),
          static_cast<uint8_t>(scale)};
}

template <typename T>
bool append_number(Column& column, std::string_view text) {
  T value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  column.append_fixed(value);
  return true;
}

// The common case of decimals in one 64-bit accumulator; nullopt: let the general parser look at it.
std::optional<int64_t> parse_short_decimal(std::string_view text, int precision, int scale) {
  constexpr size_t digits_max = 18;
  bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > digits_max) return std::nullopt;
  int64_t value = 0;
  int digits = 0;
  int fraction = -1;  // digits behind the point, -1 before it
  for (char c : text) {
    if (c == '.' && fraction < 0) {
      fraction = 0;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
    ++digits;
    if (fraction >= 0) ++fraction;
  }
  if (digits == 0) return std::nullopt;
  int missing = scale - (fraction < 0 ? 0 : fraction);
  if (missing < 0 || digits + missing > precision || digits + missing > static_cast<int>(digits_max))
    return std::nullopt;
  for (; missing > 0; --missing) value *= 10;
  return negative ? -value : value;
}

// The digits behind the point of a number that was parsed; PostgreSQL writes at most 16383.
uint16_t digits_behind_point(std::string_view text) {
  size_t point = text.find('.');
  return static_cast<uint16_t>(point == std::string_view::npos ? 0 : text.size() - point - 1);
}

bool append_decimal(Column& column, std::string_view text) {
  LogicalType type = column.type();
  if (auto value = parse_short_decimal(text, type.precision, type.scale)) {
    column.append_decimal(*value, digits_behind_point(text));
    return true;
  }
  std::string plain;
  if (text.find('$') != std::string_view::npos) {  // money, under lc_monetary C: -$1,234.56
    for (char c : text) {
      if (c != '$' && c != ',') plain.push_back(c);
    }
    text = plain;
  }
  std::optional<Int128> value = parse_decimal(text, type.precision, type.scale);
  if (!value || text.size() > UINT16_MAX) return false;
  column.append_decimal(*value, digits_behind_point(text));
  return true;
}

bool is_decimal_text(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
}

// Reads exactly `width` digits at the front of `text`.
bool take_digits(std::string_view& text, size_t width, int64_t& value) {
  if (text.size() < width) return false;
  value = 0;
  for (size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return true;
}

bool take_char(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

bool take_era(std::string_view& text) {
  if (!text.ends_with(" BC")) return false;
  text.remove_suffix(3);
  return true;
}

// "2024-02-29", years of four to seven digits, at the front of `text`; `bc` from the end of the whole text.
bool take_date(std::string_view& text, bool bc, int64_t& days) {
  size_t year_digits = text.find('-');
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  if (year_digits == std::string_view::npos || year_digits < 4 || year_digits > 7) return false;
  if (!take_digits(text, year_digits, year) || !take_char(text, '-') || !take_digits(text, 2, month) ||
      !take_char(text, '-') || !take_digits(text, 2, day)) {
    return false;
  }
  if (month < 1 || month > 12 || day < 1 || day > 31 || year < 1) return false;
  days = days_from_civil(bc ? 1 - year : year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return true;
}

bool append_date(Column& column, std::string_view text) {
  bool bc = take_era(text);
  int64_t days = 0;
  if (!take_date(text, bc, days) || !text.empty()) return false;
  column.append_fixed(static_cast<int32_t>(days));
  return true;
}

// "2024-02-29 23:59:59.123456", with "+00" behind it where it has a time zone (the session's is UTC), then " BC".
bool append_timestamp(Column& column, std::string_view text, bool with_zone) {
  bool bc = take_era(text);
  int64_t days = 0;
  int64_t hours = 0;
  int64_t minutes = 0;
  int64_t seconds = 0;
  if (!take_date(text, bc, days) || !take_char(text, ' ') || !take_digits(text, 2, hours) || !take_char(text, ':') ||
      !take_digits(text, 2, minutes) || !take_char(text, ':') || !take_digits(text, 2, seconds)) {
    return false;
  }
  int64_t micros = 0;
  if (take_char(text, '.')) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    if (digits == 0 || digits > 6 || !take_digits(text, digits, micros)) return false;
    for (; digits < 6; ++digits) micros *= 10;
  }
  if (with_zone && (!take_char(text, '+') || !take_char(text, '0') || !take_char(text, '0'))) return false;
  if (!text.empty()) return false;
  int64_t of_day = ((hours * 60 + minutes) * 60 + seconds) * 1'000'000 + micros;
  int64_t total = 0;
  if (__builtin_mul_overflow(days, int64_t{86'400'000'000}, &total) || __builtin_add_overflow(total, of_day, &total)) {
    return false;
  }
  column.append_fixed(total);
  return true;
}

constexpr std::array<int8_t, 256> hex_digits = [] {
  std::array<int8_t, 256> digits{};
  digits.fill(-1);
  for (size_t i = 0; i < 10; ++i) digits['0' + i] = static_cast<int8_t>(i);
  for (size_t i = 0; i < 6; ++i) digits['a' + i] = digits['A' + i] = static_cast<int8_t>(10 + i);
  return digits;
}();

// The byte of two hex digits, or a negative number.
int hex_byte(char high, char low) {
  int h = hex_digits[static_cast<uint8_t>(high)];
  int l = hex_digits[static_cast<uint8_t>(low)];
  return (h | l) < 0 ? -1 : h * 16 + l;
}

bool append_uuid(Column& column, std::string_view text) {
  auto bytes = parse_uuid(text);
  if (bytes) column.append_bytes({bytes->data(), bytes->size()});
  return bytes.has_value();
}

bool append_hex_bytes(Column& column, std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0) return false;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 2; i < text.size(); i += 2) {
    int value = hex_byte(text[i], text[i + 1]);
    if (value < 0) return false;
    bytes.push_back(static_cast<char>(value));
  }
  column.append_bytes(bytes);
  return true;
}

bool append_bool(Column& column, std::string_view text) {
  if (text != "t" && text != "f") return false;
  column.append_fixed<uint8_t>(text == "t" ? 1 : 0);
  return true;
}

bool append_value(Column& column, std::string_view text) {
  switch (column.type().id) {
    case TypeId::kBool: return append_bool(column, text);
    case TypeId::kInt16: return append_number<int16_t>(column, text);
    case TypeId::kInt32: return append_number<int32_t>(column, text);
    case TypeId::kInt64: return append_number<int64_t>(column, text);
    case TypeId::kUInt64: return append_number<uint64_t>(column, text);
    case TypeId::kFloat32: return append_number<float>(column, text);
    case TypeId::kFloat64: return append_number<double>(column, text);
    case TypeId::kDecimal: return append_decimal(column, text);
    case TypeId::kDate: return append_date(column, text);
    case TypeId::kTimestamp: return append_timestamp(column, text, false);
    case TypeId::kTimestampTz: return append_timestamp(column, text, true);
    case TypeId::kUuid: return append_uuid(column, text);
    case TypeId::kBytes: return append_hex_bytes(column, text);
    case TypeId::kBigDecimal:
      if (!is_decimal_text(text)) return false;
      [[fallthrough]];
    case TypeId::kText:
    case TypeId::kJson: column.append_bytes(text); return true;
  }
  return false;
}

}  // namespace

LogicalType postgres_logical_type(uint32_t type, int32_t modifier) {
  switch (type) {
    case bool_oid: return {TypeId::kBool};
    case int2_oid: return {TypeId::kInt16};
    case int4_oid: return {TypeId::kInt32};
    case int8_oid:
    case oid_oid: return {TypeId::kInt64};
    case float4_oid: return {TypeId::kFloat32};
    case float8_oid: return {TypeId::kFloat64};
    case numeric_oid: return numeric_type(modifier);
    case money_oid: return {TypeId::kDecimal, 19, 2};
    case date_oid: return {TypeId::kDate};
    case timestamp_oid: return {TypeId::kTimestamp};
    case timestamptz_oid: return {TypeId::kTimestampTz};
    case uuid_oid: return {TypeId::kUuid};
    case bytea_oid: return {TypeId::kBytes};
    case json_oid:
    case jsonb_oid: return {TypeId::kJson};
    default: return {TypeId::kText};
  }
}

void append_postgres_text(Column& column, std::string_view text) {
  if (!append_value(column, text)) column.append_text(text);
}

}  // namespace tributary
