// As what the two sides of `left = right` are compared. Only src/sql includes this.
#pragma once

#include <optional>

#include "sql/planning_context.h"

namespace tributary {

// The type that both sides are cast to so that their equality is DuckDB's; none where they are compared as they are: equal
// types, or integers, whose values the join compares. An error says what to write instead.
Result<std::optional<LogicalType>> join_key_type(DuckDbEngine& engine, const TypedExpression& left,
                                                 const TypedExpression& right);

}  // namespace tributary
