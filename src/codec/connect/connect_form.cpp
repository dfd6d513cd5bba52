#include "codec/connect/connect_form.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "codec/connect/connect_parts.h"

namespace tributary {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

Error bad(std::string what) { return {ErrorCode::kInvalidInput, std::move(what)}; }

// Debezium reads a negative scale's 11 bits without their sign.
int signed_scale(int scale) {
  constexpr int scale_max = 1000;
  constexpr int modulus = 2048;
  return scale > scale_max ? scale - modulus : scale;
}

// ---- semantic names ----

using MakeForm = ConnectForm (*)();
const std::map<std::string_view, MakeForm>& named_forms() {
  static const std::map<std::string_view, MakeForm> forms = {
      {"io.debezium.data.Json", [] { return plain_form(TypeId::kJson, "json"); }},
      {"io.debezium.data.Uuid", [] { return plain_form(TypeId::kUuid, "uuid"); }},
      {"io.debezium.data.Xml", [] { return plain_form(TypeId::kText, "xml"); }},
      {"io.debezium.data.Ltree", [] { return plain_form(TypeId::kText, "ltree"); }},
      {"io.debezium.data.Tsvector", [] { return plain_form(TypeId::kText, "tsvector"); }},
      {"io.debezium.data.VariableScaleDecimal",
       [] { return numeric_form(ConnectKind::kVariableDecimal, numeric_type(-1, 0), "numeric"); }},
      {"io.debezium.data.geometry.Point",
       [] { return ConnectForm{.kind = ConnectKind::kPoint, .type = {TypeId::kText}, .source_type = "point"}; }},
      {"io.debezium.time.Date", [] { return plain_form(TypeId::kDate, "date"); }},
      {"org.apache.kafka.connect.data.Date", [] { return plain_form(TypeId::kDate, "date"); }},
      {"io.debezium.time.IsoDate",
       [] { return ConnectForm{.kind = ConnectKind::kIsoDate, .type = {TypeId::kDate}, .source_type = "date"}; }},
      {"io.debezium.time.Timestamp",
       [] {
         return time_form(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp(3) without time zone",
                          TimeUnit::kMilli);
       }},
      {"org.apache.kafka.connect.data.Timestamp",
       [] {
         return time_form(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp(3) without time zone",
                          TimeUnit::kMilli);
       }},
      {"io.debezium.time.MicroTimestamp",
       [] {
         return time_form(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp without time zone", TimeUnit::kMicro);
       }},
      {"io.debezium.time.NanoTimestamp",
       [] {
         return time_form(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp without time zone", TimeUnit::kNano);
       }},
      {"io.debezium.time.IsoTimestamp",
       [] {
         return time_form(ConnectKind::kIsoTimestamp, TypeId::kTimestamp, "timestamp without time zone",
                          TimeUnit::kMicro);
       }},
      {"io.debezium.time.ZonedTimestamp",
       [] {
         return time_form(ConnectKind::kIsoTimestamp, TypeId::kTimestampTz, "timestamp with time zone",
                          TimeUnit::kMicro);
       }},
      {"io.debezium.time.Time",
       [] { return time_form(ConnectKind::kTime, TypeId::kText, "time(3) without time zone", TimeUnit::kMilli); }},
      {"org.apache.kafka.connect.data.Time",
       [] { return time_form(ConnectKind::kTime, TypeId::kText, "time(3) without time zone", TimeUnit::kMilli); }},
      {"io.debezium.time.MicroTime",
       [] { return time_form(ConnectKind::kTime, TypeId::kText, "time without time zone", TimeUnit::kMicro); }},
      {"io.debezium.time.NanoTime",
       [] { return time_form(ConnectKind::kTime, TypeId::kText, "time without time zone", TimeUnit::kNano); }},
      {"io.debezium.time.IsoTime",
       [] { return time_form(ConnectKind::kIsoTime, TypeId::kText, "time without time zone", TimeUnit::kMicro); }},
      {"io.debezium.time.ZonedTime",
       [] { return time_form(ConnectKind::kZonedTime, TypeId::kText, "time with time zone", TimeUnit::kMicro); }},
      {"io.debezium.time.Interval", [] { return plain_form(TypeId::kText, "interval"); }},
  };
  return forms;
}

int parameter(const object& schema, std::string_view name, int otherwise) {
  std::string_view text;
  if (schema["parameters"][name].get(text) != simdjson::SUCCESS) return otherwise;
  int value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

ConnectForm decimal_form(const object& schema) {
  int scale = parameter(schema, "scale", 0);
  int precision = parameter(schema, "connect.decimal.precision", 0);
  if (precision == 0)
    return numeric_form(ConnectKind::kDecimal, {TypeId::kDecimal, 19, 2}, "money", static_cast<uint32_t>(scale));
  return numeric_form(ConnectKind::kDecimal, numeric_type(precision, signed_scale(scale)),
                      fmt::format("numeric({},{})", precision, signed_scale(scale)), static_cast<uint32_t>(scale));
}

Result<ConnectForm> form_of(const object& schema);

Result<ConnectForm> array_form(const object& schema) {
  object items;
  if (schema["items"].get(items) != simdjson::SUCCESS) return bad("an array's schema has no items");
  ASSIGN_OR_RETURN(ConnectForm of, form_of(items));
  std::string source_type = of.source_type + "[]";
  return ConnectForm{.kind = ConnectKind::kArray,
                     .type = {TypeId::kText},
                     .source_type = std::move(source_type),
                     .element = std::make_shared<ConnectForm>(std::move(of))};
}

Result<ConnectForm> form_of(const object& schema) {
  std::string_view type;
  std::string_view name;
  if (schema["type"].get(type) != simdjson::SUCCESS) return bad("a schema has no type");
  if (schema["name"].get(name) != simdjson::SUCCESS) name = {};
  if (name == "org.apache.kafka.connect.data.Decimal") return decimal_form(schema);
  if (name == "io.debezium.data.Bits") {
    int length = parameter(schema, "length", 0);
    return ConnectForm{.kind = ConnectKind::kBits,
                       .type = {TypeId::kText},
                       .source_type = fmt::format("bit({})", length),
                       .digits = static_cast<uint32_t>(std::max(length, 0))};
  }
  if (auto named = named_forms().find(name); named != named_forms().end()) return named->second();
  if (type == "boolean") return plain_form(TypeId::kBool, "boolean");
  if (type == "int8" || type == "int16") return plain_form(TypeId::kInt16, "smallint");
  if (type == "int32") return plain_form(TypeId::kInt32, "integer");
  if (type == "int64") return plain_form(TypeId::kInt64, "bigint");
  if (type == "float" || type == "float32") return plain_form(TypeId::kFloat32, "real");
  if (type == "double" || type == "float64") return plain_form(TypeId::kFloat64, "double precision");
  if (type == "string") return plain_form(TypeId::kText, "text");
  if (type == "bytes") {
    return ConnectForm{.kind = ConnectKind::kBase64, .type = {TypeId::kBytes}, .source_type = "bytea"};
  }
  if (type == "array") return array_form(schema);
  if (type == "map") {
    return ConnectForm{.kind = ConnectKind::kMap, .type = {TypeId::kText}, .source_type = "hstore"};
  }
  if (type == "struct") {
    return ConnectForm{.kind = ConnectKind::kDocument, .type = {TypeId::kJson}, .source_type = "json"};
  }
  return bad(fmt::format("there is no Connect type {}", type));
}

Result<std::vector<ConnectField>> fields_of(const object& schema) {
  simdjson::dom::array fields;
  if (schema["fields"].get(fields) != simdjson::SUCCESS) return bad("a struct's schema has no fields");
  std::vector<ConnectField> result;
  for (element entry : fields) {
    object field;
    std::string_view name;
    if (entry.get(field) != simdjson::SUCCESS || field["field"].get(name) != simdjson::SUCCESS) {
      return bad("a field's schema has no name");
    }
    ASSIGN_OR_RETURN(ConnectForm form, form_of(field));
    bool optional = false;
    bool filled = field["optional"].get(optional) != simdjson::SUCCESS || !optional ||
                  field["default"].error() == simdjson::SUCCESS;
    result.push_back({std::string(name), std::move(form), filled});
  }
  return result;
}

template <typename Mode, size_t n>
Status choose(Mode& mode, std::string_view name, std::string_view value,
              const std::array<std::pair<std::string_view, Mode>, n>& choices) {
  std::string names;
  for (const auto& [choice, its_mode] : choices) {
    if (choice == value) {
      mode = its_mode;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(choice);
  }
  return bad(fmt::format("{} is {} and may be {}", name, value, names));
}

}  // namespace

bool operator==(const ConnectForm& a, const ConnectForm& b) {
  bool same_element = a.element == b.element || (a.element && b.element && *a.element == *b.element);
  return same_element && a.kind == b.kind && a.type == b.type && a.source_type == b.source_type &&
         a.digits == b.digits && a.micros_per_unit == b.micros_per_unit && a.units_per_micro == b.units_per_micro;
}

Status ConnectModes::set(std::string_view name, std::string_view value) {
  using enum TimeMode;
  if (name == "decimal.handling.mode") {
    return choose<DecimalMode, 3>(
        decimals, name, value,
        {{{"precise", DecimalMode::kPrecise}, {"double", DecimalMode::kDouble}, {"string", DecimalMode::kString}}});
  }
  if (name == "time.precision.mode") {
    return choose<TimeMode, 6>(times, name, value,
                               {{{"adaptive", kAdaptive},
                                 {"adaptive_time_microseconds", kAdaptiveTimeMicroseconds},
                                 {"connect", kConnect},
                                 {"isostring", kIsoString},
                                 {"microseconds", kMicroseconds},
                                 {"nanoseconds", kNanoseconds}}});
  }
  if (name == "binary.handling.mode") {
    return choose<BinaryMode, 4>(binaries, name, value,
                                 {{{"bytes", BinaryMode::kBytes},
                                   {"base64", BinaryMode::kBase64},
                                   {"base64-url-safe", BinaryMode::kBase64UrlSafe},
                                   {"hex", BinaryMode::kHex}}});
  }
  if (name == "hstore.handling.mode") {
    return choose<HstoreMode, 2>(hstores, name, value, {{{"json", HstoreMode::kJson}, {"map", HstoreMode::kMap}}});
  }
  if (name == "unavailable.value.placeholder" && !value.empty()) {
    unavailable = value;
    return {};
  }
  return bad(
      fmt::format("there is no setting {}: those of the connector that change its values are decimal.handling.mode, "
                  "time.precision.mode, binary.handling.mode, hstore.handling.mode and "
                  "unavailable.value.placeholder",
                  name));
}

Result<std::vector<ConnectField>> connect_fields(std::string_view schema) {
  simdjson::dom::parser parser;
  object top;
  if (auto error = parser.parse(schema.data(), schema.size()).get(top); error != simdjson::SUCCESS) {
    return bad(fmt::format("its schema is no JSON object: {}", error_message(error)));
  }
  return fields_of(top);
}

Result<std::vector<ConnectField>> connect_row_fields(std::string_view envelope_schema) {
  simdjson::dom::parser parser;
  object top;
  simdjson::dom::array fields;
  if (parser.parse(envelope_schema.data(), envelope_schema.size()).get(top) != simdjson::SUCCESS ||
      top["fields"].get(fields) != simdjson::SUCCESS) {
    return bad("its schema is none of a struct");
  }
  for (element entry : fields) {
    object field;
    std::string_view name;
    if (entry.get(field) == simdjson::SUCCESS && field["field"].get(name) == simdjson::SUCCESS && name == "after") {
      return fields_of(field);
    }
  }
  return bad("its schema has no field after");
}

}  // namespace tributary
