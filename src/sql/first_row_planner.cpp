#include "sql/first_row_planner.h"

#include <fmt/format.h>

#include "sql/aggregate_planner.h"

namespace tributary {
namespace {

constexpr std::string_view form = "the form is QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1";

bool is_one(const Expression& expression) { return expression.integer == 1; }

}  // namespace

const Expression* first_row_window(PlanningContext& context, const Expression& qualify) {
  const Expression* window = nullptr;
  if (qualify.kind == ExpressionKind::kComparison) {
    const Expression& left = qualify.children[0];
    const Expression& right = qualify.children[1];
    bool equal = qualify.name == "COMPARE_EQUAL";
    if (is_one(right) && (equal || qualify.name == "COMPARE_LESSTHANOREQUALTO")) window = &left;
    if (is_one(left) && (equal || qualify.name == "COMPARE_GREATERTHANOREQUALTO")) window = &right;
  }
  if (window == nullptr || window->kind != ExpressionKind::kWindow || !window->window.row_number) {
    context.fail(qualify.offset, fmt::format("this QUALIFY is not supported; {}", form));
    return nullptr;
  }
  if (window->window.order.empty()) {
    context.fail(window->offset, fmt::format("which row is the first? {}", form));
    return nullptr;
  }
  return window;
}

std::optional<FirstRow> type_first_row(PlanningContext& context, const ColumnTypes& columns, const Expression& window) {
  FirstRow first;
  size_t errors = context.errors.size();
  for (size_t child : window.window.partition) {
    auto value = type_expression(context, columns, window.children[child]);
    if (!value) continue;
    if (std::string refused = refuse_key(*value); !refused.empty()) {
      context.fail(window.children[child].offset, "PARTITION BY: " + refused);
    }
    first.partition.push_back(*std::move(value));
  }
  for (const WindowOrder& order : window.window.order) {
    auto value = type_expression(context, columns, window.children[order.child]);
    if (!value) continue;
    if (std::string refused = refuse_order(*value); !refused.empty()) {
      context.fail(window.children[order.child].offset, "ORDER BY: " + refused);
    }
    first.order.push_back({*std::move(value), order.descending, order.nulls_first});
  }
  if (context.errors.size() != errors) return std::nullopt;
  return first;
}

uint32_t plan_first_row(PlanningContext& context, const Pipe& rows, const FirstRow& first,
                        const std::vector<std::string>& names, const std::vector<TypedExpression>& values) {
  MapBuilder map(context, rows);
  std::map<std::string, uint32_t> known;
  auto identity = [](const TypedExpression& value) {
    return value.column ? *value.column : expression_identity(value.expression);
  };
  for (size_t i = 0; i < values.size(); ++i) {
    known.emplace(identity(values[i]), static_cast<uint32_t>(map.size()));
    map.add(names[i], values[i]);
  }
  PlanNode node{.kind = NodeKind::kFirstRow};
  node.first_row.output_columns = static_cast<uint32_t>(map.size());
  auto add = [&](const TypedExpression& value, std::string_view what) {
    auto [at, fresh] = known.emplace(identity(value), static_cast<uint32_t>(map.size()));
    if (fresh) map.add(context.fresh_name(what), value);
    return at->second;
  };
  for (const TypedExpression& value : first.partition) node.first_row.partition.push_back(add(value, "partition"));
  for (const FirstRow::Order& order : first.order) {
    node.first_row.order.push_back({add(order.value, "order"), order.descending, order.nulls_first});
  }
  Pipe input = map.finish();
  node.inputs = {input.node};
  for (uint32_t i = 0; i < node.first_row.output_columns; ++i) node.columns.push_back(input.columns[i].column);
  return context.add_node(std::move(node));
}

}  // namespace tributary
