#include "sql/map_builder.h"

#include <fmt/format.h>

#include <algorithm>

namespace tributary {

std::optional<uint32_t> Pipe::find(const std::string& unique_name) const {
  for (uint32_t i = 0; i < columns.size(); ++i) {
    if (columns[i].column.name == unique_name) return i;
  }
  return std::nullopt;
}

ColumnTypes Pipe::types() const {
  ColumnTypes types;
  for (const Column& column : columns) types.emplace(column.column.name, column.column.type);
  return types;
}

Pipe leaf_pipe(const Scope& scope, size_t relation) {
  Pipe pipe;
  const ScopeRelation& of = scope.relations()[relation];
  pipe.leaf = of.relation;
  for (const ScopeColumn& column : scope.columns()) {
    if (column.relation != relation && !column.attribute) continue;
    pipe.columns.push_back({{column.name, column.type, column.nullable}, column.source});
  }
  std::vector<std::string> key;
  for (const std::string& name : of.relation->key) {
    for (uint32_t i = 0; i < of.columns.size(); ++i) {
      if (of.relation->columns[i].name == name) key.push_back(scope.columns()[of.columns[i]].name);
    }
  }
  if (!key.empty() && key.size() == of.relation->key.size())
    pipe.keys.push_back({std::move(key), of.relation->key_always});
  return pipe;
}

Pipe node_pipe(const PlanningContext& context, uint32_t node) {
  Pipe pipe;
  pipe.node = node;
  for (const OutputColumn& column : context.nodes[node].columns) pipe.columns.push_back({column, column.name});
  return pipe;
}

MapBuilder::MapBuilder(PlanningContext& context, const Pipe& input) : context_(context), pipe_(input) {
  if (pipe_.filters.empty()) return;
  filter_ = all_of(pipe_.filters);
  map_.filter = 0;
  map_.expressions.push_back(filter_);
}

uint32_t MapBuilder::input(const std::string& unique_name) {
  auto column = pipe_.find(unique_name);
  CHECK(column.has_value(), "column {}", unique_name);
  const Pipe::Column& found = pipe_.columns[*column];
  for (uint32_t i = 0; i < map_.inputs.size(); ++i) {
    if (map_.inputs[i].name == found.node_name) return i;
  }
  map_.inputs.push_back({found.node_name, found.column.type});
  return static_cast<uint32_t>(map_.inputs.size() - 1);
}

std::string MapBuilder::sql(const TypedExpression& value) {
  auto written = expression_sql(context_.engine, value.expression, [&](const std::vector<std::string>& parts) {
    return map_.inputs[input(parts[0])].name;
  });
  if (written.ok()) return std::move(written).value();
  context_.fail(value.expression.offset, written.error().message);
  return "NULL";
}

std::string MapBuilder::all_of(const std::vector<TypedExpression>& conditions) {
  std::string out;
  for (const TypedExpression& condition : conditions) {
    out += fmt::format("{}{}", out.empty() ? "" : " AND ", sql(condition));
  }
  return conditions.size() > 1 ? "(" + out + ")" : out;
}

void MapBuilder::pass_through(std::string name, const std::string& column) {
  uint32_t from = input(column);
  const OutputColumn& passed = pipe_.columns[*pipe_.find(column)].column;
  outputs_.push_back({{std::move(name), passed.type, passed.nullable}, from, std::nullopt});
}

void MapBuilder::add(std::string name, const TypedExpression& value, const std::vector<TypedExpression>& conditions) {
  if (value.column) return pass_through(std::move(name), *value.column);
  std::string guard;
  if (may_fail(value.expression)) {
    guard = filter_;
    if (!conditions.empty()) guard += (guard.empty() ? "" : " AND ") + all_of(conditions);
  }
  add_computed(std::move(name), value, guard);
}

void MapBuilder::add_where(std::string name, const TypedExpression& value,
                           const std::vector<TypedExpression>& conditions) {
  std::string condition = all_of(conditions);
  add_computed(std::move(name), value, filter_.empty() ? condition : filter_ + " AND " + condition);
}

void MapBuilder::add_computed(std::string name, const TypedExpression& value, const std::string& condition) {
  std::string text = sql(value);
  if (!condition.empty()) text = fmt::format("CASE WHEN {} THEN {} END", condition, text);
  outputs_.push_back(
      {{std::move(name), value.type, true}, std::nullopt, static_cast<uint32_t>(map_.expressions.size())});
  map_.expressions.push_back(std::move(text));
}

bool MapBuilder::only_renames() const {
  if (pipe_.leaf != nullptr || map_.filter || outputs_.size() != pipe_.columns.size()) return false;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!outputs_[i].input || map_.inputs[*outputs_[i].input].name != pipe_.columns[i].node_name) return false;
  }
  return true;
}

bool MapBuilder::is_identity() const {
  if (!only_renames()) return false;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].column.name != pipe_.columns[i].node_name) return false;
  }
  return true;
}

uint32_t MapBuilder::rename() {
  PlanNode& node = context_.nodes[pipe_.node];
  CHECK(node.kind != NodeKind::kMap);
  for (size_t i = 0; i < outputs_.size(); ++i) node.columns[i].name = outputs_[i].column.name;
  for (size_t i = 0; i < node.aggregate.calls.size(); ++i) {
    node.aggregate.calls[i].column.name = node.columns[node.aggregate.group_columns + i].name;
  }
  return pipe_.node;
}

// The leaf gives what the map uses, in the relation's order, attributes last.
uint32_t MapBuilder::add_leaf(const MapPlan& map) {
  PlanNode leaf{.kind = pipe_.leaf->is_view ? NodeKind::kView : NodeKind::kDomain, .relation = pipe_.leaf->name};
  for (const Pipe::Column& column : pipe_.columns) {
    auto used = std::find_if(map.inputs.begin(), map.inputs.end(),
                             [&](const InputColumn& input) { return input.name == column.node_name; });
    if (used != map.inputs.end())
      leaf.columns.push_back({column.node_name, column.column.type, column.column.nullable});
  }
  return context_.add_node(std::move(leaf));
}

Pipe MapBuilder::finish() {
  PlanNode node{.kind = NodeKind::kMap};
  node.inputs = {pipe_.leaf != nullptr ? add_leaf(map_) : pipe_.node};
  for (const MapOutput& output : outputs_) node.columns.push_back(output.column);
  map_.outputs = std::move(outputs_);
  node.map = std::move(map_);
  Pipe out = node_pipe(context_, context_.add_node(std::move(node)));
  out.keys = pipe_.keys;
  return out;
}

}  // namespace tributary
