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

Pipe plan_first_row(PlanningContext& context, const Pipe& rows, const FirstRow& first,
                    const std::set<std::string>& used) {
  MapBuilder map(context, rows);
  std::map<std::string, uint32_t> inputs;
  for (const Pipe::Column& column : rows.columns) {
    if (!used.contains(column.column.name)) continue;
    inputs.emplace(column.column.name, static_cast<uint32_t>(map.size()));
    map.pass_through(column.column.name, column.column.name);
  }
  PlanNode node{.kind = NodeKind::kFirstRow};
  node.first_row.output_columns = static_cast<uint32_t>(map.size());
  auto add = [&](const TypedExpression& value, std::string_view what) {
    std::string identity = value.column ? *value.column : expression_identity(value.expression);
    auto [known, fresh] = inputs.emplace(std::move(identity), static_cast<uint32_t>(map.size()));
    if (fresh) map.add(value.column ? *value.column : context.fresh_name(what), value);
    return known->second;
  };
  std::vector<std::string> key;
  for (const TypedExpression& value : first.partition) {
    node.first_row.partition.push_back(add(value, "partition"));
    key.push_back(value.column.value_or(""));
  }
  for (const FirstRow::Order& order : first.order) {
    node.first_row.order.push_back({add(order.value, "order"), order.descending, order.nulls_first});
  }
  Pipe input = map.is_identity() ? rows : map.finish();
  node.inputs = {input.node};
  for (uint32_t i = 0; i < node.first_row.output_columns; ++i) node.columns.push_back(input.columns[i].column);
  Pipe out = node_pipe(context, context.add_node(std::move(node)));
  if (!key.empty()) out.keys.push_back(std::move(key));
  out.keys.insert(out.keys.end(), rows.keys.begin(), rows.keys.end());
  return out;
}

}  // namespace tributary
