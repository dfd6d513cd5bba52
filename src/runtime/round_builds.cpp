// The part of RoundRunner that decides which builds of views there are: what the plan is now, what has to be computed
// again, when readers are switched over, and what is given up then.
#include <algorithm>

#include "runtime/round_runner.h"
#include "runtime/state_cleanup.h"
#include "runtime/stored_facts.h"
#include "runtime/view_subset.h"

namespace tributary {
namespace {

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

// The planner gives what the clients' newest tables and each release's views mean together.
Status RoundRunner::replan() {
  feeds_need_.clear();  // a refeed may be wanted once more, of what was processed since
  std::vector<ClientTable> known;
  for (const auto& [of, schema] : newest_) known.push_back({of.first, of.second, schema});
  Builds builds_before = builds_;
  Releases releases_before = releases_;
  std::set<std::string> lost;
  {
    std::lock_guard lock(mutex_);
    lost = lost_tables_;
  }
  for (const std::string& table : lost) builds_.interrupt(table);
  std::map<uint32_t, PlannedPipeline> plans;
  Status done = choose_builds(known, plans);
  if (done.ok()) done = make_graphs(plans);
  if (done.ok()) {
    release_problems_.clear();
    for (const auto& [number, plan] : plans) {
      for (const PlanProblem& problem : plan.set_aside) {
        if (problem.client.value.empty()) release_problems_[number].push_back(problem.reason);
      }
    }
    plan_ = std::move(plans.at(releases_.live().number));
    done = finish_replan();
  }
  if (done.ok()) {
    std::lock_guard lock(mutex_);
    for (const std::string& table : lost) lost_tables_.erase(table);
    return {};
  }
  builds_ = std::move(builds_before);
  releases_ = std::move(releases_before);
  builds_changed_ = true;  // the next round tries again
  return done;
}

void RoundRunner::build_again(const std::string& table) {
  {
    std::lock_guard lock(mutex_);
    lost_tables_.insert(table);
  }
  builds_changed_ = true;
}

// A build for each view of each release. What is new is fed from raw.
Status RoundRunner::choose_builds(const std::vector<ClientTable>& tables, std::map<uint32_t, PlannedPipeline>& plans) {
  bool nothing_before = read_.empty();  // raw is empty as well
  std::vector<std::string> used;
  for (Release* release : releases_.all()) {
    ASSIGN_OR_RETURN(PlannedPipeline plan, ports_.plan(tables, release->views));
    uint32_t fresh = builds_.fresh_generation();
    std::map<std::string, PlanFingerprint> fingerprints;
    std::map<std::string, uint32_t> chosen;
    for (const ViewPlan& view : plan.views) {
      PlanFingerprint fingerprint = fingerprint_of(view, fingerprints, plan.relations);
      auto before = release->builds.find(view.name);
      bool anew = release->again.contains(view.name) || !release->scope.whole();
      size_t builds = builds_.all().size();
      const Build& build = builds_.use({.view = view.name,
                                        .fingerprint = fingerprint,
                                        .before = before == release->builds.end() ? 0 : before->second,
                                        .least = anew ? release->first_generation : 1,
                                        .leads = releases_.is_live(release->number),
                                        .nothing_before = nothing_before,
                                        .partial = !release->scope.whole()},
                                       fresh);
      bool is_new = builds_.all().size() > builds;
      used.push_back(build.table());
      chosen[view.name] = build.generation;
      if (is_new && !nothing_before) {
        for (const std::string& domain : domains_of(with_upstream(plan.views, {view.name}))) {
          for (const Table& table : client_tables_) {
            if (table.domain == domain && release->scope.takes(table.client))
              builds_.add_refeed(fresh, table.client, domain);
          }
        }
      }
      fingerprints[view.name] = std::move(fingerprint);
    }
    release->builds = std::move(chosen);
    plans.emplace(release->number, std::move(plan));
  }
  builds_.interrupt_others(used);
  return {};
}

// Releases that share a build have the same plan for it, and for all that it reads.
Status RoundRunner::make_graphs(const std::map<uint32_t, PlannedPipeline>& plans) {
  struct Parts {
    std::vector<ViewPlan> views;
    std::set<std::string> stored;
  };
  std::map<uint32_t, Parts> parts;  // by generation
  for (const Release* release : std::as_const(releases_).all()) {
    const std::vector<ViewPlan>& views = plans.at(release->number).views;
    std::map<uint32_t, std::set<std::string>> stored;
    for (const auto& [view, generation] : release->builds) stored[generation].insert(view);
    for (auto& [generation, names] : stored) {
      Parts& of = parts[generation];
      for (ViewPlan& view : with_upstream(views, names)) {
        bool known = std::any_of(of.views.begin(), of.views.end(),
                                 [&](const ViewPlan& other) { return other.name == view.name; });
        if (!known) of.views.push_back(std::move(view));
      }
      of.stored.merge(names);
    }
  }
  std::vector<Generation> generations;
  for (auto& [number, of] : parts) {
    GraphOptions options{.state_suffix = generation_suffix(number),
                         .views = std::move(of.views),
                         .stored = std::move(of.stored),
                         .relations = plans.at(releases_.live().number).relations,
                         .find_schema = [this](const ClientId& client, const std::string& table,
                                               uint32_t version) { return ports_.log.schema(client, table, version); },
                         .workers = limits_.workers,
                         .limits = limits_.graph};
    ASSIGN_OR_RETURN(auto graph, ViewGraph::make(std::move(options), ports_.expressions));
    generations.push_back({number, std::move(graph)});
  }
  generations_ = std::move(generations);
  return {};
}

// Refeeds for clients that fit again, switches for generations that are whole, and the end of builds that nobody uses.
Status RoundRunner::finish_replan() {
  ASSIGN_OR_RETURN(ClientsSetAside aside, clients_set_aside());
  for (const auto& [of, version] : set_aside_) {
    const auto& [client, domain] = of;
    if (auto still = aside.find(of); still != aside.end() && still->second <= version) continue;
    for (const Generation& generation : generations_) {
      if (!generation.graph->reads(domain) || !releases_.scope_of(generation.number).takes(client)) continue;
      builds_.add_refeed(generation.number, client, domain);
    }
  }
  Pass pass(ports_.storage, 0, checkpoint_ + 1);
  put_set_aside(pass.write, set_aside_, aside);
  std::vector<Build> builds = builds_.all();
  for (const Build& build : builds) {
    Build& now = *builds_.find(build.view, build.generation);
    bool named = plan_.named.contains(build.view);
    if (build.interrupted) {
      // Readers have nothing newer yet. A view that the live release has no more is not shown any longer.
      if (build.shown && !superseded(build) && named) continue;
      builds_.remove(build.view, build.generation);
      put_unused(pass.write, build.table());
      continue;
    }
    now.shown = build.shown && named;
    now.whole = build.whole || !builds_.being_fed(build.generation);
    if (now.whole && !now.shown && live_build(build.view) == build.generation)
      put_outbox(pass, OutboxSwitch{build.view, build.generation});
  }
  builds_.forget_unused();
  std::erase_if(builds_.refeeds(), [&](const Refeed& refeed) {
    return std::none_of(generations_.begin(), generations_.end(),
                        [&](const Generation& of) { return of.number == refeed.generation; });
  });
  RETURN_IF_ERROR(drop_state_of_unused(pass));
  builds_.save(pass.write);
  releases_.save(pass.write);
  if (!pass.write.empty()) RETURN_IF_ERROR(commit(pass));
  if (builds.size() > builds_.all().size()) RETURN_IF_ERROR(dead_.load(ports_.storage));
  set_aside_ = std::move(aside);
  return define_tables();
}

// A client that comes back to the file may have missed builds: until then it is as one that never fit.
Result<ClientsSetAside> RoundRunner::clients_set_aside() const {
  ClientsSetAside aside;
  for (const PlanProblem& problem : plan_.set_aside) {
    if (problem.client.value.empty()) continue;
    uint32_t& version = aside[{problem.client, problem.domain}];
    if (problem.as_it_fit) {
      ASSIGN_OR_RETURN(version, version_of(problem.client, *problem.as_it_fit));
    }
  }
  for (const ClientId& client : absent_clients_) {
    for (const auto& [domain, relation] : plan_.relations) aside.try_emplace({client, domain}, 0);
  }
  return aside;
}

// The newest version of a client's table with these columns; 0: there is none.
Result<uint32_t> RoundRunner::version_of(const ClientId& client, const TableSchema& schema) const {
  uint32_t newest = 0;
  for (const auto& [of, known] : newest_) {
    if (of.first == client && known->table == schema.table) newest = std::max(newest, known->version);
  }
  for (uint32_t version = newest; version > 0; --version) {
    ASSIGN_OR_RETURN(SchemaPtr known, ports_.log.schema(client, schema.table, version));
    if (known->same_content(schema)) return version;
  }
  return uint32_t{0};
}

// Whether events are kept in raw only, until their client's table fits.
bool RoundRunner::stands_still(const EventBatch& batch) const {
  auto aside = set_aside_.find({batch.client, batch.domain});
  return aside != set_aside_.end() && batch.schema->version > aside->second;
}

// The generation of the build that the live release has of a view; 0: none.
uint32_t RoundRunner::live_build(const std::string& view) const {
  const auto& builds = releases_.live().builds;
  auto at = builds.find(view);
  return at == builds.end() ? 0 : at->second;
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

// The sender has brought readers to new builds. What it was told before somebody switched on or back does not count.
Status RoundRunner::take_switches() {
  ASSIGN_OR_RETURN(auto switched, stored_switched(ports_.storage));
  if (switched.empty()) return {};
  StorageBatch write;
  Builds before = builds_;
  for (const std::string& table : switched) {
    remove_switched(write, table);
    std::vector<Build> builds = builds_.all();
    auto now = std::find_if(builds.begin(), builds.end(), [&](const Build& build) { return build.table() == table; });
    if (now == builds.end() || live_build(now->view) != now->generation) continue;
    for (const Build& build : builds) {
      if (build.view == now->view) builds_.find(build.view, build.generation)->shown = build.table() == table;
    }
  }
  builds_.save(write);
  Status written = ports_.storage.write(write);
  if (!written.ok()) builds_ = std::move(before);
  return written;
}

Status RoundRunner::define_tables() {
  ASSIGN_OR_RETURN(auto unused, stored_unused(ports_.storage));
  RETURN_IF_ERROR(count_feeds());
  std::vector<TableDefinition> definitions;
  std::vector<Rebuild> rebuilds;
  auto refeeds =
      static_cast<size_t>(std::count_if(builds_.refeeds().begin(), builds_.refeeds().end(), [&](const Refeed& refeed) {
        return releases_.used_by_live(refeed.generation);
      }));
  for (const Generation& generation : generations_) {
    for (const ViewPlan& plan : generation.graph->options().views) {
      if (!generation.graph->options().stored.contains(plan.name)) continue;
      const Build* build = builds_.find(plan.name, generation.number);
      TableDefinition table = plan.table();
      table.name = build->table();
      table.shown = build->shown;
      table.hidden = !plan_.named.contains(plan.name);
      definitions.push_back(std::move(table));
      if (!build->shown && live_build(plan.name) == generation.number)
        rebuilds.push_back({plan.name, refeeds, refeeds});
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
  tables_.lacking = plan_.lacking;
  note_releases();
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
