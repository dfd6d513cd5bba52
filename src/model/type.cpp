#include "model/type.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace tributary {
namespace {

struct TypeName {
  TypeId id;
  std::string_view name;
  size_t width;
};

constexpr std::array<TypeName, 16> type_names = {{
    {TypeId::kBool, "bool", 1},
    {TypeId::kInt16, "int16", 2},
    {TypeId::kInt32, "int32", 4},
    {TypeId::kInt64, "int64", 8},
    {TypeId::kUInt64, "uint64", 8},
    {TypeId::kFloat32, "float32", 4},
    {TypeId::kFloat64, "float64", 8},
    {TypeId::kDecimal, "decimal", 16},
    {TypeId::kDate, "date", 4},
    {TypeId::kTimestamp, "timestamp", 8},
    {TypeId::kTimestampTz, "timestamptz", 8},
    {TypeId::kUuid, "uuid", 16},
    {TypeId::kText, "text", 0},
    {TypeId::kBytes, "bytes", 0},
    {TypeId::kJson, "json", 0},
    {TypeId::kBigDecimal, "bigdecimal", 0},
}};

// Digits before the point that an integer type may need; 0 for other types.
int integer_digits(TypeId id) {
  switch (id) {
    case TypeId::kInt16: return 5;
    case TypeId::kInt32: return 10;
    case TypeId::kInt64: return 19;
    case TypeId::kUInt64: return 20;
    default: return 0;
  }
}

bool is_decimal(TypeId id) { return id == TypeId::kDecimal || id == TypeId::kBigDecimal; }

std::optional<LogicalType> make_decimal(int whole_digits, int scale) {
  int precision = whole_digits + scale;
  if (precision > 76) return std::nullopt;
  return LogicalType{precision <= 38 ? TypeId::kDecimal : TypeId::kBigDecimal, static_cast<uint8_t>(precision),
                     static_cast<uint8_t>(scale)};
}

std::optional<LogicalType> widen_numbers(const LogicalType& a, const LogicalType& b) {
  int a_digits = integer_digits(a.id);
  int b_digits = integer_digits(b.id);
  if (a_digits > 0 && b_digits > 0) {
    bool a_signed = a.id != TypeId::kUInt64;
    bool b_signed = b.id != TypeId::kUInt64;
    if (a_signed == b_signed) return a_digits > b_digits ? a : b;
    return make_decimal(20, 0);
  }
  if (is_decimal(a.id) || is_decimal(b.id)) {
    if ((!is_decimal(a.id) && a_digits == 0) || (!is_decimal(b.id) && b_digits == 0)) return std::nullopt;
    int whole_a = is_decimal(a.id) ? a.precision - a.scale : a_digits;
    int whole_b = is_decimal(b.id) ? b.precision - b.scale : b_digits;
    int scale = std::max<int>(is_decimal(a.id) ? a.scale : 0, is_decimal(b.id) ? b.scale : 0);
    return make_decimal(std::max(whole_a, whole_b), scale);
  }
  auto is_float = [](TypeId id) { return id == TypeId::kFloat32 || id == TypeId::kFloat64; };
  if (is_float(a.id) && is_float(b.id)) return LogicalType{TypeId::kFloat64};
  // A float64 holds every int16 and int32 exactly, and not every int64.
  if ((is_float(a.id) && b_digits > 0 && b_digits <= 10) || (is_float(b.id) && a_digits > 0 && a_digits <= 10)) {
    return LogicalType{TypeId::kFloat64};
  }
  return std::nullopt;
}

}  // namespace

size_t LogicalType::fixed_width() const {
  for (const TypeName& type : type_names) {
    if (type.id == id) return type.width;
  }
  CHECK(false, "type id {}", static_cast<int>(id));
  return 0;
}

std::string LogicalType::to_string() const {
  for (const TypeName& type : type_names) {
    if (type.id != id) continue;
    return is_decimal(id) ? fmt::format("{}({},{})", type.name, precision, scale) : std::string(type.name);
  }
  return "?";
}

std::optional<LogicalType> LogicalType::parse(std::string_view text) {
  std::string_view name = text.substr(0, text.find('('));
  for (const TypeName& type : type_names) {
    if (type.name != name) continue;
    LogicalType result{type.id};
    if (!is_decimal(type.id)) return text == name ? std::optional(result) : std::nullopt;
    std::string_view rest = text.substr(name.size());
    unsigned precision = 0;
    unsigned scale = 0;
    if (rest.size() < 5 || rest.front() != '(' || rest.back() != ')') return std::nullopt;
    const char* end = rest.data() + rest.size() - 1;
    auto first = std::from_chars(rest.data() + 1, end, precision);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ',') return std::nullopt;
    auto second = std::from_chars(first.ptr + 1, end, scale);
    if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
    unsigned low = type.id == TypeId::kDecimal ? 1 : 39;
    unsigned high = type.id == TypeId::kDecimal ? 38 : 76;
    if (precision < low || precision > high || scale > precision) return std::nullopt;
    result.precision = static_cast<uint8_t>(precision);
    result.scale = static_cast<uint8_t>(scale);
    return result;
  }
  return std::nullopt;
}

