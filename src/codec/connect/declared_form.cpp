#include <algorithm>
#include <array>
#include <charconv>

#include "codec/connect/connect_form.h"
#include "codec/connect/connect_parts.h"

namespace tributary {
namespace {

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
  if (modes.decimals != DecimalMode::kPrecise)
    return numeric_form(ConnectKind::kPlain, logical, std::move(source_type));
  if (!money && type.digits.empty())
    return numeric_form(ConnectKind::kVariableDecimal, logical, std::move(source_type));
  int scale = money ? 2 : type.digits.size() > 1 ? type.digits[1] : 0;
  return numeric_form(ConnectKind::kDecimal, logical, std::move(source_type), static_cast<uint32_t>(scale) & 0x7FF);
}

ConnectForm declared_time(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  if (modes.times == TimeMode::kIsoString) {
    return time_form(ConnectKind::kIsoTime, TypeId::kText, std::move(source_type), TimeUnit::kMicro);
  }
  bool coarse = !type.digits.empty() && type.digits[0] <= 3;
  bool millis = modes.times == TimeMode::kConnect || (modes.times == TimeMode::kAdaptive && coarse);
  TimeUnit unit = millis                                  ? TimeUnit::kMilli
                  : modes.times == TimeMode::kNanoseconds ? TimeUnit::kNano
                                                          : TimeUnit::kMicro;
  return time_form(ConnectKind::kTime, TypeId::kText, std::move(source_type), unit);
}

ConnectForm declared_timestamp(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  if (modes.times == TimeMode::kIsoString) {
    return time_form(ConnectKind::kIsoTimestamp, TypeId::kTimestamp, std::move(source_type), TimeUnit::kMicro);
  }
  bool coarse = !type.digits.empty() && type.digits[0] <= 3;
  bool adaptive = modes.times == TimeMode::kAdaptive || modes.times == TimeMode::kAdaptiveTimeMicroseconds;
  bool millis = modes.times == TimeMode::kConnect || (adaptive && coarse);
  TimeUnit unit = millis                                  ? TimeUnit::kMilli
                  : modes.times == TimeMode::kNanoseconds ? TimeUnit::kNano
                                                          : TimeUnit::kMicro;
  return time_form(ConnectKind::kTimestamp, TypeId::kTimestamp, std::move(source_type), unit);
}

ConnectForm declared_scalar(const TypeName& type, std::string source_type, const ConnectModes& modes) {
  const std::string& name = type.name;
  for (const auto& [plain_name, id] : plain_types) {
    if (name == plain_name) return plain_form(id, std::move(source_type));
  }
  if (name == "numeric" || name == "decimal" || name == "money") {
    return declared_numeric(type, std::move(source_type), modes);
  }
  if (name == "json") return plain_form(TypeId::kJson, std::move(source_type));
  if (name == "date") {
    ConnectForm form = plain_form(TypeId::kDate, std::move(source_type));
    if (modes.times == TimeMode::kIsoString) form.kind = ConnectKind::kIsoDate;
    return form;
  }
  if (name == "time" || name == "time without time zone") return declared_time(type, std::move(source_type), modes);
  if (name == "timetz" || name == "time with time zone") {
    return time_form(ConnectKind::kZonedTime, TypeId::kText, std::move(source_type), TimeUnit::kMicro);
  }
  if (name == "timestamp" || name == "timestamp without time zone") {
    return declared_timestamp(type, std::move(source_type), modes);
  }
  if (name == "timestamptz" || name == "timestamp with time zone") {
    return time_form(ConnectKind::kIsoTimestamp, TypeId::kTimestampTz, std::move(source_type), TimeUnit::kMicro);
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
  return plain_form(TypeId::kText, std::move(source_type));
}

}  // namespace

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
