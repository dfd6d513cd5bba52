#include "sql/view_names.h"

#include <algorithm>

#include "sql/view_planner.h"

namespace tributary {

std::string lower_name(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && lower_name(a) == lower_name(b);
}

bool is_reserved_name(std::string_view name) { return same_name(name, "client_id") || name.starts_with('_'); }

std::vector<std::string> sql_column_names(const Relation& relation) {
  std::vector<std::string> names;
  for (const OutputColumn& column : relation.columns) names.push_back(column.name);
  if (relation.is_view) return names;
  for (std::string& name : names) {
    if (!is_reserved_name(name)) continue;
    std::string renamed = name + "_";
    while (
        std::any_of(names.begin(), names.end(), [&](const std::string& other) { return same_name(other, renamed); })) {
      renamed += "_";
    }
    name = renamed;
  }
  return names;
}

ViewPlan identity_view(const std::string& name, const Relation& relation) {
  std::vector<std::string> names = sql_column_names(relation);
  PlanNode domain{.kind = NodeKind::kDomain, .columns = relation.columns, .relation = relation.name};
  PlanNode map{.kind = NodeKind::kMap, .inputs = {0}};
  for (uint32_t i = 0; i < relation.columns.size(); ++i) {
    OutputColumn& column = domain.columns[i];
    bool key = std::find(relation.key.begin(), relation.key.end(), column.name) != relation.key.end();
    column.nullable = !key || column.nullable;
    map.map.inputs.push_back({column.name, column.type});
    map.map.outputs.push_back({{names[i], column.type, column.nullable}, i, std::nullopt});
    map.columns.push_back(map.map.outputs.back().column);
  }
  ViewPlan plan{.name = name};
  for (const std::string& key : relation.key) {
    for (uint32_t i = 0; i < relation.columns.size(); ++i) {
      if (relation.columns[i].name == key) plan.key.push_back(names[i]);
    }
  }
  plan.order_by = plan.key;
  plan.nodes = {std::move(domain), std::move(map)};
  return plan;
}

}  // namespace tributary