std::string decimal_to_string(Int128 value, uint8_t scale) {
  bool negative = value < 0;
  auto magnitude = negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  char buffer[48];
  char* end = buffer + sizeof buffer;
  char* begin = end;
  int digits = 0;
  auto put = [&](auto& rest) {
    *--begin = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
    if (++digits == scale) *--begin = '.';
  };
  while (magnitude > UINT64_MAX) put(magnitude);
  auto rest = static_cast<uint64_t>(magnitude);  // whose division is one instruction
  do {
    put(rest);
  } while (rest != 0 || digits <= scale);
  if (scale == 0 && *begin == '.') ++begin;
  if (negative) *--begin = '-';
  return {begin, end};
}

std::string decimal_to_string(Int128 value, uint8_t scale, uint16_t shown_scale) {
  std::string text = decimal_to_string(value, scale);
  if (shown_scale > scale) {
    if (scale == 0) text.push_back('.');
    text.append(shown_scale - scale, '0');
  }
  for (int left_out = scale - shown_scale; left_out > 0 && text.back() == '0'; --left_out) text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

namespace {

bool dash_before(size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

void append_uuid_text(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (dash_before(i)) out.push_back('-');
    auto byte = static_cast<uint8_t>(bytes[i]);
    out.push_back(digits[byte >> 4]);
    out.push_back(digits[byte & 15]);
  }
}

std::optional<std::array<char, 16>> parse_uuid(std::string_view text) {
  std::array<char, 16> bytes;
  if (text.size() != 2 * bytes.size() + 4) return std::nullopt;
  size_t at = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (dash_before(i) && text[at++] != '-') return std::nullopt;
    int high = hex_value(text[at++]);
    int low = hex_value(text[at++]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i] = static_cast<char>(high << 4 | low);
  }
  return bytes;
}

std::optional<Int128> parse_decimal(std::string_view text, uint8_t precision, uint8_t scale) {
  size_t i = 0;
  bool negative = false;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) negative = text[i++] == '-';
  unsigned __int128 value = 0;
  int digits = 0;     // significant ones
  int fraction = 0;   // digits kept after the point
  bool point = false;
  bool any = false;
  for (; i < text.size(); ++i) {
    char c = text[i];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    any = true;
    if (point && fraction == scale) {
      if (c != '0') return std::nullopt;
      continue;
    }
    if (point) ++fraction;
    if (digits > 0 || c != '0') ++digits;
    if (digits > precision) return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (!any) return std::nullopt;
  for (; fraction < scale; ++fraction) {
    if (value != 0 && ++digits > precision) return std::nullopt;
    value *= 10;
  }
  auto result = static_cast<Int128>(value);
  return negative ? -result : result;
}

std::optional<LogicalType> widen(const LogicalType& a, const LogicalType& b) {
  if (a == b) return a;
  if (auto number = widen_numbers(a, b)) return number;
  auto either = [&](TypeId x, TypeId y) { return (a.id == x && b.id == y) || (a.id == y && b.id == x); };
  if (either(TypeId::kDate, TypeId::kTimestamp)) return LogicalType{TypeId::kTimestamp};
  if (either(TypeId::kText, TypeId::kJson)) return LogicalType{TypeId::kText};
  if (either(TypeId::kText, TypeId::kUuid)) return LogicalType{TypeId::kText};
  return std::nullopt;
}

int32_t days_from_civil(int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  auto year_of_era = static_cast<unsigned>(year - era * 400);
  unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<int32_t>(era * 146097 + static_cast<int64_t>(day_of_era) - 719468);
}

CivilDate civil_from_days(int64_t days) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  auto day_of_era = static_cast<unsigned>(days - era * 146097);
  unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t year = static_cast<int64_t>(year_of_era) + era * 400;
  unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  unsigned shifted_month = (5 * day_of_year + 2) / 153;
  unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {year + (month <= 2), month, day};
}

std::string date_to_string(int32_t days) {
  CivilDate date = civil_from_days(days);
  return date.year < 0 ? fmt::format("-{:04}-{:02}-{:02}", -date.year, date.month, date.day)
                       : fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
}

std::string timestamp_to_string(int64_t micros) {
  constexpr int64_t day_micros = 86'400'000'000;
  int64_t days = micros / day_micros - (micros % day_micros < 0);
  int64_t rest = micros - days * day_micros;
  std::string out = fmt::format("{} {:02}:{:02}:{:02}", date_to_string(static_cast<int32_t>(days)),
                                rest / 3'600'000'000, rest / 60'000'000 % 60, rest / 1'000'000 % 60);
  if (rest % 1'000'000 != 0) out += fmt::format(".{:06}", rest % 1'000'000);
  return out;
}

}  // namespace tributary
