#include "verify/value_types.h"

#include <fmt/format.h>

#include "verify/scratch_database.h"

namespace tributary {
namespace {

// Object identifiers of PostgreSQL's built-in types (pg_type.dat); they never change.
enum : uint32_t {
  oid_bool = 16,
  oid_bytea = 17,
  oid_int8 = 20,
  oid_int2 = 21,
  oid_int4 = 23,
  oid_oid = 26,
  oid_json = 114,
  oid_float4 = 700,
  oid_float8 = 701,
  oid_money = 790,
  oid_date = 1082,
  oid_timestamp = 1114,
  oid_timestamptz = 1184,
  oid_numeric = 1700,
  oid_uuid = 2950,
  oid_jsonb = 3802,
};

constexpr int decimal_digits_max = 38;
constexpr int big_decimal_digits_max = 76;

// A numeric's modifier: 4 + (precision << 16 | 11-bit signed scale) (numeric.c, make_numeric_typmod).
LogicalType numeric_type(int32_t modifier) {
  if (modifier < 4) return {TypeId::kDecimal, decimal_digits_max, 18};
  int precision = (modifier - 4) >> 16 & 0xFFFF;
  int scale = (((modifier - 4) & 0x7FF) ^ 1024) - 1024;
  if (scale < 0) {
    precision -= scale;
    scale = 0;
  }
  precision = std::max(precision, scale);
  if (precision > big_decimal_digits_max) return {TypeId::kText};
  return {precision <= decimal_digits_max ? TypeId::kDecimal : TypeId::kBigDecimal, static_cast<uint8_t>(precision),
          static_cast<uint8_t>(scale)};
}

// PostgreSQL puts " BC" at the end, DuckDB " (BC)" behind the date.
std::string with_era(const std::string& text) {
  return fmt::format(
      "CASE WHEN {0} LIKE '% BC' THEN regexp_replace({0}, '^([0-9-]+)(.*) BC$', '\\1 (BC)\\2') ELSE {0} END", text);
}

std::string without_trailing_zeros(const std::string& text) {
  return fmt::format("CASE WHEN {0} LIKE '%.%' THEN rtrim(rtrim({0}, '0'), '.') ELSE {0} END", text);
}

std::string guarded(const std::string& condition, const std::string& value) {
  return fmt::format("CASE WHEN {} THEN {} END", condition, value);
}

}  // namespace

LogicalType type_of(const SourceColumn& column) {
  switch (column.type_oid) {
    case oid_bool: return {TypeId::kBool};
    case oid_bytea: return {TypeId::kBytes};
    case oid_int2: return {TypeId::kInt16};
    case oid_int4: return {TypeId::kInt32};
    case oid_int8:
    case oid_oid: return {TypeId::kInt64};
    case oid_float4: return {TypeId::kFloat32};
    case oid_float8: return {TypeId::kFloat64};
    case oid_numeric: return numeric_type(column.type_modifier);
    case oid_money: return {TypeId::kDecimal, 19, 2};
    case oid_date: return {TypeId::kDate};
    case oid_timestamp: return {TypeId::kTimestamp};
    case oid_timestamptz: return {TypeId::kTimestampTz};
    case oid_uuid: return {TypeId::kUuid};
    case oid_json:
    case oid_jsonb: return {TypeId::kJson};
    default: return {TypeId::kText};
  }
}

std::string copy_expression(const SourceColumn& column) {
  std::string name = quote_duckdb_identifier(column.name);
  // The text of money has a currency sign and separators.
  return column.type_oid == oid_money ? name + "::pg_catalog.numeric" : name;
}

bool declared_type_loses(const SourceColumn& column, LogicalType declared) {
  if (!is_floating(declared)) return false;
  LogicalType own = type_of(column);
  switch (own.id) {
    case TypeId::kDecimal:
    case TypeId::kBigDecimal:
    case TypeId::kInt64: return true;
    case TypeId::kInt32: return declared.id == TypeId::kFloat32;
    case TypeId::kFloat64: return declared.id == TypeId::kFloat32;
    default: return false;
  }
}

std::string domain_type(LogicalType type) { return type.id == TypeId::kJson ? "JSON" : compared_type(type); }

std::string compared_type(LogicalType type) {
  switch (type.id) {
    case TypeId::kBool: return "BOOLEAN";
    case TypeId::kInt16: return "SMALLINT";
    case TypeId::kInt32: return "INTEGER";
    case TypeId::kInt64: return "BIGINT";
    case TypeId::kUInt64: return "UBIGINT";
    case TypeId::kFloat32: return "FLOAT";
    case TypeId::kFloat64: return "DOUBLE";
    case TypeId::kDecimal: return fmt::format("DECIMAL({},{})", type.precision, type.scale);
    case TypeId::kDate: return "DATE";
    case TypeId::kTimestamp: return "TIMESTAMP";
    case TypeId::kTimestampTz: return "TIMESTAMP WITH TIME ZONE";
    case TypeId::kUuid: return "UUID";
    case TypeId::kBytes: return "BLOB";
    case TypeId::kText:
    case TypeId::kJson:
    case TypeId::kBigDecimal: return "VARCHAR";
  }
  CHECK(false, "type id {}", static_cast<int>(type.id));
  return {};
}

std::string parse_source(LogicalType type, const std::string& text, bool same_type) {
  std::string cast = fmt::format("TRY_CAST({} AS {})", text, compared_type(type));
  switch (type.id) {
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kUInt64:  // DuckDB rounds '1.5' to 2
      return same_type ? cast : guarded(fmt::format("regexp_full_match({}, '[+-]?[0-9]+')", text), cast);
    case TypeId::kDecimal:  // DuckDB rounds to the scale
      return same_type ? cast
                       : guarded(fmt::format("length(rtrim(split_part({0}, '.', 2), '0')) <= {1} AND "
                                             "regexp_full_match({0}, '[+-]?[0-9.]+')",
                                             text, type.scale),
                                 cast);
    case TypeId::kDate:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return fmt::format("TRY_CAST({} AS {})", with_era(text), compared_type(type));
    case TypeId::kBytes:
      return guarded(fmt::format("starts_with({}, '\\x')", text), fmt::format("unhex(substr({}, 3))", text));
    case TypeId::kBigDecimal:
      return guarded(fmt::format("regexp_full_match({}, '[+-]?[0-9.]+')", text), without_trailing_zeros(text));
    case TypeId::kText:
    case TypeId::kJson: return text;
    default: return cast;
  }
}

std::string parse_for_domain(LogicalType type, const std::string& text, bool same_type) {
  switch (type.id) {
    case TypeId::kDate:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: {
      std::string infinity = fmt::format("{} NOT IN ('infinity', '-infinity')", text);
      return guarded(infinity, parse_source(type, text, same_type));
    }
    case TypeId::kJson: return fmt::format("TRY_CAST({} AS JSON)", text);
    case TypeId::kBigDecimal: return guarded(fmt::format("regexp_full_match({}, '[+-]?[0-9.]+')", text), text);
    default: return parse_source(type, text, same_type);
  }
}

std::string analytics_expression(LogicalType type, const std::string& column) {
  return type.id == TypeId::kBytes ? fmt::format("hex({})", column) : column;
}

std::string parse_analytics(LogicalType type, const std::string& text) {
  switch (type.id) {
    case TypeId::kBytes: return fmt::format("unhex({})", text);
    case TypeId::kTimestampTz: return fmt::format("TRY_CAST({} || '+00' AS TIMESTAMP WITH TIME ZONE)", text);
    case TypeId::kBigDecimal: return without_trailing_zeros(text);
    case TypeId::kText:
    case TypeId::kJson: return text;
    default: return fmt::format("TRY_CAST({} AS {})", text, compared_type(type));
  }
}

std::string to_source_text(LogicalType type, const std::string& value) {
  if (type.id == TypeId::kBytes) return fmt::format("'\\x' || hex({})", value);
  std::string text = fmt::format("CAST({} AS VARCHAR)", value);
  if (type.id == TypeId::kDate || type.id == TypeId::kTimestamp || type.id == TypeId::kTimestampTz) {
    return guarded(
        value + " IS NOT NULL",
        fmt::format("CASE WHEN contains({0}, ' (BC)') THEN replace({0}, ' (BC)', '') || ' BC' ELSE {0} END", text));
  }
  return text;
}

bool is_floating(LogicalType type) { return type.id == TypeId::kFloat32 || type.id == TypeId::kFloat64; }

}  // namespace tributary
