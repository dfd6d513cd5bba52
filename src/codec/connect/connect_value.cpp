#include "codec/connect/connect_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

#include "base/hex.h"
#include "codec/connect/connect_parts.h"
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

}  // namespace

ConnectValueReader::ConnectValueReader(const ConnectModes& modes) : unavailable_(modes.unavailable) {
  put_base64(unavailable_base64_, unavailable_);
  unavailable_hex_ = to_hex(unavailable_);
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

}  // namespace tributary
