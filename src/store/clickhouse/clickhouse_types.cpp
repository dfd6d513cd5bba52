#include "store/clickhouse/clickhouse_types.h"

#include <charconv>
#include <optional>

namespace tributary {
namespace {

std::string plain_type(const LogicalType& type) {
  switch (type.id) {
    case TypeId::kBool: return "Bool";
    case TypeId::kInt16: return "Int16";
    case TypeId::kInt32: return "Int32";
    case TypeId::kInt64: return "Int64";
    case TypeId::kUInt64: return "UInt64";
    case TypeId::kFloat32: return "Float32";
    case TypeId::kFloat64: return "Float64";
    case TypeId::kDecimal:
    case TypeId::kBigDecimal: return fmt::format("Decimal({}, {})", type.precision, type.scale);
    case TypeId::kDate: return "Date32";
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return "DateTime64(6, 'UTC')";
    case TypeId::kUuid: return "UUID";
    case TypeId::kText:
    case TypeId::kBytes:
    case TypeId::kJson: return "String";
  }
  CHECK(false, "type id {}", static_cast<int>(type.id));
  return {};
}

// The inverse of plain_type, up to types that share a ClickHouse type.
std::optional<LogicalType> logical_of(std::string_view name) {
  constexpr TypeId ids[] = {TypeId::kBool,      TypeId::kInt16,   TypeId::kInt32,   TypeId::kInt64,
                            TypeId::kUInt64,    TypeId::kFloat32, TypeId::kFloat64, TypeId::kDate,
                            TypeId::kTimestamp, TypeId::kUuid,    TypeId::kText};
  for (TypeId id : ids) {
    if (plain_type({id}) == name) return LogicalType{id};
  }
  unsigned precision = 0;
  unsigned scale = 0;
  constexpr std::string_view decimal = "Decimal(";
  if (!name.starts_with(decimal)) return std::nullopt;
  const char* end = name.data() + name.size();
  auto first = std::from_chars(name.data() + decimal.size(), end, precision);
  if (first.ec != std::errc{} || end - first.ptr < 3) return std::nullopt;
  auto second = std::from_chars(first.ptr + 2, end, scale);
  if (second.ec != std::errc{}) return std::nullopt;
  return LogicalType{precision <= 38 ? TypeId::kDecimal : TypeId::kBigDecimal, static_cast<uint8_t>(precision),
                     static_cast<uint8_t>(scale)};
}

struct Unwrapped {
  std::string_view type;
  bool nullable;
};
Unwrapped unwrap(std::string_view type) {
  constexpr std::string_view prefix = "Nullable(";
  if (type.starts_with(prefix) && type.ends_with(')')) {
    return {type.substr(prefix.size(), type.size() - prefix.size() - 1), true};
  }
  return {type, false};
}

}  // namespace

std::string clickhouse_type(const LogicalType& type, bool nullable) {
  std::string plain = plain_type(type);
  return nullable ? "Nullable(" + plain + ")" : plain;
}

size_t clickhouse_width(const LogicalType& type) {
  if (type.id == TypeId::kDecimal || type.id == TypeId::kBigDecimal) {
    return type.precision <= 9 ? 4 : type.precision <= 18 ? 8 : type.precision <= 38 ? 16 : 32;
  }
  return type.fixed_width();  // the widths are the same for all others
}

std::optional<std::string> clickhouse_common_type(const std::string& a, const std::string& b) {
  Unwrapped first = unwrap(a);
  Unwrapped second = unwrap(b);
  std::string base(first.type);
  if (first.type != second.type) {
    auto left = logical_of(first.type);
    auto right = logical_of(second.type);
    if (!left || !right) return std::nullopt;
    auto wider = widen(*left, *right);
    if (!wider) return std::nullopt;
    base = plain_type(*wider);
  }
  return first.nullable || second.nullable ? "Nullable(" + base + ")" : base;
}

}  // namespace tributary
