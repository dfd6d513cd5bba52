#include "sql/planning_context.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/nearest_name.h"
#include "contracts/text_place.h"
#include "sql/functions.h"

namespace tributary {
namespace {

Result<ExpressionType> describe(PlanningContext& context, const ColumnTypes& columns, const Expression& expression) {
  ASSIGN_OR_RETURN(std::string sql, expression_sql(context.engine, expression));
  std::vector<InputColumn> inputs;
  std::set<std::string_view> seen;
  for_each_column(expression, [&](const Expression& column) {
    auto found = columns.find(column.name_parts[0]);
    CHECK(found != columns.end(), "column {}", column.name_parts[0]);
    if (seen.insert(found->first).second) inputs.push_back({found->first, found->second});
  });
  return context.engine.describe(inputs, sql);
}

// DuckDB's message is about the whole; its place is that of the innermost part that fails alone.
void report(PlanningContext& context, const ColumnTypes& columns, const Expression& expression,
            const std::string& message) {
  for (const Expression& child : expression.children) {
    auto part = describe(context, columns, child);
    if (!part.ok()) return report(context, columns, child, part.error().message);
  }
  context.fail(expression.offset, message.substr(0, message.find('\n')));  // the candidates for a function are many
}

}  // namespace

void PlanningContext::fail(size_t offset, std::string message) {
  TextPlace place = place_at(request.sql, offset);
  // An alias is its expression wherever it is used, and has that one's errors.
  bool known = std::any_of(errors.begin(), errors.end(), [&](const PlanError& error) {
    return error.place.line == place.line && error.place.column == place.column && error.message == message;
  });
  if (known) return;
  auto after = [](const TextPlace& a, const PlanError& b) {
    return std::pair(a.line, a.column) < std::pair(b.place.line, b.place.column);
  };
  auto next = std::upper_bound(errors.begin(), errors.end(), place, after);
  errors.insert(next, {place, std::move(message)});
}

uint32_t PlanningContext::add_node(PlanNode node) {
  nodes.push_back(std::move(node));
  return static_cast<uint32_t>(nodes.size() - 1);
}

std::string PlanningContext::fresh_name(std::string_view what) {
  std::string name;
  do {
    name = fmt::format("{}#{}", what, ++names_given);
  } while (names_taken.contains(name));
  return name;
}

std::string did_you_mean(const std::string& wanted, const std::vector<std::string>& names) {
  if (auto nearest = nearest_name(wanted, names)) return fmt::format("did you mean \"{}\"?", *nearest);
  if (names.size() <= 12) return fmt::format("there are: {}", fmt::join(names, ", "));
  return "see the lock file for its columns";
}

std::optional<TypedExpression> type_expression(PlanningContext& context, const ColumnTypes& columns,
                                               const Expression& expression) {
  if (expression.kind == ExpressionKind::kColumn) {
    const std::string& name = expression.name_parts[0];
    return TypedExpression{expression, columns.at(name), {}, false, name};
  }
  auto type = describe(context, columns, expression);
  if (!type.ok()) {
    report(context, columns, expression, type.error().message);
    return std::nullopt;
  }
  return TypedExpression{expression, type->type, type->native, type->as_text, std::nullopt};
}

std::optional<TypedExpression> type_condition(PlanningContext& context, const ColumnTypes& columns,
                                              const Expression& expression, std::string_view clause) {
  auto typed = type_expression(context, columns, expression);
  if (!typed || typed->type.id == TypeId::kBool) return typed;
  context.fail(expression.offset, fmt::format("{} needs a condition; this is {}", clause, typed->type.to_string()));
  return std::nullopt;
}

TypedExpression cast_to(TypedExpression typed, LogicalType type) {
  if (typed.type == type && typed.native.empty()) return typed;
  typed.expression =
      cast_expression(std::move(typed.expression), duckdb_type_name(type.id), type.precision, type.scale);
  typed.type = type;
  typed.native.clear();
  typed.as_text = false;
  typed.column.reset();
  return typed;
}

void for_each_column(const Expression& expression, const std::function<void(const Expression& column)>& visit) {
  if (expression.kind == ExpressionKind::kColumn) return visit(expression);
  for (const Expression& child : expression.children) for_each_column(child, visit);
}

bool may_fail(const Expression& expression) {
  auto any_child = [&] { return std::any_of(expression.children.begin(), expression.children.end(), may_fail); };
  switch (expression.kind) {
    case ExpressionKind::kColumn:
    case ExpressionKind::kConstant: return false;
    case ExpressionKind::kFunction: return !never_fails_on_text(expression.name) || any_child();
    case ExpressionKind::kOperator:
      return (expression.name != "OPERATOR_IS_NULL" && expression.name != "OPERATOR_IS_NOT_NULL") || any_child();
    default: return true;
  }
}

}  // namespace tributary
