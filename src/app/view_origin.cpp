#include "app/view_origin.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clickhouse_tokens.h"

namespace tributary {
namespace {

// Columns of the view that are columns of an earlier node passed on unchanged, through the maps between the two.
std::map<std::string, std::string> passed_on(const ViewPlan& view, size_t node) {
  std::map<std::string, std::string> names;
  for (const OutputColumn& column : view.nodes[node].columns) names[column.name] = column.name;
  for (size_t at = node + 1; at < view.nodes.size(); ++at) {
    const MapPlan& map = view.nodes[at].map;
    std::map<std::string, std::string> next;
    for (const MapOutput& output : map.outputs) {
      if (!output.input) continue;
      auto from = names.find(map.inputs[*output.input].name);
      if (from != names.end()) next[output.column.name] = from->second;
    }
    names = std::move(next);
  }
  return names;
}

// What a column of the aggregate's input is called: as where it was passed on from, else by what it is computed for.
std::string label_of(const PlanNode& input, uint32_t index, const std::map<uint32_t, std::string>& used_for) {
  if (input.kind == NodeKind::kMap && input.map.outputs[index].input)
    return input.map.inputs[*input.map.outputs[index].input].name;
  auto use = used_for.find(index);
  return use == used_for.end() ? input.columns[index].name : use->second;
}

// What can be taken again over the rows; of the others the rows speak for themselves.
std::string call_sql(const AggregateCall& call, const std::vector<OutputColumn>& columns) {
  auto name = [&](std::optional<uint32_t> index) { return quote_identifier(columns[*index].name); };
  std::string condition = call.filter ? fmt::format("ifNull({}, 0)", name(call.filter)) : "1";
  switch (call.kind) {
    case AggregateKind::kCountRows: return fmt::format("countIf({})", condition);
    case AggregateKind::kCount: return fmt::format("countIf({} AND {} IS NOT NULL)", condition, name(call.argument));
    case AggregateKind::kCountDistinct: return fmt::format("uniqExactIf({}, {})", name(call.argument), condition);
    case AggregateKind::kSum: return fmt::format("sumOrNullIf({}, {})", name(call.argument), condition);
    case AggregateKind::kAvg: return fmt::format("avgOrNullIf({}, {})", name(call.argument), condition);
    case AggregateKind::kMin:
    case AggregateKind::kBoolAnd: return fmt::format("minOrNullIf({}, {})", name(call.argument), condition);
    case AggregateKind::kMax:
    case AggregateKind::kBoolOr: return fmt::format("maxOrNullIf({}, {})", name(call.argument), condition);
    default: return "";
  }
}

}  // namespace

std::optional<AggregateOrigin> aggregate_origin(const ViewPlan& view) {
  size_t node = view.nodes.size() - 1;
  while (view.nodes[node].kind == NodeKind::kMap) node = view.nodes[node].inputs[0];
  if (view.nodes[node].kind != NodeKind::kAggregate) return std::nullopt;
  const PlanNode& aggregate = view.nodes[node];
  AggregateOrigin origin;
  origin.rows.name = "rows of " + view.name;
  origin.rows.nodes.assign(view.nodes.begin(), view.nodes.begin() + aggregate.inputs[0] + 1);
  const std::vector<OutputColumn>& inputs = origin.rows.columns();
  std::map<std::string, uint32_t> places;
  for (uint32_t i = 0; i < aggregate.columns.size(); ++i) places[aggregate.columns[i].name] = i;
  uint32_t groups = aggregate.aggregate.group_columns;
  std::map<uint32_t, std::string> used_for;  // a column of the view, by input
  for (const auto& [column, of] : passed_on(view, node)) {
    uint32_t place = places.at(of);
    if (place < groups) {
      origin.input_of_column[column] = inputs[place].name;
      used_for.emplace(place, column);
      continue;
    }
    const AggregateCall& call = aggregate.aggregate.calls[place - groups];
    for (const auto& input : {call.argument, call.order, call.filter}) {
      if (input) used_for.emplace(*input, "of " + column);
    }
    std::string sql = call_sql(call, inputs);
    if (!sql.empty()) origin.calls.push_back({column, std::move(sql)});
  }
  for (uint32_t i = 0; i < inputs.size(); ++i)
    origin.labels.push_back(label_of(view.nodes[aggregate.inputs[0]], i, used_for));
  return origin;
}

std::optional<std::string> domain_of_row(const ViewPlan& view) {
  size_t node = view.nodes.size() - 1;
  while (view.nodes[node].kind == NodeKind::kMap) node = view.nodes[node].inputs[0];
  if (view.nodes[node].kind != NodeKind::kDomain || view.key.empty()) return std::nullopt;
  return view.nodes[node].relation;
}

}  // namespace tributary
