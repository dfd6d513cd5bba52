#include "sql/type_names.h"

#include <fmt/format.h>

namespace tributary {

const char* duckdb_type_name(TypeId type) {
  switch (type) {
    case TypeId::kBool: return "BOOLEAN";
    case TypeId::kInt16: return "SMALLINT";
    case TypeId::kInt32: return "INTEGER";
    case TypeId::kInt64: return "BIGINT";
    case TypeId::kUInt64: return "UBIGINT";
    case TypeId::kFloat32: return "FLOAT";
    case TypeId::kFloat64: return "DOUBLE";
    case TypeId::kDecimal: return "DECIMAL";
    case TypeId::kDate: return "DATE";
    case TypeId::kTimestamp: return "TIMESTAMP";
    case TypeId::kTimestampTz: return "TIMESTAMP WITH TIME ZONE";
    case TypeId::kUuid: return "UUID";
    case TypeId::kBytes: return "BLOB";
    case TypeId::kText:
    case TypeId::kJson:
    case TypeId::kBigDecimal: return "VARCHAR";
  }
  return "VARCHAR";
}

std::string duckdb_type_text(const LogicalType& type) {
  switch (type.id) {
    case TypeId::kDecimal: return fmt::format("DECIMAL({},{})", type.precision, type.scale);
    case TypeId::kJson: return "JSON";
    default: return duckdb_type_name(type.id);
  }
}

}  // namespace tributary
