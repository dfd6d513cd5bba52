#include "codec/connect/connect_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/hex.h"
#include "codec/connect/connect_parts.h"
#include "codec/connect/connect_text.h"
#include "codec/iso_time.h"
#include "codec/json_text.h"

namespace tributary {
namespace {

using simdjson::SUCCESS;
using simdjson::ondemand::json_type;

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

void put_hstore_text(std::string& out, std::string_view text) {
  out.push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

}  // namespace

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
      out += to_hex(bytes);
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
