// What the parts of the planner share while they plan one view, and the types of its expressions. Only src/sql includes
// this.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sql/syntax_tree.h"
#include "sql/type_names.h"
#include "sql/view_planner.h"

namespace tributary {

inline constexpr std::string_view attribute_prefix = "client.";
inline constexpr size_t outputs_max = 2000;  // columns of a view

struct PlanningContext {
  DuckDbEngine& engine;
  const ViewRequest& request;
  std::vector<PlanError> errors;  // by place
  std::vector<PlanNode> nodes;
  std::set<std::string> names_taken;  // by columns of relations, in lower case
  uint32_t names_given = 0;  // to columns that have none of their own

  void fail(size_t offset, std::string message);
  uint32_t add_node(PlanNode node);  // its index
  // "key#3": a name that no other column of the view has.
  std::string fresh_name(std::string_view what);
};

// Among `names`, the one that `wanted` may have been meant to be.
std::string did_you_mean(const std::string& wanted, const std::vector<std::string>& names);

// An expression over columns that are named uniquely (Scope gives them their names), and what it gives.
struct TypedExpression {
  Expression expression;
  LogicalType type;
  std::string native;  // as ExpressionType's
  bool as_text = false;
  std::optional<std::string> column;  // it is this column, unchanged
};

// The types of the columns that expressions see, by name.
using ColumnTypes = std::map<std::string, LogicalType, std::less<>>;

// The type of `expression` as DuckDB finds it. nullopt after an error, which has the place of the innermost part that
// does not fit.
std::optional<TypedExpression> type_expression(PlanningContext& context, const ColumnTypes& columns,
                                               const Expression& expression);

// The same, of a condition: anything but a BOOLEAN is an error. `clause` says where it was written: "WHERE".
std::optional<TypedExpression> type_condition(PlanningContext& context, const ColumnTypes& columns,
                                              const Expression& expression, std::string_view clause);

// `typed` as a value of `type`; unchanged where it is one.
TypedExpression cast_to(TypedExpression typed, LogicalType type);

// Calls `visit` for every column that the expression uses, by its unique name.
void for_each_column(const Expression& expression, const std::function<void(const Expression& column)>& visit);

// Whether a value may make the expression fail. false is certain, true is not.
bool may_fail(const Expression& expression);

}  // namespace tributary
