#include "store/mongodb/bson_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <set>

#include "base/utf8.h"
#include "store/mongodb/bson_decimal.h"

namespace tributary {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr int depth_max = 50;

bool name_may_nest(std::string_view name) {
  return !name.empty() && name.front() != '$' && name.find('.') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

bool append_number(bson_t* out, std::string_view name, std::string_view token, bool decimal128) {
  auto length = static_cast<int>(name.size());
  while (!token.empty() &&
         (token.back() == ' ' || token.back() == '\n' || token.back() == '\t' || token.back() == '\r'))
    token.remove_suffix(1);
  int64_t integer = 0;
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), integer);
  if (error == std::errc() && end == token.data() + token.size() && token != "-0")
    return bson_append_int64(out, name.data(), length, integer);
  if (decimal128) {
    auto plain = parse_plain(token);
    if (auto decimal = plain ? to_decimal128(*plain) : std::nullopt)
      return bson_append_decimal128(out, name.data(), length, &*decimal);
  }
  double number = 0;
  auto [double_end, double_error] = std::from_chars(token.data(), token.data() + token.size(), number);
  if (double_error != std::errc() || double_end != token.data() + token.size()) return false;
  return bson_append_double(out, name.data(), length, number);
}

bool append_value(bson_t* out, std::string_view name, ondemand::value value, bool decimal128, int depth);

bool append_object(bson_t* out, ondemand::object object, bool decimal128, int depth) {
  std::set<std::string, std::less<>> names;
  for (auto field : object) {
    std::string_view key;
    ondemand::value inner;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS || !name_may_nest(key)) return false;
    auto [at, is_new] = names.emplace(key);
    if (!is_new || field.value().get(inner) != simdjson::SUCCESS) return false;
    if (!append_value(out, *at, inner, decimal128, depth)) return false;
  }
  return true;
}

bool append_array(bson_t* out, ondemand::array array, bool decimal128, int depth) {
  size_t index = 0;
  for (auto element : array) {
    ondemand::value inner;
    if (element.get(inner) != simdjson::SUCCESS) return false;
    if (!append_value(out, std::to_string(index++), inner, decimal128, depth)) return false;
  }
  return true;
}

bool append_value(bson_t* out, std::string_view name, ondemand::value value, bool decimal128, int depth) {
  auto length = static_cast<int>(name.size());
  ondemand::json_type type;
  if (depth > depth_max || value.type().get(type) != simdjson::SUCCESS) return false;
  switch (type) {
    case ondemand::json_type::object: {
      ondemand::object object;
      if (value.get_object().get(object) != simdjson::SUCCESS) return false;
      bson_t child;
      bson_append_document_begin(out, name.data(), length, &child);
      bool done = append_object(&child, object, decimal128, depth + 1);
      bson_append_document_end(out, &child);
      return done;
    }
    case ondemand::json_type::array: {
      ondemand::array array;
      if (value.get_array().get(array) != simdjson::SUCCESS) return false;
      bson_t child;
      bson_append_array_begin(out, name.data(), length, &child);
      bool done = append_array(&child, array, decimal128, depth + 1);
      bson_append_array_end(out, &child);
      return done;
    }
    case ondemand::json_type::string: {
      std::string_view text;
      if (value.get_string().get(text) != simdjson::SUCCESS || text.find('\0') != std::string_view::npos) return false;
      return bson_append_utf8(out, name.data(), length, text.data(), static_cast<int>(text.size()));
    }
    case ondemand::json_type::number: return append_number(out, name, value.raw_json_token(), decimal128);
    case ondemand::json_type::boolean: {
      bool truth = false;
      if (value.get_bool().get(truth) != simdjson::SUCCESS) return false;
      return bson_append_bool(out, name.data(), length, truth);
    }
    case ondemand::json_type::null: return value.is_null() && bson_append_null(out, name.data(), length);
  }
  return false;
}

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<int>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

bool append_nested_text(std::string& out, const bson_iter_t& value, bool object) {
  bson_iter_t inner;
  if (!bson_iter_recurse(&value, &inner)) return false;
  out.push_back(object ? '{' : '[');
  bool first = true;
  while (bson_iter_next(&inner)) {
    if (!first) out += ", ";
    first = false;
    if (object) {
      append_quoted(out, {bson_iter_key(&inner), bson_iter_key_len(&inner)});
      out += ": ";
    }
    if (!append_json_text(out, inner)) return false;
  }
  out.push_back(object ? '}' : ']');
  return true;
}

}  // namespace

bool append_json(bson_t* out, std::string_view name, std::string_view json, bool decimal128) {
  if (!is_utf8(json)) return false;
  // A document may be a single value, which simdjson takes in an array only.
  std::string wrapped = "[" + std::string(json) + "]";
  thread_local ondemand::parser parser;
  simdjson::padded_string padded(wrapped);
  ondemand::document document;
  ondemand::array array;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS || document.get_array().get(array) != simdjson::SUCCESS)
    return false;
  size_t values = 0;
  for (auto element : array) {
    ondemand::value value;
    if (++values > 1 || element.get(value) != simdjson::SUCCESS) return false;
    if (!append_value(out, name, value, decimal128, 0)) return false;
  }
  return values == 1;
}

bool append_json_text(std::string& out, const bson_iter_t& value) {
  switch (bson_iter_type(&value)) {
    case BSON_TYPE_DOCUMENT: return append_nested_text(out, value, true);
    case BSON_TYPE_ARRAY: return append_nested_text(out, value, false);
    case BSON_TYPE_UTF8: {
      uint32_t length = 0;
      const char* text = bson_iter_utf8(&value, &length);
      append_quoted(out, {text, length});
      return true;
    }
    case BSON_TYPE_BOOL: out += bson_iter_bool(&value) ? "true" : "false"; return true;
    case BSON_TYPE_NULL: out += "null"; return true;
    case BSON_TYPE_INT32: out += std::to_string(bson_iter_int32(&value)); return true;
    case BSON_TYPE_INT64: out += std::to_string(bson_iter_int64(&value)); return true;
    case BSON_TYPE_DOUBLE: out += fmt::format("{}", bson_iter_double(&value)); return true;
    case BSON_TYPE_DECIMAL128: {
      bson_decimal128_t decimal;
      bson_iter_decimal128(&value, &decimal);
      auto plain = from_decimal128(decimal);
      if (plain) out += plain_text(*plain);
      return plain.has_value();
    }
    default: return false;
  }
}

}  // namespace tributary
