#include "codec/connect/connect_form.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "codec/postgres/text_values.h"

namespace tributary {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

Error bad(std::string what) { return {ErrorCode::kInvalidInput, std::move(what)}; }

constexpr int64_t milli = 1000;

ConnectForm plain(TypeId type, std::string source_type) {
  return {.kind = ConnectKind::kPlain, .type = {type}, .source_type = std::move(source_type)};
}

ConnectForm numeric(ConnectKind kind, LogicalType type, std::string source_type, uint32_t scale = 0) {
  return {.kind = kind, .type = type, .source_type = std::move(source_type), .digits = scale};
}

enum class Unit { kMilli, kMicro, kNano };

ConnectForm timed(ConnectKind kind, TypeId type, std::string source_type, Unit unit) {
  return {.kind = kind,
          .type = {type},
          .source_type = std::move(source_type),
          .micros_per_unit = unit == Unit::kMilli ? milli : 1,
          .units_per_micro = unit == Unit::kNano ? milli : 1};
}

// numeric(p,s) as PostgreSQL's catalog has it; see numeric's type modifier in src/backend/utils/adt/numeric.c.
LogicalType numeric_type(int precision, int scale) {
  constexpr uint32_t numeric_oid = 1700;
  constexpr int header = 4;
  return postgres_logical_type(numeric_oid, ((precision << 16) | (scale & 0x7FF)) + header);
}

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
      {"io.debezium.data.Json", [] { return plain(TypeId::kJson, "json"); }},
      {"io.debezium.data.Uuid", [] { return plain(TypeId::kUuid, "uuid"); }},
      {"io.debezium.data.Xml", [] { return plain(TypeId::kText, "xml"); }},
      {"io.debezium.data.Ltree", [] { return plain(TypeId::kText, "ltree"); }},
      {"io.debezium.data.Tsvector", [] { return plain(TypeId::kText, "tsvector"); }},
      {"io.debezium.data.VariableScaleDecimal",
       [] { return numeric(ConnectKind::kVariableDecimal, numeric_type(-1, 0), "numeric"); }},
      {"io.debezium.data.geometry.Point",
       [] { return ConnectForm{.kind = ConnectKind::kPoint, .type = {TypeId::kText}, .source_type = "point"}; }},
      {"io.debezium.time.Date", [] { return plain(TypeId::kDate, "date"); }},
      {"org.apache.kafka.connect.data.Date", [] { return plain(TypeId::kDate, "date"); }},
      {"io.debezium.time.IsoDate",
       [] { return ConnectForm{.kind = ConnectKind::kIsoDate, .type = {TypeId::kDate}, .source_type = "date"}; }},
      {"io.debezium.time.Timestamp",
       [] {
         return timed(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp(3) without time zone", Unit::kMilli);
       }},
      {"org.apache.kafka.connect.data.Timestamp",
       [] {
         return timed(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp(3) without time zone", Unit::kMilli);
       }},
      {"io.debezium.time.MicroTimestamp",
       [] { return timed(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp without time zone", Unit::kMicro); }},
      {"io.debezium.time.NanoTimestamp",
       [] { return timed(ConnectKind::kTimestamp, TypeId::kTimestamp, "timestamp without time zone", Unit::kNano); }},
      {"io.debezium.time.IsoTimestamp",
       [] {
         return timed(ConnectKind::kIsoTimestamp, TypeId::kTimestamp, "timestamp without time zone", Unit::kMicro);
       }},
      {"io.debezium.time.ZonedTimestamp",
       [] {
         return timed(ConnectKind::kIsoTimestamp, TypeId::kTimestampTz, "timestamp with time zone", Unit::kMicro);
       }},
      {"io.debezium.time.Time",
       [] { return timed(ConnectKind::kTime, TypeId::kText, "time(3) without time zone", Unit::kMilli); }},
      {"org.apache.kafka.connect.data.Time",
       [] { return timed(ConnectKind::kTime, TypeId::kText, "time(3) without time zone", Unit::kMilli); }},
      {"io.debezium.time.MicroTime",
       [] { return timed(ConnectKind::kTime, TypeId::kText, "time without time zone", Unit::kMicro); }},
      {"io.debezium.time.NanoTime",
       [] { return timed(ConnectKind::kTime, TypeId::kText, "time without time zone", Unit::kNano); }},
      {"io.debezium.time.IsoTime",
       [] { return timed(ConnectKind::kIsoTime, TypeId::kText, "time without time zone", Unit::kMicro); }},
      {"io.debezium.time.ZonedTime",
       [] { return timed(ConnectKind::kZonedTime, TypeId::kText, "time with time zone", Unit::kMicro); }},
      {"io.debezium.time.Interval", [] { return plain(TypeId::kText, "interval"); }},
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
    return numeric(ConnectKind::kDecimal, {TypeId::kDecimal, 19, 2}, "money", static_cast<uint32_t>(scale));
  return numeric(ConnectKind::kDecimal, numeric_type(precision, signed_scale(scale)),
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
  if (type == "boolean") return plain(TypeId::kBool, "boolean");
  if (type == "int8" || type == "int16") return plain(TypeId::kInt16, "smallint");
  if (type == "int32") return plain(TypeId::kInt32, "integer");
  if (type == "int64") return plain(TypeId::kInt64, "bigint");
  if (type == "float" || type == "float32") return plain(TypeId::kFloat32, "real");
  if (type == "double" || type == "float64") return plain(TypeId::kFloat64, "double precision");
  if (type == "string") return plain(TypeId::kText, "text");
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
    result.push_back({std::string(name), std::move(form)});
  }
  return result;
}

// ---- declared types ----

struct TypeName {
  std::string name;  // "timestamp without time zone" without its digits
  std::vector<int> digits;
  bool array = false;
};

// "timestamp(3) without time zone[]" → "timestamp without time zone", {3}, array.
TypeName split_type(std::string_view text) {
  TypeName type;
  while (text.ends_with("[]")) {
    type.array = true;
    text.remove_suffix(2);
  }
  size_t open = text.find('(');
  size_t close = open == std::string_view::npos ? open : text.find(')', open);
  if (close == std::string_view::npos) {
    type.name = text;
  } else {
    std::string_view inside = text.substr(open + 1, close - open - 1);
    while (!inside.empty()) {
      int number = 0;
      auto [end, error] = std::from_chars(inside.data(), inside.data() + inside.size(), number);
      if (error == std::errc{}) type.digits.push_back(number);
      size_t comma = inside.find(',');
      inside = comma == std::string_view::npos ? std::string_view() : inside.substr(comma + 1);
      while (inside.starts_with(' ')) inside.remove_prefix(1);
    }
    type.name = std::string(text.substr(0, open)) + std::string(text.substr(close + 1));
  }
  std::transform(type.name.begin(), type.name.end(), type.name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  while (type.name.ends_with(' ')) type.name.pop_back();
  return type;
}

constexpr std::array<std::pair<std::string_view, TypeId>, 16> plain_types = {{
    {"boolean", TypeId::kBool},
    {"bool", TypeId::kBool},
    {"smallint", TypeId::kInt16},
    {"int2", TypeId::kInt16},
    {"integer", TypeId::kInt32},
    {"int", TypeId::kInt32},
    {"int4", TypeId::kInt32},
    {"bigint", TypeId::kInt64},
    {"int8", TypeId::kInt64},
    {"oid", TypeId::kInt64},
    {"real", TypeId::kFloat32},
    {"float4", TypeId::kFloat32},
    {"double precision", TypeId::kFloat64},
    {"float8", TypeId::kFloat64},
    {"uuid", TypeId::kUuid},
    {"jsonb", TypeId::kJson},
}};

ConnectForm declared_numeric(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  bool money = type.name == "money";
  LogicalType logical = money ? LogicalType{TypeId::kDecimal, 19, 2}
                        : type.digits.empty()
                            ? numeric_type(-1, 0)
                            : numeric_type(type.digits[0], type.digits.size() > 1 ? type.digits[1] : 0);
  if (modes.decimals != DecimalMode::kPrecise) return numeric(ConnectKind::kPlain, logical, std::move(source_type));
  if (!money && type.digits.empty()) return numeric(ConnectKind::kVariableDecimal, logical, std::move(source_type));
  int scale = money ? 2 : type.digits.size() > 1 ? type.digits[1] : 0;
  return numeric(ConnectKind::kDecimal, logical, std::move(source_type), static_cast<uint32_t>(scale) & 0x7FF);
}

ConnectForm declared_time(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  if (modes.times == TimeMode::kIsoString) {
    return timed(ConnectKind::kIsoTime, TypeId::kText, std::move(source_type), Unit::kMicro);
  }
  bool coarse = !type.digits.empty() && type.digits[0] <= 3;
  bool millis = modes.times == TimeMode::kConnect || (modes.times == TimeMode::kAdaptive && coarse);
  Unit unit = millis ? Unit::kMilli : modes.times == TimeMode::kNanoseconds ? Unit::kNano : Unit::kMicro;
  return timed(ConnectKind::kTime, TypeId::kText, std::move(source_type), unit);
}

ConnectForm declared_timestamp(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  if (modes.times == TimeMode::kIsoString) {
    return timed(ConnectKind::kIsoTimestamp, TypeId::kTimestamp, std::move(source_type), Unit::kMicro);
  }
  bool coarse = !type.digits.empty() && type.digits[0] <= 3;
  bool adaptive = modes.times == TimeMode::kAdaptive || modes.times == TimeMode::kAdaptiveTimeMicroseconds;
  bool millis = modes.times == TimeMode::kConnect || (adaptive && coarse);
  Unit unit = millis ? Unit::kMilli : modes.times == TimeMode::kNanoseconds ? Unit::kNano : Unit::kMicro;
  return timed(ConnectKind::kTimestamp, TypeId::kTimestamp, std::move(source_type), unit);
}

ConnectForm declared_scalar(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  const std::string& name = type.name;
  for (const auto& [plain_name, id] : plain_types) {
    if (name == plain_name) return plain(id, std::move(source_type));
  }
  if (name == "numeric" || name == "decimal" || name == "money") {
    return declared_numeric(type, std::move(source_type), modes);
  }
  if (name == "json") return plain(TypeId::kJson, std::move(source_type));
  if (name == "date") {
    ConnectForm form = plain(TypeId::kDate, std::move(source_type));
    if (modes.times == TimeMode::kIsoString) form.kind = ConnectKind::kIsoDate;
    return form;
  }
  if (name == "time" || name == "time without time zone") return declared_time(type, std::move(source_type), modes);
  if (name == "timetz" || name == "time with time zone") {
    return timed(ConnectKind::kZonedTime, TypeId::kText, std::move(source_type), Unit::kMicro);
  }
  if (name == "timestamp" || name == "timestamp without time zone") {
    return declared_timestamp(type, std::move(source_type), modes);
  }
  if (name == "timestamptz" || name == "timestamp with time zone") {
    return timed(ConnectKind::kIsoTimestamp, TypeId::kTimestampTz, std::move(source_type), Unit::kMicro);
  }
  if (name == "bytea") {
    ConnectKind kind = modes.binaries == BinaryMode::kHex             ? ConnectKind::kHex
                       : modes.binaries == BinaryMode::kBase64UrlSafe ? ConnectKind::kBase64Url
                                                                      : ConnectKind::kBase64;
    return {.kind = kind, .type = {TypeId::kBytes}, .source_type = std::move(source_type)};
  }
  bool one_bit = name == "bit" && (type.digits.empty() || type.digits[0] == 1);
  if ((name == "bit" || name == "varbit" || name == "bit varying") && !one_bit) {
    return {.kind = ConnectKind::kBits,
            .type = {TypeId::kText},
            .source_type = std::move(source_type),
            .digits = name == "bit" ? static_cast<uint32_t>(type.digits[0]) : 0};
  }
  if (name == "hstore" && modes.hstores == HstoreMode::kMap) {
    return {.kind = ConnectKind::kMap, .type = {TypeId::kText}, .source_type = std::move(source_type)};
  }
  if (name == "point") {
    return {.kind = ConnectKind::kPoint, .type = {TypeId::kText}, .source_type = std::move(source_type)};
  }
  return plain(TypeId::kText, std::move(source_type));
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

ConnectForm declared_form(std::string_view source_type, const ConnectModes& modes) {
  TypeName type = split_type(source_type);
  if (!type.array) return declared_scalar(type, std::string(source_type), modes);
  std::string of(source_type.substr(0, source_type.find("[]")));
  type.array = false;
  return {.kind = ConnectKind::kArray,
          .type = {TypeId::kText},
          .source_type = std::string(source_type),
          .element = std::make_shared<ConnectForm>(declared_scalar(type, std::move(of), modes))};
}

ConnectForm declared_over(const ConnectForm& told, std::string_view source_type, const ConnectModes& modes) {
  ConnectForm declared = declared_form(source_type, modes);
  if (told.kind == declared.kind) return declared;
  // What the schema says of the values' form is so; the type may be finer.
  if (told.kind == ConnectKind::kPlain && declared.type.id == TypeId::kDecimal) {
    declared.kind = ConnectKind::kPlain;
    return declared;
  }
  if (told.kind == ConnectKind::kPlain && told.type.id == TypeId::kText) return declared;
  ConnectForm form = told;
  if (form.type.id == declared.type.id) form.type = declared.type;
  form.source_type = declared.source_type;
  return form;
}

}  // namespace tributary
