#include "sql/aggregate_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "sql/expression_checks.h"
#include "sql/functions.h"

namespace tributary {
namespace {

// Whether a text may compare by a collation. What is true or not carries none: a comparison with COLLATE is over.
bool may_have_collation(const Expression& text) {
  switch (text.kind) {
    case ExpressionKind::kCollate: return true;
    case ExpressionKind::kComparison:
    case ExpressionKind::kConjunction:
    case ExpressionKind::kBetween: return false;
    default: break;
  }
  static const std::set<std::string, std::less<>> conditions{"OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_NOT",
                                                             "COMPARE_IN", "COMPARE_NOT_IN"};
  if (text.kind == ExpressionKind::kOperator && conditions.contains(text.name)) return false;
  return std::any_of(text.children.begin(), text.children.end(), may_have_collation);
}

LogicalType sum_type(LogicalType argument) {
  switch (argument.id) {
    case TypeId::kFloat32:
    case TypeId::kFloat64: return {TypeId::kFloat64};
    case TypeId::kDecimal: return {TypeId::kDecimal, 38, argument.scale};
    default: return {TypeId::kDecimal, 38, 0};
  }
}

// The type of the aggregate's column (contracts/view_plan.h).
LogicalType type_of_call(AggregateKind kind, const std::optional<TypedExpression>& argument) {
  switch (kind) {
    case AggregateKind::kCountRows:
    case AggregateKind::kCount:
    case AggregateKind::kCountDistinct: return {TypeId::kInt64};
    case AggregateKind::kSum: return sum_type(argument->type);
    case AggregateKind::kAvg: return {TypeId::kFloat64};
    case AggregateKind::kBoolAnd:
    case AggregateKind::kBoolOr: return {TypeId::kBool};
    default: return argument->type;
  }
}

const char* name_of(AggregateKind kind) {
  switch (kind) {
    case AggregateKind::kCountRows:
    case AggregateKind::kCount:
    case AggregateKind::kCountDistinct: return "count";
    case AggregateKind::kSum: return "sum";
    case AggregateKind::kAvg: return "avg";
    case AggregateKind::kMin: return "min";
    case AggregateKind::kMax: return "max";
    case AggregateKind::kBoolAnd: return "bool_and";
    case AggregateKind::kBoolOr: return "bool_or";
    case AggregateKind::kArgMin: return "arg_min";
    case AggregateKind::kArgMax: return "arg_max";
  }
  return "aggregate";
}

}  // namespace

std::string refuse_key(const TypedExpression& value) {
  if (value.as_text)
    return "this type cannot be a column's, so its values cannot be told apart; write CAST(… AS VARCHAR)";
  bool text = value.type.id == TypeId::kText || value.type.id == TypeId::kJson;
  if (text && may_have_collation(value.expression)) return "COLLATE is for comparisons only; write lower(x)";
  return {};
}

std::string refuse_order(const TypedExpression& value) {
  if (std::string refused = refuse_key(value); !refused.empty()) return refused;
  if (value.type.id == TypeId::kBigDecimal) {
    return fmt::format(
        "{} has no order here, since DuckDB sees it as text; write CAST(x AS DECIMAL(38, {})), or DOUBLE",
        value.type.to_string(), std::min<int>(value.type.scale, 38));
  }
  if (value.type.id == TypeId::kJson) return "json has no order; take a part of it: x ->> '$.name'";
  return {};
}

void AggregatePlanner::add_group(const Expression& group) { find_or_add_group(group, false); }

const AggregatePlanner::Group* AggregatePlanner::find_or_add_group(const Expression& group, bool implicit) {
  std::string identity = expression_identity(group);
  if (auto known = groups_by_identity_.find(identity); known != groups_by_identity_.end())
    return &groups_[known->second];
  auto typed = type_expression(context_, scope_.types(), group);
  std::string refused = typed ? refuse_key(*typed) : "";
  if (!refused.empty()) context_.fail(group.offset, "GROUP BY: " + refused);
  if (!typed || !refused.empty()) {
    no_groups_.insert(std::move(identity));
    return nullptr;
  }
  Column column{typed->column ? *typed->column : context_.fresh_name("group"), typed->native};
  groups_by_identity_.emplace(std::move(identity), groups_.size());
  groups_.push_back({*std::move(typed), std::move(column), implicit});
  return &groups_.back();
}

Expression AggregatePlanner::reference(const Column& column, size_t offset) const {
  Expression found = column_expression(column.name, offset);
  return column.native.empty() ? found : cast_expression(std::move(found), column.native);
}

Expression AggregatePlanner::above(const Expression& resolved) {
  auto replaced = replace(resolved);
  if (!replaced) return rewrite(resolved, [this](const Expression& part) { return replace(part); });
  // A column that stands alone is passed on as it is; inside an expression its type matters.
  Expression column = replaced->kind == ExpressionKind::kCast ? replaced->children[0] : *replaced;
  column.alias = resolved.alias;
  return column;
}

std::map<std::string, std::string> AggregatePlanner::natives() const {
  std::map<std::string, std::string> natives;
  for (const Group& group : groups_) natives.emplace(group.column.name, group.column.native);
  for (const Call& call : calls_) natives.emplace(call.column.name, call.column.native);
  return natives;
}

std::optional<Expression> AggregatePlanner::replace(const Expression& part) {
  std::string identity = expression_identity(part);
  // Why it is no group is told, and not that its columns are in none.
  if (no_groups_.contains(identity)) return column_expression("error", part.offset);
  auto known = groups_by_identity_.find(identity);
  if (known != groups_by_identity_.end()) return reference(groups_[known->second].column, part.offset);
  if (part.kind == ExpressionKind::kFunction && is_aggregate_function(part.name)) {
    auto call = find_or_add_call(part);
    return call ? reference(calls_[*call].column, part.offset) : column_expression("error", part.offset);
  }
  if (part.kind != ExpressionKind::kColumn) return std::nullopt;
  const ScopeColumn& column = scope_.column(part.name_parts[0]);
  if (!column.attribute) {
    context_.fail(
        part.offset,
        global_ ? fmt::format("\"{0}\" stands beside an aggregate; write GROUP BY {0}, or min({0})", column.display)
                : fmt::format("\"{0}\" is neither in GROUP BY nor inside an aggregate; add it to GROUP BY, or "
                              "write min({0})",
                              column.display));
    return column_expression("error", part.offset);
  }
  if (global_) {
    context_.fail(part.offset, fmt::format("client.{} beside an aggregate without GROUP BY is not supported; make the "
                                           "aggregate a view of its own, and use client.{} in a view that reads it",
                                           column.display, column.display));
    return column_expression("error", part.offset);
  }
  const Group* group = find_or_add_group(part, true);
  return group == nullptr ? column_expression("error", part.offset) : reference(group->column, part.offset);
}

std::optional<size_t> AggregatePlanner::find_or_add_call(const Expression& call) {
  std::string identity = expression_identity(call);
  if (auto known = calls_by_identity_.find(identity); known != calls_by_identity_.end()) return known->second;
  auto read = read_call(call);
  if (!read) return std::nullopt;
  calls_by_identity_.emplace(std::move(identity), calls_.size());
  calls_.push_back(*std::move(read));
  return calls_.size() - 1;
}

std::optional<AggregatePlanner::Call> AggregatePlanner::read_call(const Expression& expression) {
  size_t errors = context_.errors.size();
  const CallDetails& details = expression.call;
  Call call{.kind = *aggregate_kind(expression.name)};
  if (call.kind == AggregateKind::kCount && details.distinct) call.kind = AggregateKind::kCountDistinct;
  if (details.arguments > 0) call.argument = type_expression(context_, scope_.types(), expression.children[0]);
  if (details.arguments > 1) call.order = type_expression(context_, scope_.types(), expression.children[1]);
  if (details.has_filter) {
    call.filter = type_condition(context_, scope_.types(), expression.children[details.arguments], "FILTER");
  }
  if (context_.errors.size() != errors || !check_types(expression, call)) return std::nullopt;
  call.column.name = context_.fresh_name(name_of(call.kind));
  return call;
}

bool AggregatePlanner::check_types(const Expression& expression, Call& call) {
  auto refuse = [&](const std::string& why) {
    context_.fail(expression.offset, fmt::format("{}: {}", call_name(expression), why));
    return false;
  };
  bool big = call.argument && call.argument->type.id == TypeId::kBigDecimal;
  if (big && (call.kind == AggregateKind::kSum || call.kind == AggregateKind::kAvg)) {
    return refuse(fmt::format("{} is text to DuckDB; write CAST(x AS DECIMAL(38, {})), or DOUBLE",
                              call.argument->type.to_string(), std::min<int>(call.argument->type.scale, 38)));
  }
  auto whole = type_expression(context_, scope_.types(), expression);
  if (!whole) return false;
  std::string refused;
  switch (call.kind) {
    case AggregateKind::kMin:
    case AggregateKind::kMax: refused = refuse_order(*call.argument); break;
    case AggregateKind::kArgMin:
    case AggregateKind::kArgMax:
      refused = refuse_key(*call.argument);
      if (refused.empty()) refused = refuse_order(*call.order);
      break;
    case AggregateKind::kCountDistinct: refused = refuse_key(*call.argument); break;
    default: break;
  }
  if (!refused.empty()) return refuse(refused);
  call.type = type_of_call(call.kind, call.argument);
  call.column.native = whole->native;
  if (whole->type != call.type && !big) {
    return refuse(fmt::format("of {} it is not supported; give it numbers: epoch(x) is the seconds since 1970",
                              call.argument->type.to_string()));
  }
  return true;
}

// The column of the aggregate's input that holds `value`; with a filter, computed only where that is true.
uint32_t AggregatePlanner::add_input(MapBuilder& map, const TypedExpression& value,
                                     const std::optional<TypedExpression>& filter) {
  bool guarded = filter && may_fail(value.expression);
  std::string identity = expression_identity(value.expression);
  if (guarded) identity += " where " + expression_identity(filter->expression);
  auto [known, fresh] = inputs_.emplace(std::move(identity), static_cast<uint32_t>(map.size()));
  if (fresh) {
    std::string name = value.column ? *value.column : context_.fresh_name("argument");
    map.add(std::move(name), value, guarded ? std::vector{*filter} : std::vector<TypedExpression>{});
  }
  return known->second;
}

Pipe AggregatePlanner::build(FromPlanner& from) {
  std::set<std::string> used;
  auto use = [&](const std::optional<TypedExpression>& value) {
    if (value) for_each_column(value->expression, [&](const Expression& column) { used.insert(column.name_parts[0]); });
  };
  for (const Group& group : groups_) use(group.value);
  for (const Call& call : calls_) {
    use(call.argument);
    use(call.order);
    use(call.filter);
  }
  Pipe pipe = from.build(used);
  MapBuilder map(context_, pipe);
  PlanNode node{.kind = NodeKind::kAggregate};
  node.aggregate.group_columns = static_cast<uint32_t>(groups_.size());
  node.aggregate.global = global_;
  for (const Group& group : groups_) {
    inputs_.emplace(expression_identity(group.value.expression), static_cast<uint32_t>(map.size()));
    map.add(group.column.name, group.value);
  }
  for (const Call& call : calls_) {
    AggregateCall added{.kind = call.kind, .column = {call.column.name, call.type}};
    if (call.argument) {
      // DuckDB sums booleans as integers.
      bool flags = call.kind == AggregateKind::kSum && call.argument->type.id == TypeId::kBool;
      added.argument = add_input(map, flags ? cast_to(*call.argument, {TypeId::kInt32}) : *call.argument, call.filter);
    }
    if (call.order) added.order = add_input(map, *call.order, call.filter);
    if (call.filter) added.filter = add_input(map, *call.filter, std::nullopt);
    node.aggregate.calls.push_back(std::move(added));
  }
  Pipe input = map.is_identity() ? pipe : map.finish();
  node.inputs = {input.node};
  for (size_t i = 0; i < groups_.size(); ++i) node.columns.push_back(input.columns[i].column);
  for (const AggregateCall& call : node.aggregate.calls) node.columns.push_back(call.column);
  Pipe out = node_pipe(context_, context_.add_node(std::move(node)));
  out.keys = keys();
  return out;
}

// Attributes are one value a client: they tell no groups apart, unless there is nothing else. But when one changes, groups
// of its old and of its new value are there at once for a while.
std::vector<Pipe::Key> AggregatePlanner::keys() const {
  std::vector<std::string> all;
  std::vector<std::string> own;
  for (const Group& group : groups_) {
    all.push_back(group.column.name);
    bool attribute = group.value.column && scope_.column(*group.value.column).attribute;
    if (!attribute) own.push_back(group.column.name);
  }
  if (all.empty()) return {};
  bool always = own.empty() || own.size() == all.size();
  return {{own.empty() ? std::move(all) : std::move(own), always}};
}

}  // namespace tributary
