#include "codec/connect/connect_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "codec/connect/connect_text.h"
#include "codec/iso_time.h"
#include "codec/json_text.h"
#include "codec/postgres/text_values.h"

namespace tributary {
namespace {

using simdjson::SUCCESS;
using simdjson::ondemand::json_type;

// PostgreSQL's JDBC driver's numbers for infinite timestamps, in milliseconds, which Debezium passes on.
constexpr int64_t infinity_millis = 9223372036825200;
constexpr int64_t minus_infinity_millis = -9223372036832400;

void put_hex(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (char c : bytes) {
    out.push_back(digits[static_cast<uint8_t>(c) >> 4]);
    out.push_back(digits[static_cast<uint8_t>(c) & 15]);
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool append_from_hex(std::string& out, std::string_view text) {
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]);
    int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

// Bytes that a text of the form stands for, appended.
bool append_bytes_of(std::string& out, ConnectKind kind, std::string_view text) {
  if (kind == ConnectKind::kHex) return append_from_hex(out, text);
  if (kind != ConnectKind::kBase64Url) return append_from_base64(out, text);
  std::string standard(text);
  std::replace(standard.begin(), standard.end(), '-', '+');
  std::replace(standard.begin(), standard.end(), '_', '/');
  return append_from_base64(out, standard);
}

std::string_view trimmed(std::string_view token) {
  size_t end = token.find_last_not_of(" \t\r\n");
  return end == std::string_view::npos ? std::string_view() : token.substr(0, end + 1);
}

// "03:04:05.6780Z" without its zone and without zeros at the fraction's end, as PostgreSQL writes it.
bool put_iso_time(std::string& out, std::string_view text, bool with_zone) {
  if (!text.ends_with('Z')) return false;
  text.remove_suffix(1);
  if (text.find('.') != std::string_view::npos) text = text.substr(0, text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.remove_suffix(1);
  out += text;
  if (with_zone) out += "+00";
  return true;
}

// Of number × unit; false: out of range.
bool to_micros(const ConnectForm& form, int64_t number, int64_t& micros) {
  if (__builtin_mul_overflow(number, form.micros_per_unit, &micros)) return false;
  if (form.units_per_micro != 1) {
    int64_t rest = micros % form.units_per_micro;
    micros = micros / form.units_per_micro - (rest < 0);
  }
  return true;
}

void put_hstore_text(std::string& out, std::string_view text) {
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

}  // namespace

ConnectValueReader::ConnectValueReader(const ConnectModes& modes) : unavailable_(modes.unavailable) {
  put_base64(unavailable_base64_, unavailable_);
  put_hex(unavailable_hex_, unavailable_);
}

Status ConnectValueReader::append(Column& column, const ConnectField& field, simdjson::ondemand::value value) {
  size_t rows = column.rows();
  if (append_value(column, field.form, value)) return {};
  column.truncate(rows);
  std::string_view token = value.raw_json_token();
  return Error{ErrorCode::kInvalidInput, fmt::format("{} is no value of column {} ({})", token.substr(0, 100),
                                                     field.name, field.form.source_type)};
}

bool ConnectValueReader::is_unavailable(const ConnectForm& form, std::string_view text) const {
  switch (form.kind) {
    case ConnectKind::kPlain: return text == unavailable_;
    case ConnectKind::kHex: return text == unavailable_hex_;
    case ConnectKind::kBase64:
    case ConnectKind::kBase64Url: return text == unavailable_base64_;
    default: return false;
  }
}

bool ConnectValueReader::append_value(Column& column, const ConnectForm& form, simdjson::ondemand::value& value) {
  json_type type{};
  if (value.type().get(type) != SUCCESS) return false;
  switch (type) {
    case json_type::null: {
      bool null = false;
      if (value.is_null().get(null) != SUCCESS || !null) return false;
      column.append_null();
      return true;
    }
    case json_type::boolean: {
      bool flag = false;
      if (value.get_bool().get(flag) != SUCCESS) return false;
      if (column.type().id == TypeId::kBool) {
        column.append_fixed<uint8_t>(flag ? 1 : 0);
      } else {
        append_postgres_text(column, flag ? "1" : "0");  // bit(1)
      }
      return true;
    }
    case json_type::number: {
      if (form.kind == ConnectKind::kPlain) return append_plain_number(column, value);
      int64_t number = 0;
      if (form.kind != ConnectKind::kTimestamp) return append_as_text(column, form, value);
      return value.get_int64().get(number) == SUCCESS && append_timestamp(column, form, number);
    }
    case json_type::string: {
      std::string_view text;
      if (value.get_string().get(text) != SUCCESS) return false;
      if (is_unavailable(form, text)) {
        column.append_absent();
        return true;
      }
      return append_string(column, form, text);
    }
    default: return append_as_text(column, form, value);
  }
}

bool ConnectValueReader::append_plain_number(Column& column, simdjson::ondemand::value& value) {
  TypeId id = column.type().id;
  int64_t number = 0;
  if (id == TypeId::kInt32 || id == TypeId::kInt64 || id == TypeId::kInt16 || id == TypeId::kDate) {
    if (value.get_int64().get(number) != SUCCESS) return false;
    if (id == TypeId::kInt64) {
      column.append_fixed<int64_t>(number);
      return true;
    }
    if (id == TypeId::kInt16) {
      if (number != static_cast<int16_t>(number)) return false;
      column.append_fixed<int16_t>(static_cast<int16_t>(number));
      return true;
    }
    if (number != static_cast<int32_t>(number)) return false;
    column.append_fixed<int32_t>(static_cast<int32_t>(number));
    return true;
  }
  std::string_view token = trimmed(value.raw_json_token());
  if (id == TypeId::kFloat64 || id == TypeId::kFloat32) {
    append_postgres_text(column, token);
    return column.is_value(column.rows() - 1);
  }
  auto plain = plain_number(token);
  if (!plain) return false;
  append_postgres_text(column, *plain);
  return true;
}

bool ConnectValueReader::append_plain_text(Column& column, std::string_view text) {
  switch (column.type().id) {
    case TypeId::kBool:
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kUInt64:
    case TypeId::kDate: return false;
    case TypeId::kFloat32:
    case TypeId::kFloat64:
      if (text != "NaN" && text != "Infinity" && text != "-Infinity") return false;
      break;
    case TypeId::kDecimal:
    case TypeId::kBigDecimal:
      if (text == "NAN") text = "NaN";  // decimal.handling.mode=string
      break;
    default: break;
  }
  append_postgres_text(column, text);
  return true;
}

bool ConnectValueReader::append_string(Column& column, const ConnectForm& form, std::string_view text) {
  switch (form.kind) {
    case ConnectKind::kPlain: return append_plain_text(column, text);
    case ConnectKind::kDecimal: return append_decimal(column, form, text);
    case ConnectKind::kBase64:
    case ConnectKind::kBase64Url:
    case ConnectKind::kHex:
      spare_.clear();
      if (!append_bytes_of(spare_, form.kind, text)) return false;
      column.append_bytes(spare_);
      return true;
    case ConnectKind::kIsoTimestamp:
      if (auto micros = parse_iso_timestamp(text)) {
        column.append_fixed<int64_t>(*micros);
      } else {
        column.append_text(text);  // "infinity"
      }
      return true;
    case ConnectKind::kIsoDate:
      if (auto days = parse_iso_date(text)) {
        column.append_fixed<int32_t>(*days);
      } else {
        column.append_text(text);
      }
      return true;
    default:
      text_.clear();
      if (!put_string_text(text_, form, text)) return false;
      append_postgres_text(column, text_);
      return true;
  }
}

bool ConnectValueReader::append_decimal(Column& column, const ConnectForm& form, std::string_view base64) {
  spare_.clear();
  if (!append_from_base64(spare_, base64)) return false;
  LogicalType type = column.type();
  if (type.id == TypeId::kDecimal && form.digits == type.scale && spare_.size() <= sizeof(Int128) && !spare_.empty()) {
    Int128 number = static_cast<int8_t>(spare_[0]) < 0 ? -1 : 0;
    for (char c : spare_)
      number = static_cast<Int128>(static_cast<unsigned __int128>(number) << 8) | static_cast<uint8_t>(c);
    Int128 limit = 1;
    for (int i = 0; i < type.precision; ++i) limit *= 10;
    if (number > -limit && number < limit) {
      column.append_fixed<Int128>(number);
      return true;
    }
  }
  append_postgres_text(column, unscaled_to_decimal(spare_, form.digits));
  return true;
}

bool ConnectValueReader::append_timestamp(Column& column, const ConnectForm& form, int64_t number) {
  if (form.units_per_micro == 1) {
    int64_t per_milli = 1000 / form.micros_per_unit;
    if (number == infinity_millis * per_milli || number == minus_infinity_millis * per_milli) {
      column.append_text(number > 0 ? "infinity" : "-infinity");
      return true;
    }
  }
  int64_t micros = 0;
  if (!to_micros(form, number, micros)) {
    column.append_text(std::to_string(number) + " ms");
    return true;
  }
  column.append_fixed<int64_t>(micros);
  return true;
}

bool ConnectValueReader::append_as_text(Column& column, const ConnectForm& form, simdjson::ondemand::value& value) {
  std::string text;
  json_type type{};
  if (value.type().get(type) != SUCCESS) return false;
  bool read = type == json_type::number ? put_number_text(text, form, value) : put_object(text, form, value);
  if (!read) return false;
  if (text == unavailable_) {
    column.append_absent();
  } else {
    append_postgres_text(column, text);
  }
  return true;
}

// ---- as text ----

bool ConnectValueReader::put_text(std::string& out, const ConnectForm& form, simdjson::ondemand::value& value) {
  json_type type{};
  if (value.type().get(type) != SUCCESS) return false;
  switch (type) {
    case json_type::boolean: {
      bool flag = false;
      if (value.get_bool().get(flag) != SUCCESS) return false;
      bool bit = form.type.id != TypeId::kBool;
      out.push_back(bit ? (flag ? '1' : '0') : (flag ? 't' : 'f'));
      return true;
    }
    case json_type::number: return put_number_text(out, form, value);
    case json_type::string: {
      std::string_view text;
      return value.get_string().get(text) == SUCCESS && put_string_text(out, form, text);
    }
    case json_type::null: return false;
    default: return put_object(out, form, value);
  }
}

bool ConnectValueReader::put_number_text(std::string& out, const ConnectForm& form, simdjson::ondemand::value& value) {
  std::string_view token = trimmed(value.raw_json_token());
  TypeId id = form.type.id;
  int64_t number = 0;
  if (id == TypeId::kFloat64 || id == TypeId::kFloat32) {
    double wide = 0;
    if (value.get_double().get(wide) != SUCCESS) return false;
    if (id == TypeId::kFloat64) {
      put_postgres_float(out, wide);
      return true;
    }
    float narrow = 0;
    if (std::from_chars(token.data(), token.data() + token.size(), narrow).ec != std::errc{}) return false;
    put_postgres_float(out, narrow);
    return true;
  }
  if (form.kind == ConnectKind::kPlain && id != TypeId::kDate) {
    auto plain = plain_number(token);
    if (plain) out += *plain;
    return plain.has_value();
  }
  if (value.get_int64().get(number) != SUCCESS) return false;
  if (id == TypeId::kDate) {
    if (number != static_cast<int32_t>(number)) return false;
    put_postgres_date(out, static_cast<int32_t>(number));
    return true;
  }
  int64_t micros = 0;
  if ((form.kind != ConnectKind::kTime && form.kind != ConnectKind::kTimestamp) || !to_micros(form, number, micros)) {
    return false;
  }
  if (form.kind == ConnectKind::kTime) return put_postgres_time(out, micros);
  put_postgres_timestamp(out, micros, false);
  return true;
}

bool ConnectValueReader::put_string_text(std::string& out, const ConnectForm& form, std::string_view text) {
  switch (form.kind) {
    case ConnectKind::kDecimal: {
      std::string bytes;
      if (!append_from_base64(bytes, text)) return false;
      out += unscaled_to_decimal(bytes, form.digits);
      return true;
    }
    case ConnectKind::kBase64:
    case ConnectKind::kBase64Url:
    case ConnectKind::kHex: {
      std::string bytes;
      if (!append_bytes_of(bytes, form.kind, text)) return false;
      out += "\\x";
      put_hex(out, bytes);
      return true;
    }
    case ConnectKind::kBits: {
      std::string bytes;
      if (!append_from_base64(bytes, text)) return false;
      out += bits_to_text(bytes, form.digits);
      return true;
    }
    case ConnectKind::kIsoTimestamp: {
      auto micros = parse_iso_timestamp(text);
      if (micros) {
        put_postgres_timestamp(out, *micros, form.type.id == TypeId::kTimestampTz);
      } else {
        out += text;
      }
      return true;
    }
    case ConnectKind::kIsoDate: {
      auto days = parse_iso_date(text);
      if (days) {
        put_postgres_date(out, *days);
      } else {
        out += text;
      }
      return true;
    }
    case ConnectKind::kIsoTime: return put_iso_time(out, text, false);
    case ConnectKind::kZonedTime: return put_iso_time(out, text, true);
    default: out += text; return true;
  }
}

bool ConnectValueReader::put_object(std::string& out, const ConnectForm& form, simdjson::ondemand::value& value) {
  if (form.kind == ConnectKind::kArray) return put_array(out, *form.element, value);
  if (form.kind == ConnectKind::kMap) return put_map(out, value);
  if (form.kind == ConnectKind::kDocument) {
    std::string_view json;
    if (simdjson::to_json_string(value).get(json) != SUCCESS) return false;
    out += json;
    return true;
  }
  simdjson::ondemand::object object;
  if (value.get_object().get(object) != SUCCESS) return false;
  if (form.kind == ConnectKind::kVariableDecimal) {
    int64_t scale = 0;
    std::string_view text;
    std::string bytes;
    if (object.find_field_unordered("scale").get_int64().get(scale) != SUCCESS ||
        object.find_field_unordered("value").get_string().get(text) != SUCCESS || !append_from_base64(bytes, text) ||
        std::abs(scale) > 200'000) {
      return false;
    }
    out += unscaled_to_decimal(bytes, scale);
    return true;
  }
  double x = 0;
  double y = 0;
  if (form.kind != ConnectKind::kPoint || object.find_field_unordered("x").get_double().get(x) != SUCCESS ||
      object.find_field_unordered("y").get_double().get(y) != SUCCESS) {
    return false;
  }
  out.push_back('(');
  put_postgres_float(out, x);
  out.push_back(',');
  put_postgres_float(out, y);
  out.push_back(')');
  return true;
}

// A value that was not sent is an array of the placeholder, or of its bytes where it is one of numbers.
bool ConnectValueReader::put_array(std::string& out, const ConnectForm& element, simdjson::ondemand::value& value) {
  simdjson::ondemand::array array;
  if (value.get_array().get(array) != SUCCESS) return false;
  std::string bytes;
  std::string single;
  size_t count = 0;
  size_t begin = out.size();
  out.push_back('{');
  for (auto result : array) {
    simdjson::ondemand::value entry;
    if (std::move(result).get(entry) != SUCCESS) return false;
    if (count++ != 0) out.push_back(',');
    bool null = false;
    if (entry.is_null().get(null) != SUCCESS) return false;
    if (null) {
      out += "NULL";
      continue;
    }
    std::string text;
    if (!put_text(text, element, entry)) return false;
    if (bytes.size() < unavailable_.size()) {
      int number = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc{} && end == text.data() + text.size()) bytes.push_back(static_cast<char>(number));
    }
    put_array_element(out, text);
    single = std::move(text);
  }
  out.push_back('}');
  if ((count == 1 && single == unavailable_) || (count == unavailable_.size() && bytes == unavailable_)) {
    out.replace(begin, std::string::npos, unavailable_);
  }
  return true;
}

// hstore_out: by the keys' lengths, then their bytes.
bool ConnectValueReader::put_map(std::string& out, simdjson::ondemand::value& value) {
  simdjson::ondemand::object object;
  if (value.get_object().get(object) != SUCCESS) return false;
  struct Entry {
    std::string key;
    std::optional<std::string> value;
  };
  std::vector<Entry> entries;
  for (auto result : object) {
    simdjson::ondemand::field field;
    std::string_view key;
    std::string_view text;
    bool null = false;
    if (std::move(result).get(field) != SUCCESS || field.unescaped_key().get(key) != SUCCESS) return false;
    Entry entry{std::string(key), std::nullopt};
    if (field.value().is_null().get(null) != SUCCESS) return false;
    if (!null) {
      if (field.value().get_string().get(text) != SUCCESS) return false;
      entry.value = std::string(text);
    }
    entries.push_back(std::move(entry));
  }
  if (entries.size() == 1 && entries[0].key == unavailable_) {
    out += unavailable_;
    return true;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.key.size() != b.key.size() ? a.key.size() < b.key.size() : a.key < b.key;
  });
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i != 0) out += ", ";
    put_hstore_text(out, entries[i].key);
    out += "=>";
    if (!entries[i].value) {
      out += "NULL";
    } else {
      put_hstore_text(out, *entries[i].value);
    }
  }
  return true;
}

}  // namespace tributary
