// ConnectForm: how Kafka Connect's JSON converter writes the values of one column, and in which type they travel here.
//
// With schemas (`schemas.enable=true`) the message tells it: a Connect type, and a semantic name such as
// "io.debezium.time.MicroTimestamp". Without them it follows from the column's type in the source and the connector's modes:
//
//   declared_form("numeric(12,2)", {})                     → base64 of the unscaled number, decimal(12,2)
//   declared_form("numeric(12,2)", {.decimals = kString})  → text, decimal(12,2)
//
// Source: Kafka's `JsonConverter`, and Debezium's documentation, "Data type mappings" of the PostgreSQL connector.
// docs/formats/debezium.md has the table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/type.h"

namespace tributary {

enum class ConnectKind : uint8_t {
  kPlain,  // JSON's own boolean, number or text
  kDecimal,  // base64 of the unscaled number, big-endian two's complement; the scale is the form's
  kVariableDecimal,  // {"scale":2,"value":base64}
  kBase64,
  kBase64Url,
  kHex,
  kBits,  // base64, little-endian, without trailing zeros; the length is the form's
  kTimestamp,  // number since 1970-01-01, of `micros_per_unit` or `units_per_micro`
  kIsoTimestamp,  // "2026-01-02T03:04:05.678901Z", also of a column without time zone
  kIsoDate,  // "2026-01-02Z"
  kTime,  // number since midnight, as kTimestamp
  kIsoTime,  // "03:04:05.678901Z", of a column without time zone
  kZonedTime,  // the same of one with
  kArray,
  kMap,  // hstore
  kPoint,  // {"x":1.5,"y":-2.0,…}
  kDocument,  // an object of another kind: its JSON
};

struct ConnectForm {
  ConnectKind kind = ConnectKind::kPlain;
  LogicalType type;
  std::string source_type;  // as PostgreSQL names it, as far as the message tells
  uint32_t digits = 0;  // kDecimal: scale; kBits: length
  int64_t micros_per_unit = 1;  // kTimestamp, kTime: 1000 for milliseconds
  int64_t units_per_micro = 1;  // 1000 for nanoseconds
  std::shared_ptr<const ConnectForm> element;  // of kArray

  friend bool operator==(const ConnectForm& a, const ConnectForm& b);
};

struct ConnectField {
  std::string name;
  ConnectForm form;
  bool filled = false;  // rows that do not tell it have another value than NULL: it has a default, or is never null
  friend bool operator==(const ConnectField&, const ConnectField&) = default;
};

// The connector's settings of the same names; what is first is its default.
enum class DecimalMode : uint8_t { kPrecise, kDouble, kString };
enum class TimeMode : uint8_t {
  kAdaptive,
  kAdaptiveTimeMicroseconds,
  kConnect,
  kIsoString,
  kMicroseconds,
  kNanoseconds
};
enum class BinaryMode : uint8_t { kBytes, kBase64, kBase64UrlSafe, kHex };
enum class HstoreMode : uint8_t { kJson, kMap };

struct ConnectModes {
  DecimalMode decimals = DecimalMode::kPrecise;
  TimeMode times = TimeMode::kAdaptive;
  BinaryMode binaries = BinaryMode::kBytes;
  HstoreMode hstores = HstoreMode::kJson;
  std::string unavailable = "__debezium_unavailable_value";

  // Sets "decimal.handling.mode" and the like. kInvalidInput: no such setting, or not that value; says which there are.
  Status set(std::string_view name, std::string_view value);
};

// The fields of the struct that `schema`, Connect's JSON of a schema, describes. kInvalidInput: it does not.
Result<std::vector<ConnectField>> connect_fields(std::string_view schema);
// Of a change event: those of its rows ("after").
Result<std::vector<ConnectField>> connect_row_fields(std::string_view envelope_schema);

// Of a column that the user says is of `source_type`, as PostgreSQL names it: "numeric(12,2)", "timestamp(3)",
// "integer[]". Any name is taken: what is not known travels as text.
ConnectForm declared_form(std::string_view source_type, const ConnectModes& modes);

// Puts a declared type into the place of the one that a message's schema tells, where it tells less: a bytea that comes
// as text, a numeric that comes as double.
ConnectForm declared_over(const ConnectForm& told, std::string_view source_type, const ConnectModes& modes);

}  // namespace tributary
