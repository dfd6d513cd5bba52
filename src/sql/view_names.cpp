#include "sql/view_names.h"

#include <algorithm>

#include "sql/view_planner.h"

namespace tributary {

bool same_name(std::string_view a, std::string_view b) {
  auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return folded(x) == folded(y); });
}

bool is_reserved_name(std::string_view name) { return same_name(name, "client_id") || name.starts_with('_'); }

std::vector<std::string> sql_column_names(const Relation& relation) {
  std::vector<std::string> names;
  for (const OutputColumn& column : relation.columns) names.push_back(column.name);
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
  ViewPlan plan;
  plan.name = name;
  plan.relation = relation.name;
  std::vector<std::string> names = sql_column_names(relation);
  for (uint32_t i = 0; i < relation.columns.size(); ++i) {
    const OutputColumn& column = relation.columns[i];
    bool key = std::find(relation.key.begin(), relation.key.end(), column.name) != relation.key.end();
    plan.inputs.push_back({column.name, column.type});
    plan.outputs.push_back({{names[i], column.type, !key || column.nullable}, i, std::nullopt});
  }
  for (const std::string& key : relation.key) {
    for (const ViewOutput& output : plan.outputs) {
      if (plan.inputs[*output.input].name == key) plan.order_by.push_back(output.column.name);
    }
  }
  return plan;
}

}  // namespace tributary
