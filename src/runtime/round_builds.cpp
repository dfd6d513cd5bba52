// The part of RoundRunner that decides which builds of views there are: what the plan is now, what has to be computed
// again, when readers are switched over, and what is given up then.
#include <algorithm>

#include "runtime/round_runner.h"
#include "runtime/state_cleanup.h"
#include "runtime/stored_facts.h"

namespace tributary {
namespace {

// The views that `names` read, with them, in the plan's order.
std::vector<ViewPlan> with_upstream(const std::vector<ViewPlan>& views, std::set<std::string> names) {
  for (size_t i = views.size(); i-- > 0;) {
    if (!names.contains(views[i].name)) continue;
    for (const PlanNode& node : views[i].nodes) {
      if (node.kind == NodeKind::kView) names.insert(node.relation);
    }
  }
  std::vector<ViewPlan> out;
  for (const ViewPlan& view : views) {
    if (names.contains(view.name)) out.push_back(view);
  }
  return out;
}

std::set<std::string> domains_of(const std::vector<ViewPlan>& views) {
  std::set<std::string> domains;
  for (const ViewPlan& view : views) {
    for (const PlanNode& node : view.nodes) {
      if (node.kind == NodeKind::kDomain) domains.insert(node.relation);
    }
  }
  return domains;
}

// The generation that an entry of keyed state belongs to, by its name ("orders@3", "sales#2@3").
std::string_view suffix_of(std::string_view name) {
  size_t at = name.find('@');
  return at == std::string_view::npos ? std::string_view() : name.substr(at);
}

}  // namespace

// The planner gives what the clients' newest tables and the pipeline file mean together.
Status RoundRunner::replan() {
  std::vector<ClientTable> known;
  for (const auto& [of, schema] : newest_) known.push_back({of.first, of.second, schema});
  ASSIGN_OR_RETURN(PlannedPipeline plan, ports_.plan(known));

  Builds before = builds_;
  uint32_t fresh = builds_.fresh_generation();
  bool nothing_before = read_.empty();  // raw is empty as well
  std::map<std::string, PlanFingerprint> fingerprints;
  std::vector<std::string> used;
  std::map<uint32_t, std::set<std::string>> stored;  // by generation
  for (const ViewPlan& view : plan.views) {
    PlanFingerprint fingerprint = fingerprint_of(view, fingerprints, plan.relations);
    size_t builds = builds_.all().size();
    const Build& build = builds_.use(view.name, fingerprint, fresh, nothing_before);
    bool is_new = builds_.all().size() > builds;
    used.push_back(build.table());
    stored[build.generation].insert(view.name);
    if (is_new && !nothing_before) {
      for (const std::string& domain : domains_of(with_upstream(plan.views, {view.name}))) {
        for (const Table& table : client_tables_) {
          if (table.domain == domain) builds_.add_refeed(fresh, table.client, domain);
        }
      }
    }
    fingerprints[view.name] = std::move(fingerprint);
  }
  builds_.interrupt_others(used);

  std::vector<Generation> generations;
  for (auto& [number, views] : stored) {
    GraphOptions options{.state_suffix = generation_suffix(number),
                         .views = with_upstream(plan.views, views),
                         .stored = views,
                         .relations = plan.relations,
                         .find_schema = [this](const ClientId& client, const std::string& table,
                                               uint32_t version) { return ports_.log.schema(client, table, version); },
                         .workers = limits_.workers,
                         .limits = limits_.graph};
    auto graph = ViewGraph::make(std::move(options), ports_.expressions);
    if (!graph.ok()) {
      builds_ = std::move(before);
      return std::move(graph).error();
    }
    generations.push_back({number, std::move(graph).value()});
  }
  plan_ = std::move(plan);
  generations_ = std::move(generations);
  return finish_replan();
}

// Refeeds for clients that fit again, switches for generations that are whole, and the end of builds that nobody uses.
Status RoundRunner::finish_replan() {
  std::set<std::pair<ClientId, std::string>> aside;
  for (const PlanProblem& problem : plan_.set_aside) {
    if (!problem.client.value.empty()) aside.emplace(problem.client, problem.domain);
  }
  // A client that comes back may have missed builds: it is fed as one that fits again.
  for (const ClientId& client : absent_clients_) {
    for (const auto& [domain, relation] : plan_.relations) aside.emplace(client, domain);
  }
  for (const auto& [client, domain] : set_aside_) {
    if (aside.contains({client, domain})) continue;
    for (const Generation& generation : generations_) {
      if (generation.graph->reads(domain)) builds_.add_refeed(generation.number, client, domain);
    }
  }
  Pass pass(ports_.storage, 0, checkpoint_ + 1);
  put_set_aside(pass.write, set_aside_, aside);
  std::vector<Build> builds = builds_.all();
  for (const Build& build : builds) {
    if (build.interrupted) {
      // Readers have nothing newer yet. A view that the file has no more is not shown any longer.
      if (build.shown && !superseded(build) && plan_.named.contains(build.view)) continue;
      builds_.remove(build.view, build.generation);
      put_unused(pass.write, build.table());
    } else if (!build.whole && !builds_.being_fed(build.generation)) {
      builds_.find(build.view, build.generation)->whole = true;
      put_outbox(pass, OutboxSwitch{build.view, build.generation});
    }
  }
  std::erase_if(builds_.refeeds(), [&](const Refeed& refeed) {
    return std::none_of(generations_.begin(), generations_.end(),
                        [&](const Generation& of) { return of.number == refeed.generation; });
  });
  RETURN_IF_ERROR(drop_state_of_unused(pass));
  builds_.save(pass.write);
  if (!pass.write.empty()) RETURN_IF_ERROR(commit(pass));
  if (builds.size() > builds_.all().size()) RETURN_IF_ERROR(dead_.load(ports_.storage));
  outbox_bytes_of_replans_ += pass.outcome.outbox_bytes;
  set_aside_ = std::move(aside);
  return define_tables();
}

// Whether another build of the view is shown.
bool RoundRunner::superseded(const Build& build) const {
  return std::any_of(builds_.all().begin(), builds_.all().end(), [&](const Build& other) {
    return other.view == build.view && other.generation != build.generation && other.shown;
  });
}

// Whether a graph of the generation merges the domain. What one merged that does not any more has missed facts since, and rows
// that it has parked would wait for ever.
bool RoundRunner::generation_reads(const std::string& suffix, const std::string& domain) const {
  return std::any_of(generations_.begin(), generations_.end(), [&](const Generation& generation) {
    return generation_suffix(generation.number) == suffix && generation.graph->reads(domain);
  });
}

Status RoundRunner::drop_state_of_unused(Pass& pass) {
  std::set<std::string> tables;
  std::set<std::string> suffixes;
  for (const Build& build : builds_.all()) {
    tables.insert(build.table());
    suffixes.insert(generation_suffix(build.generation));
  }
  return remove_state(
      ports_.storage,
      [&](StateOperator kind, std::string_view name) {
        if (kind == StateOperator::kDeadLetter) return !tables.contains(std::string(name));
        std::string suffix(suffix_of(name));
        if (!suffixes.contains(suffix)) return true;
        size_t node = name.find('#');
        if (node == std::string_view::npos)
          return !generation_reads(suffix, std::string(name.substr(0, name.find('@'))));
        return !generation_has(suffix, std::string(name.substr(0, node)));
      },
      pass.write);
}

// Whether a graph of the generation computes the view, for itself or for one that reads it.
bool RoundRunner::generation_has(const std::string& suffix, const std::string& view) const {
  for (const Generation& generation : generations_) {
    if (generation_suffix(generation.number) != suffix) continue;
    const auto& views = generation.graph->options().views;
    return std::any_of(views.begin(), views.end(), [&](const ViewPlan& plan) { return plan.name == view; });
  }
  return false;
}

// The sender has told readers of new builds: the old ones are given up.
Status RoundRunner::take_switches() {
  ASSIGN_OR_RETURN(auto switched, stored_switched(ports_.storage));
  if (switched.empty()) return {};
  StorageBatch write;
  for (const std::string& table : switched) {
    remove_switched(write, table);
    std::vector<Build> builds = builds_.all();
    auto now = std::find_if(builds.begin(), builds.end(), [&](const Build& build) { return build.table() == table; });
    if (now == builds.end()) continue;
    for (const Build& build : builds) {
      if (build.view != now->view) continue;
      Build* of = builds_.find(build.view, build.generation);
      if (build.table() == table) {
        of->shown = true;
      } else if (build.generation < now->generation) {
        of->interrupted = true;
      }
    }
  }
  builds_.save(write);
  return ports_.storage.write(write);
}

Status RoundRunner::define_tables() {
  ASSIGN_OR_RETURN(auto unused, stored_unused(ports_.storage));
  std::vector<TableDefinition> definitions;
  std::vector<Rebuild> rebuilds;
  for (const Generation& generation : generations_) {
    for (const ViewPlan& plan : generation.graph->options().views) {
      if (!generation.graph->options().stored.contains(plan.name)) continue;
      const Build* build = builds_.find(plan.name, generation.number);
      TableDefinition table = plan.table();
      table.name = build->table();
      table.shown = build->shown;
      definitions.push_back(std::move(table));
      if (!build->shown) rebuilds.push_back({plan.name, builds_.refeeds().size(), builds_.refeeds().size()});
    }
  }
  std::lock_guard lock(mutex_);
  for (Rebuild& rebuild : rebuilds) {
    for (const Rebuild& known : rebuilds_) {
      if (known.view == rebuild.view) rebuild.refeeds = std::max(rebuild.refeeds, known.refeeds);
    }
  }
  rebuilds_ = std::move(rebuilds);
  if (tables_.generation == 0 || definitions != tables_.definitions || unused != tables_.unused) {
    tables_.definitions = std::move(definitions);
    tables_.unused = std::move(unused);
    ++tables_.generation;
  }
  tables_.set_aside = plan_.set_aside;
  return {};
}

const TableDefinition* RoundRunner::definition_of(const std::string& table) const {
  // Changed by this thread only.
  for (const TableDefinition& definition : tables_.definitions) {
    if (definition.name == table) return &definition;
  }
  return nullptr;
}

}  // namespace tributary
