#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "app/commands.h"
#include "app/json_line.h"
#include "app/pipeline_plan.h"
#include "app/plan_picture.h"
#include "base/nearest_name.h"

namespace tributary {
namespace {

using nlohmann::json;

// Domains whose rows are remembered: views that keep state read them, themselves or through others.
std::set<std::string> kept_domains(const std::vector<ViewPlan>& views) {
  std::set<std::string> stateful;
  std::set<std::string> below;
  std::set<std::string> domains;
  for (const ViewPlan& view : views) {
    bool keeps = view.keeps_state();
    for (const PlanNode& node : view.nodes)
      keeps = keeps || (node.kind == NodeKind::kView && stateful.contains(node.relation));
    if (keeps) stateful.insert(view.name);
  }
  for (size_t i = views.size(); i-- > 0;) {
    if (!stateful.contains(views[i].name) && !below.contains(views[i].name)) continue;
    for (const PlanNode& node : views[i].nodes) {
      if (node.kind == NodeKind::kView) below.insert(node.relation);
      if (node.kind == NodeKind::kDomain) domains.insert(node.relation);
    }
  }
  return domains;
}

json as_json(const ViewPlan& view, const std::map<std::string, Relation>& relations,
             const std::set<std::string>& kept) {
  json nodes = json::array();
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    NodeDescription node = describe_node(view, i, relations, kept);
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
  if (checked.compiled.views.empty()) {
    std::fprintf(stderr,
                 "tributary: the lock file of %s knows no table's columns; `tributary check %s --connect` reads them\n",
                 options.file.c_str(), options.file.c_str());
    return exit_config;
  }
  std::map<std::string, Relation> relations;
  for (const auto& [name, domain] : checked.compiled.domains) relations[name] = domain.relation;
  std::vector<std::string> names;
  names.reserve(checked.compiled.views.size());
  for (const ViewPlan& view : checked.compiled.views) names.push_back(view.name);
  if (!options.view.empty() && std::find(names.begin(), names.end(), options.view) == names.end()) {
    auto nearest = nearest_name(options.view, names);
    std::fprintf(stderr, "tributary: %s has no view %s%s\n", options.file.c_str(), options.view.c_str(),
                 nearest ? ("; did you mean " + *nearest + "?").c_str() : "");
    return exit_usage;
  }
  std::set<std::string> kept = kept_domains(checked.compiled.views);
  json all = json::array();
  std::string text;
  std::vector<const ViewPlan*> drawn;
  for (const ViewPlan& view : checked.compiled.views) {
    if (!options.view.empty() && view.name != options.view) continue;
    drawn.push_back(&view);
    if (options.json) all.push_back(as_json(view, relations, kept));
    if (!options.svg) text += (text.empty() ? "" : "\n") + plan_tree(view, relations, kept);
  }
  if (options.svg) text = plan_svg(drawn, relations, kept);
  if (options.json) text = json_text(all) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_ok;
}

}  // namespace tributary
