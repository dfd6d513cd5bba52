#include "sql/join_key_type.h"

#include <fmt/format.h>

#include <algorithm>

namespace tributary {
namespace {

bool is_integer(LogicalType type) {
  return type.id == TypeId::kInt16 || type.id == TypeId::kInt32 || type.id == TypeId::kInt64 ||
         type.id == TypeId::kUInt64;
}

// Types that equal values of their own type only, as far as a join goes.
bool stands_alone(LogicalType type) {
  return type.id == TypeId::kText || type.id == TypeId::kJson || type.id == TypeId::kBytes ||
         type.id == TypeId::kUuid || type.id == TypeId::kBigDecimal;
}

// The digits before the point that a value of the type may have, as DuckDB counts them.
uint8_t integer_digits(LogicalType type) {
  switch (type.id) {
    case TypeId::kInt16: return 5;
    case TypeId::kInt32: return 10;
    case TypeId::kInt64: return 19;
    case TypeId::kUInt64: return 20;
    default: return static_cast<uint8_t>(type.precision - type.scale);
  }
}

}  // namespace

Result<std::optional<LogicalType>> join_key_type(DuckDbEngine& engine, const TypedExpression& left,
                                                 const TypedExpression& right) {
  auto refuse = [&](std::string_view what) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} = {}: {}", left.type.to_string(), right.type.to_string(), what)};
  };
  if (left.as_text || right.as_text) {
    return refuse("a side has a type that no column can have; write CAST(… AS VARCHAR) on both sides");
  }
  if (left.type == right.type) return std::optional<LogicalType>();
  if (is_integer(left.type) && is_integer(right.type)) return std::optional<LogicalType>();
  if (stands_alone(left.type) || stands_alone(right.type)) {
    return refuse("the sides are compared in different ways; CAST one of them to the type of the other");
  }
  auto numeric = [](LogicalType type) { return is_integer(type) || type.id == TypeId::kDecimal; };
  if (numeric(left.type) && numeric(right.type)) {
    // Not what COALESCE says: `=` keeps all digits behind the point, and fails for values that then are too long.
    uint8_t scale = std::max(left.type.scale, right.type.scale);
    int digits = std::max(integer_digits(left.type), integer_digits(right.type)) + scale;
    return std::optional(LogicalType{TypeId::kDecimal, static_cast<uint8_t>(std::min(digits, 38)), scale});
  }
  auto typed = [](std::string_view name, LogicalType type) { return InputColumn{std::string(name), type}; };
  auto common = engine.describe({typed("l", left.type), typed("r", right.type)}, "COALESCE(l, r)");
  if (!common.ok() || common->as_text) {
    return refuse("there is no common type; CAST one of them to the type of the other");
  }
  return std::optional(common->type);
}

}  // namespace tributary
