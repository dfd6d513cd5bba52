#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "app/commands.h"
#include "app/pipeline_plan.h"
#include "app/plan_picture.h"
#include "base/nearest_name.h"

namespace tributary {
namespace {

using nlohmann::json;

// Views whose domains' rows are remembered: those that keep state, and all that they read.
std::set<std::string> views_below_state(const std::vector<ViewPlan>& views) {
  std::set<std::string> names;
  std::set<std::string> stateful;
  for (const ViewPlan& view : views) {
    bool keeps = view.keeps_state();
    for (const PlanNode& node : view.nodes)
      keeps = keeps || (node.kind == NodeKind::kView && stateful.contains(node.relation));
    if (keeps) stateful.insert(view.name);
  }
  for (size_t i = views.size(); i-- > 0;) {
    if (!stateful.contains(views[i].name) && !names.contains(views[i].name)) continue;
    names.insert(views[i].name);
    for (const PlanNode& node : views[i].nodes) {
      if (node.kind == NodeKind::kView) names.insert(node.relation);
    }
  }
  return names;
}

json as_json(const ViewPlan& view, const std::map<std::string, Relation>& relations, bool keeps_rows) {
  json nodes = json::array();
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    NodeDescription node = describe_node(view, i, relations, keeps_rows);
    json columns = json::array();
    for (const OutputColumn& column : view.nodes[i].columns) {
      columns.push_back({{"name", column.name}, {"type", column.type.to_string()}, {"nullable", column.nullable}});
    }
    nodes.push_back({{"operator", node.title},
                     {"inputs", view.nodes[i].inputs},
                     {"details", node.lines},
                     {"key", node.key},
                     {"state", node.state},
                     {"columns", std::move(columns)}});
  }
  return {{"view", view.name}, {"order_by", view.order_by}, {"nodes", std::move(nodes)}};
}

}  // namespace

int explain_command(const ExplainOptions& options) {
  auto duckdb = DuckDbEngine::open();
  if (!duckdb.ok()) return print_error(duckdb.error());
  CheckResult checked = check_pipeline(options.file, plan_functions(**duckdb));
  if (!checked.errors.empty()) {
    print_errors(checked.errors);
    return exit_config;
  }
  std::map<std::string, Relation> relations;
  for (const auto& [name, domain] : checked.compiled.domains) relations[name] = domain.relation;
  std::vector<std::string> names;
  for (const ViewPlan& view : checked.compiled.views) names.push_back(view.name);
  if (!options.view.empty() && std::find(names.begin(), names.end(), options.view) == names.end()) {
    auto nearest = nearest_name(options.view, names);
    std::fprintf(stderr, "tributary: %s has no view %s%s\n", options.file.c_str(), options.view.c_str(),
                 nearest ? ("; did you mean " + *nearest + "?").c_str()
                         : (names.empty() ? ": no columns are known yet; `tributary check --connect` reads them" : ""));
    return exit_usage;
  }
  std::set<std::string> below_state = views_below_state(checked.compiled.views);
  json all = json::array();
  std::string text;
  for (const ViewPlan& view : checked.compiled.views) {
    if (!options.view.empty() && view.name != options.view) continue;
    bool keeps_rows = below_state.contains(view.name);
    if (options.json) all.push_back(as_json(view, relations, keeps_rows));
    if (options.svg) {
      text += plan_svg(view, relations, keeps_rows);
    } else {
      text += (text.empty() ? "" : "\n") + plan_tree(view, relations, keeps_rows);
    }
  }
  if (options.json) text = all.dump(2) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_ok;
}

}  // namespace tributary
