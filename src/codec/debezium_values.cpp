#include "codec/debezium_values.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "codec/iso_time.h"
#include "codec/json_text.h"

namespace tributary {
namespace {

// PostgreSQL's JDBC driver's numbers for infinite timestamps, which Debezium passes on.
constexpr int64_t timestamp_infinity = 9223372036825200000;
constexpr int64_t timestamp_minus_infinity = -9223372036832400000;
constexpr int millisecond_digits_max = 3;

template <typename Number>
void put_number(std::string& out, Number value) {
  fmt::format_int text(value);
  out.append(text.data(), text.size());
}

// Only one NaN of many has a text.
template <typename Number>
bool is_plain_nan(Number value) {
  using Bits = std::conditional_t<sizeof(Number) == 4, uint32_t, uint64_t>;
  return std::bit_cast<Bits>(value) == std::bit_cast<Bits>(std::numeric_limits<Number>::quiet_NaN());
}

template <typename Number>
bool put_float(std::string& out, Number value) {
  if (std::isnan(value)) {
    out += "\"NaN\"";
    return is_plain_nan(value);
  }
  if (std::isinf(value)) {
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    return true;
  }
  char buffer[32];
  char* end = fmt::format_to(buffer, FMT_COMPILE("{}"), value);  // the shortest text that reads back as the same number
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
  return true;
}

// "timestamp(3) without time zone" → 3; without digits PostgreSQL's precision is 6.
int timestamp_digits(std::string_view source_type) {
  size_t at = source_type.find('(');
  if (at == std::string_view::npos || at + 1 >= source_type.size()) return 6;
  char digit = source_type[at + 1];
  return digit >= '0' && digit <= '6' ? digit - '0' : 6;
}

// `value` < 10^count with zeros in front.
template <size_t count, typename Number>
void put_digits(std::string& out, Number value) {
  char text[count];
  for (size_t i = count; i > 0; --i, value /= 10) text[i - 1] = static_cast<char>('0' + value % 10);
  out.append(text, count);
}

// "2024-02-29T23:59:59.500Z": as many digits of the fraction as the column has, all six where the value has more; a sign before
// years of more than four digits.
void put_zoned_timestamp(std::string& out, int64_t micros, int digits) {
  constexpr int64_t day_micros = 86'400'000'000;
  int64_t days = micros / day_micros - (micros % day_micros < 0);
  int64_t rest = micros - days * day_micros;
  CivilDate date = civil_from_days(days);
  int64_t year = std::abs(date.year);
  out.push_back('"');
  if (date.year < 0) out.push_back('-');
  if (date.year > 9999) out.push_back('+');
  if (year > 9999) {
    put_number(out, year);
  } else {
    put_digits<4>(out, year);
  }
  out.push_back('-');
  put_digits<2>(out, date.month);
  out.push_back('-');
  put_digits<2>(out, date.day);
  out.push_back('T');
  put_digits<2>(out, rest / 3'600'000'000);
  out.push_back(':');
  put_digits<2>(out, rest / 60'000'000 % 60);
  out.push_back(':');
  put_digits<2>(out, rest / 1'000'000 % 60);
  out.push_back('.');
  size_t fraction = out.size();
  put_digits<6>(out, rest % 1'000'000);
  size_t needed = out.find_last_not_of('0') + 1 - fraction;  // none: it finds the point
  if (needed <= static_cast<size_t>(digits)) out.resize(fraction + static_cast<size_t>(digits));
  if (out.back() == '.') out.pop_back();
  out += "Z\"";
}

// time.precision.mode=adaptive: the unit depends on the column's precision.
bool put_timestamp(std::string& out, const ColumnSchema& schema, int64_t micros) {
  bool millis = debezium_in_millis(schema);
  int64_t value = millis ? micros / 1000 - (micros % 1000 < 0) : micros;
  put_number(out, value);
  return !(millis && micros % 1000 != 0) && value != timestamp_infinity && value != timestamp_minus_infinity;
}

// ---- reading ----

// Numeric text; the digits behind its point are what the source shows.
bool append_decimal_text(Column& column, std::string_view text) {
  constexpr uint8_t digits_max = 38;
  auto value = parse_decimal(text, digits_max, column.type().scale);
  if (!value) return false;
  size_t point = text.find('.');
  size_t shown = point == std::string_view::npos ? 0 : text.size() - point - 1;
  if (shown > UINT16_MAX) return false;
  column.append_decimal(*value, static_cast<uint16_t>(shown));
  return true;
}

// A string for a column of text, or the text form of what has no number.
bool append_string(Column& column, std::string_view text, std::string& spare) {
  switch (column.type().id) {
    case TypeId::kText:
    case TypeId::kJson:
    case TypeId::kBigDecimal: column.append_bytes(text); return true;
    case TypeId::kBytes:
      spare.clear();
      if (!append_from_base64(spare, text)) return false;
      column.append_bytes(spare);
      return true;
    case TypeId::kUuid:
      if (auto bytes = parse_uuid(text)) {
        column.append_bytes({bytes->data(), bytes->size()});
        return true;
      }
      break;
    case TypeId::kDecimal:
      if (append_decimal_text(column, text)) return true;
      break;
    case TypeId::kTimestampTz:
      if (auto micros = parse_iso_timestamp(text)) {
        column.append_fixed<int64_t>(*micros);
        return true;
      }
      break;
    case TypeId::kFloat32:
    case TypeId::kFloat64: {
      double special = text == "NaN"         ? std::numeric_limits<double>::quiet_NaN()
                       : text == "Infinity"  ? std::numeric_limits<double>::infinity()
                       : text == "-Infinity" ? -std::numeric_limits<double>::infinity()
                                             : 0;
      if (special == 0) break;
      if (column.type().id == TypeId::kFloat32) {
        column.append_fixed<float>(static_cast<float>(special));
      } else {
        column.append_fixed<double>(special);
      }
      return true;
    }
    default: break;
  }
  column.append_text(text);
  return true;
}

bool append_timestamp(Column& column, const ColumnSchema& schema, int64_t value) {
  if (value == timestamp_infinity || value == timestamp_minus_infinity) {
    column.append_text(value > 0 ? "infinity" : "-infinity");
    return true;
  }
  int64_t micros = value;
  if (debezium_in_millis(schema) && __builtin_mul_overflow(value, 1000, &micros)) return false;
  column.append_fixed<int64_t>(micros);
  return true;
}

template <typename Number>
bool append_narrow(Column& column, int64_t value) {
  if (value < std::numeric_limits<Number>::min() || value > std::numeric_limits<Number>::max()) return false;
  column.append_fixed<Number>(static_cast<Number>(value));
  return true;
}

// The shortest text of a float is read as that type: through a double it could be rounded twice.
template <typename Number>
bool append_float(Column& column, std::string_view token) {
  while (!token.empty() &&
         (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' || token.back() == '\t'))
    token.remove_suffix(1);
  Number number{};
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
  if (error != std::errc{} || end != token.data() + token.size()) return false;
  column.append_fixed<Number>(number);
  return true;
}

bool append_number(Column& column, const ColumnSchema& schema, simdjson::ondemand::value& value) {
  TypeId id = column.type().id;
  if (id == TypeId::kFloat32) return append_float<float>(column, value.raw_json_token());
  if (id == TypeId::kFloat64) return append_float<double>(column, value.raw_json_token());
  if (id == TypeId::kUInt64) {
    uint64_t number = 0;
    if (value.get_uint64().get(number) != simdjson::SUCCESS) return false;
    column.append_fixed<uint64_t>(number);
    return true;
  }
  int64_t number = 0;
  if (value.get_int64().get(number) != simdjson::SUCCESS) return false;
  switch (id) {
    case TypeId::kInt16: return append_narrow<int16_t>(column, number);
    case TypeId::kInt32: return append_narrow<int32_t>(column, number);
    case TypeId::kInt64: return append_narrow<int64_t>(column, number);
    case TypeId::kDate: return append_narrow<int32_t>(column, number);
    case TypeId::kTimestamp: return append_timestamp(column, schema, number);
    default: return false;
  }
}

bool is_unavailable(const Column& column, std::string_view text) {
  if (column.type().id != TypeId::kBytes) return text == debezium_unavailable_value;
  static const std::string encoded = [] {
    std::string out;
    put_base64(out, debezium_unavailable_value);
    return out;
  }();
  return text == encoded;
}

bool append_any(Column& column, const ColumnSchema& schema, simdjson::ondemand::value& value, std::string& spare) {
  simdjson::ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  switch (type) {
    case simdjson::ondemand::json_type::null: {
      bool null = false;
      if (value.is_null().get(null) != simdjson::SUCCESS || !null) return false;
      column.append_null();
      return true;
    }
    case simdjson::ondemand::json_type::boolean: {
      bool flag = false;
      if (column.type().id != TypeId::kBool || value.get_bool().get(flag) != simdjson::SUCCESS) return false;
      column.append_fixed<uint8_t>(flag ? 1 : 0);
      return true;
    }
    case simdjson::ondemand::json_type::number: return append_number(column, schema, value);
    case simdjson::ondemand::json_type::string: {
      std::string_view text;
      if (value.get_string().get(text) != simdjson::SUCCESS) return false;
      if (is_unavailable(column, text)) {
        column.append_absent();
        return true;
      }
      return append_string(column, text, spare);
    }
    default: return false;
  }
}

}  // namespace

bool debezium_in_millis(const ColumnSchema& column) {
  return timestamp_digits(column.source_type) <= millisecond_digits_max;
}

bool put_debezium_value(std::string& out, const ColumnSchema& schema, const Column& column, size_t row) {
  switch (column.type().id) {
    case TypeId::kBool: out += column.fixed<uint8_t>(row) != 0 ? "true" : "false"; return true;
    case TypeId::kInt16: put_number(out, column.fixed<int16_t>(row)); return true;
    case TypeId::kInt32: put_number(out, column.fixed<int32_t>(row)); return true;
    case TypeId::kInt64: put_number(out, column.fixed<int64_t>(row)); return true;
    case TypeId::kUInt64: put_number(out, column.fixed<uint64_t>(row)); return true;
    case TypeId::kFloat32: return put_float(out, column.fixed<float>(row));
    case TypeId::kFloat64: return put_float(out, column.fixed<double>(row));
    case TypeId::kDecimal:
      out.push_back('"');
      out += decimal_to_string(column.fixed<Int128>(row), column.type().scale, column.shown_scale(row));
      out.push_back('"');
      return true;
    case TypeId::kDate: put_number(out, column.fixed<int32_t>(row)); return true;
    case TypeId::kTimestamp: return put_timestamp(out, schema, column.fixed<int64_t>(row));
    case TypeId::kTimestampTz:
      put_zoned_timestamp(out, column.fixed<int64_t>(row), timestamp_digits(schema.source_type));
      return true;
    case TypeId::kUuid:
      out.push_back('"');
      append_uuid_text(out, column.bytes(row));
      out.push_back('"');
      return true;
    case TypeId::kBytes: {
      size_t at = out.size() + 1;
      out.push_back('"');
      put_base64(out, column.bytes(row));
      out.push_back('"');
      return !is_unavailable(column, std::string_view(out).substr(at, out.size() - 1 - at));
    }
    case TypeId::kText:
    case TypeId::kJson:
    case TypeId::kBigDecimal:
      return put_json_string(out, column.bytes(row)) && column.bytes(row) != debezium_unavailable_value;
  }
  return false;
}

void put_debezium_text(std::string& out, const Column& column, std::string_view text) {
  bool infinity = text == "infinity" || text == "-infinity";
  if (column.type().id == TypeId::kTimestamp && infinity) {
    put_number(out, text[0] == '-' ? timestamp_minus_infinity : timestamp_infinity);
  } else {
    put_json_string(out, text);
  }
}

void put_debezium_unavailable(std::string& out, const Column& column) {
  out.push_back('"');
  if (column.type().id == TypeId::kBytes) {
    put_base64(out, debezium_unavailable_value);
  } else {
    out += debezium_unavailable_value;
  }
  out.push_back('"');
}

Status append_debezium_value(Column& column, const ColumnSchema& schema, simdjson::ondemand::value value,
                             std::string& spare) {
  if (append_any(column, schema, value, spare)) return {};
  std::string_view token = value.raw_json_token();
  return Error{ErrorCode::kInvalidInput, fmt::format("{} is no value of column {} ({})", token.substr(0, 100),
                                                     schema.name, column.type().to_string())};
}

}  // namespace tributary
