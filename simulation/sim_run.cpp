#include "sim_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <stdexcept>
#include <thread>

#include "base/bytes.h"
#include "base/check.h"
#include "process/memory_state.h"
#include "process/memory_tables.h"
#include "process/plan_text.h"
#include "process/view_graph.h"
#include "sim_judge.h"
#include "sim_letters.h"
#include "sim_world.h"
#include "sql/view_planner.h"

namespace tributary::simulation {
namespace {

constexpr size_t rounds_max = 5000;
constexpr size_t rounds_in_small_pieces = 2000;

Column attribute_cell(const Value& value) {
  Column column({TypeId::kText});
  if (value) {
    column.append_bytes(*value);
  } else {
    column.append_null();
  }
  return column;
}

// A failed CHECK is an outcome of the case like others, so that it is made smaller too.
struct FailedCheck : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Runner {
 public:
  Runner(const SimCase& sim, Engines engines, Coverage* coverage)
      : sim_(sim),
        engines_(engines),
        coverage_(coverage),
        world_(sim),
        judge_(sim, world_, engines.batch),
        batch_random_(sim.seed ^ 0xBA7C4) {}

  std::string run() {
    if (std::string problem = plan(); !problem.empty()) return problem;
    for (size_t i = 0; i < sim_.clients.size(); ++i) {
      ClientAttributes& attributes = attributes_[ClientId{sim_.clients[i]}];
      attributes.revision = 1;
      for (const auto& [name, value] : sim_.attributes[i]) {
        attributes.values.emplace(name, attribute_cell(value));
      }
      texts_.push_back(sim_.attributes[i]);
    }
    restart(1);
    for (now_ = 0; now_ < sim_.steps.size(); ++now_) {
      if (std::string problem = step(sim_.steps[now_]); !problem.empty()) return problem;
    }
    return quiet();
  }

 private:
  std::string plan() {
    std::vector<Relation> relations;
    for (const DomainShape& shape : sim_.domains) {
      Relation relation{.name = shape.name, .columns = {}, .key = {}};
      for (const ColumnSchema& column : shape.columns) {
        relation.columns.push_back({column.name, column.type, !column.key});
        if (column.key) relation.key.push_back(column.name);
      }
      relations_[shape.name] = relation;
      relations.push_back(std::move(relation));
    }
    for (const ViewText& view : sim_.views) {
      ViewRequest request{
          .name = view.name, .sql = view.sql, .relations = relations, .attributes = {{"plan", {TypeId::kText}}}};
      auto planned = plan_view(engines_.expressions, request);
      if (auto* errors = std::get_if<std::vector<PlanError>>(&planned)) {
        return fmt::format("EveryViewIsPlanned {}: {}\n{}", view.name, errors->front().message, view.sql);
      }
      auto& plan = std::get<ViewPlan>(planned);
      Relation relation{.name = view.name, .columns = plan.columns(), .key = plan.key, .key_always = plan.key_always};
      relation.is_view = true;
      relations.push_back(std::move(relation));
      plans_.push_back(std::move(plan));
    }
    return "";
  }

  void restart(uint32_t workers) {
    workers_ = workers;
    GraphOptions options{
        .state_suffix = "",
        .views = plans_,
        .stored = {},
        .relations = relations_,
        .find_schema = [this](const ClientId&, const std::string& table, uint32_t version) -> Result<SchemaPtr> {
          for (uint32_t i = 0; i < sim_.domains.size(); ++i) {
            if (world_.schema(i, version)->table == table) return world_.schema(i, version);
          }
          return Error{ErrorCode::kNotFound, table};
        },
        .workers = workers};
    for (const ViewPlan& plan : plans_) options.stored.insert(plan.name);
    if (!in_large_pieces_) options.limits = small_graph_limits(batch_random_);
    auto graph = ViewGraph::make(std::move(options), engines_.expressions);
    CHECK(graph.ok(), "{}", graph.error().message);
    graph_ = std::move(graph).value();
  }

  void count(const std::string& kind) {
    if (coverage_ == nullptr) return;
    for (const ViewText& view : sim_.views) {
      for (const std::string& of : view.operators) ++(*coverage_)[of][kind];
    }
  }

  std::string step(const Step& step) {
    switch (step.kind) {
      case StepKind::kRound: return round(true);
      case StepKind::kFailRound: count("failed round"); return round(false);
      case StepKind::kRestart:
        count("restart, other workers");
        restart(step.workers);
        return "";
      case StepKind::kAttribute: return change_attribute(step);
      case StepKind::kQuiet: return quiet();
      default: break;
    }
    std::set<std::string> kinds;
    for (Fact& fact : world_.apply(step, kinds)) {
      if (step.delay > 0) kinds.insert("late fact");
      if (step.twice) {
        kinds.insert("duplicate");
        delayed_.push_back({now_ + step.delay + 5, fact});
      }
      delayed_.push_back({now_ + step.delay, std::move(fact)});
    }
    for (const std::string& kind : kinds) count(kind);
    return "";
  }

  void arrive(size_t until) {
    for (size_t i = 0; i < delayed_.size();) {
      if (delayed_[i].due > until) {
        ++i;
        continue;
      }
      arrived_.push_back(std::move(delayed_[i].fact));
      delayed_.erase(delayed_.begin() + static_cast<ptrdiff_t>(i));
    }
  }

  // As the runtime does when a client's attributes are others at a start.
  std::string change_attribute(const Step& step) {
    ClientId client{sim_.clients[step.client]};
    if (std::string problem = round(true); !problem.empty()) return problem;
    Value& text = texts_[step.client][step.attribute];
    if (text == step.value) return "";
    count("attribute change");
    text = step.value;
    ClientAttributes old = attributes_.at(client);
    ClientAttributes& now = attributes_.at(client);
    ++now.revision;
    now.values.at(step.attribute) = attribute_cell(text);
    for (uint32_t i = 0; i < sim_.domains.size(); ++i) {
      const std::string& name = sim_.domains[i].name;
      if (!graph_->uses_attributes(name)) continue;
      Status swept = DomainMerge::sweep_attributes(state_, graph_->state_name(name), client, old.encode());
      CHECK(swept.ok());
      if (graph_->keeps_rows(name)) continue;
      for (const Fact& fact : done_) {
        if (fact.client == step.client && fact.domain == i) arrived_.push_back(fact);
      }
    }
    restart(workers_);
    return "";
  }

  std::string round(bool commit) {
    arrive(now_);
    std::deque<EventBatch> batches;
    for (const Fact& fact : arrived_) {
      ClientId client{sim_.clients[fact.client]};
      const std::string& domain = sim_.domains[fact.domain].name;
      if (batches.empty() || batches.back().client != client || batches.back().domain != domain ||
          batches.back().schema != world_.schema(fact.domain, fact.version) || batch_random_.one_in(4)) {
        batches.emplace_back(client, domain, world_.schema(fact.domain, fact.version));
      }
      world_.append(batches.back(), fact);
    }
    GraphInput input{.attributes = &attributes_};
    for (const EventBatch& batch : batches) input.batches.push_back(&batch);
    for (const std::string& client : sim_.clients) {
      for (uint32_t i = 0; i < sim_.domains.size(); ++i)
        input.tables[{ClientId{client}, sim_.domains[i].name}] = world_.schema(i, 1)->table;
    }
    for (const ViewPlan& plan : plans_) input.views_with_dead.insert(plan.name);
    input.run_generation = 1;
    input.checkpoint = checkpoint_ + 1;
    std::vector<MemoryRound> rounds(workers_, MemoryRound(state_));
    std::vector<KeyedState*> states;
    for (MemoryRound& round : rounds) states.push_back(&round);
    auto out = graph_->run(input, states, run_serially);
    if (!out.ok()) return "ARoundSucceeds " + out.error().to_string();
    if (!commit) {
      graph_->forget_pending();
      return "";
    }
    for (MemoryRound& round : rounds) round.commit();
    ++checkpoint_;
    done_.insert(done_.end(), arrived_.begin(), arrived_.end());
    arrived_.clear();
    for (const Withdrawal& withdrawal : out->withdrawals) store_.withdraw(withdrawal);
    for (const GraphOutput::View& view : out->views) {
      for (const DeadRange& gone : view.gone) {
        std::erase_if(dead_[{view.name, gone.client}], [&](const auto& row) {
          return row.first >= gone.low && (gone.high.empty() || row.first < gone.high) &&
                 row.second.position < gone.below;
        });
      }
      for (const ClearedRow& row : view.cleared) {
        auto& known = dead_[{view.name, row.client}];
        if (auto at = known.find(row.key); at != known.end() && at->second.position <= row.position) known.erase(at);
      }
      for (const DeadRow& row : view.dead) note_dead(view.name, row);
      auto plan = std::find_if(plans_.begin(), plans_.end(), [&](const ViewPlan& of) { return of.name == view.name; });
      if (view.rows.rows() > 0) store_.insert(plan->table(), view.rows);
    }
    return "";
  }

  void note_dead(const std::string& view, const DeadRow& row) {
    bool outdated = std::any_of(done_.begin(), done_.end(), [&](const Fact& fact) {
      if (sim_.domains[fact.domain].name != row.domain || sim_.clients[fact.client] != row.client.value) return false;
      bool about = fact.range ? fact.range->covers(row.row_key) : world_.row_key(fact.domain, fact.key) == row.row_key;
      return about && fact.position > row.position;
    });
    if (outdated) return;
    auto [at, added] = dead_[{view, row.client}].try_emplace(row.key, Dead{row.position, row.reason});
    if (!added && at->second.position <= row.position) at->second = {row.position, row.reason};
  }

  // Everything arrives and is processed; rows that lack a value are read again; then the views are compared.
  std::string quiet() {
    for (Fact& fact : world_.snapshot_of_unseen()) delayed_.push_back({now_, std::move(fact)});
    size_t last = now_;
    now_ = SIZE_MAX;
    std::string problem;
    for (size_t rounds = 0; problem.empty() && rounds < rounds_max; ++rounds) {
      if (rounds == rounds_in_small_pieces) {  // joins of joins have many rows
        in_large_pieces_ = true;
        restart(workers_);
      }
      problem = round(true);
      if (!problem.empty() || !arrived_.empty() || graph_->wants_round()) continue;
      read_parked_again();
      if (arrived_.empty()) break;
    }
    now_ = last;
    if (problem.empty() && graph_->wants_round()) problem = "WorkEnds after many rounds something is still pending";
    return problem.empty() ? compare() : problem;
  }

  void read_parked_again() {
    std::string prefix;
    put_u16_big(prefix, static_cast<uint16_t>(StateOperator::kParked));
    std::vector<Fact> facts;
    for (const auto& [key, value] : state_.entries()) {
      if (!key.starts_with(prefix)) continue;
      ByteReader reader(std::string_view(key).substr(prefix.size()));
      std::string client(reader.bytes(reader.u8()));
      std::string domain(reader.bytes(reader.u8()));
      auto client_at = std::find(sim_.clients.begin(), sim_.clients.end(), client) - sim_.clients.begin();
      auto domain_at =
          std::find_if(sim_.domains.begin(), sim_.domains.end(), [&](const auto& of) { return of.name == domain; }) -
          sim_.domains.begin();
      facts.push_back(
          world_.read_again(static_cast<uint32_t>(client_at), static_cast<uint32_t>(domain_at), reader.rest()));
    }
    for (Fact& fact : facts) arrived_.push_back(std::move(fact));
  }

  std::string compare() {
    if (store_.conflicts() > 0) return "OneRowAVersion rows of one key and version differ";
    std::string fails;
    if (!fresh_) fresh_.emplace(sim_, world_, engines_.expressions, plans_, relations_);
    Letters letters = fresh_->letters(attributes_, fails);
    if (!fails.empty()) return fails;
    for (uint32_t client = 0; client < sim_.clients.size(); ++client) {
      ClientId id{sim_.clients[client]};
      if (std::string problem = judge_.fill(client, texts_[client], sim_.views); !problem.empty()) return problem;
      for (size_t i = 0; i < plans_.size(); ++i) {
        std::string differs =
            judge_.compare(plans_[i].name, plans_[i].columns(), store_.rows(plans_[i].name, id, plans_[i].columns()));
        if (!differs.empty()) {
          return fmt::format("EveryViewEqualsItsBatch client={} view={} after step {}\n{}  plan:\n{}", id,
                             plans_[i].name, now_, differs, plan_text(plans_[i]));
        }
        if (std::string problem = compare_failing(client, sim_.views[i]); !problem.empty()) return problem;
        std::map<std::string, std::string> kept;
        for (const auto& [key, dead] : dead_[{plans_[i].name, id}]) kept.emplace(key, dead.reason);
        differs = compare_letters(letters[{plans_[i].name, id}], kept, false);
        if (!differs.empty()) {
          return fmt::format("LettersAreAsOfAFreshStart client={} view={} after step {}\n{}  plan:\n{}", id,
                             plans_[i].name, now_, differs, plan_text(plans_[i]));
        }
      }
    }
    return "";
  }

  // As many rows are told to fail as do in the batch.
  std::string compare_failing(uint32_t client, const ViewText& view) {
    auto wanted = judge_.failing(view, texts_[client]);
    if (!wanted.ok()) return fmt::format("TheBatchRuns {}: {}", view.failing, wanted.error().message);
    const auto& told = dead_[{view.name, ClientId{sim_.clients[client]}}];
    if (!*wanted || told.size() == **wanted) return "";
    return fmt::format("EveryRowThatFailsIsTold client={} view={} after step {}: {} rows fail, {} are told",
                       sim_.clients[client], view.name, now_, **wanted, told.size());
  }

  const SimCase& sim_;
  Engines engines_;
  Coverage* coverage_;
  World world_;
  Judge judge_;
  Random batch_random_;
  std::map<std::string, Relation> relations_;
  std::vector<ViewPlan> plans_;
  std::map<ClientId, ClientAttributes> attributes_;
  std::vector<Attributes> texts_;  // of attributes, by client
  MemoryState state_;
  std::unique_ptr<ViewGraph> graph_;
  std::optional<FreshStart> fresh_;
  MemoryTables store_;
  struct Dead {
    Position position;
    std::string reason;
  };
  std::map<std::pair<std::string, ClientId>, std::map<std::string, Dead>> dead_;  // by view and client; by key
  uint32_t workers_ = 1;
  bool in_large_pieces_ = false;
  uint64_t checkpoint_ = 0;
  size_t now_ = 0;
  std::vector<Delayed> delayed_;
  std::vector<Fact> arrived_;  // and not processed
  std::vector<Fact> done_;     // processed
};

}  // namespace

GraphLimits small_graph_limits(Random& random) {
  GraphLimits limits;
  limits.sweep_rows_max = 1 + random.below(4);
  limits.resume_rows_max = 1 + random.below(6);
  limits.parallel_rows_min = 2;
  limits.join = {.fan_out_rows_max = random.below(4), .pass_changes_max = 1 + random.below(3)};
  return limits;
}

std::string with_checks_as_outcome(uint64_t seed, const std::function<std::string()>& run) {
  static uint64_t running = 0;
  static std::thread::id runner;
  running = seed;
  runner = std::this_thread::get_id();
  set_check_handler([](const char* file, int line, const char* expression, const std::string& message) {
    std::string text = fmt::format("{}:{}: {}: {}", file, line, expression, message);
    if (std::this_thread::get_id() == runner) throw FailedCheck(text);
    fmt::print(stderr, "FAILED seed={} NoCheckFails {}\n", running, text);
  });
  std::string outcome;
  try {
    outcome = run();
  } catch (const FailedCheck& failed) {
    outcome = std::string("NoCheckFails ") + failed.what();
  }
  set_check_handler(nullptr);
  return outcome;
}

std::string run_case(const SimCase& sim, Engines engines, Coverage* coverage) {
  return with_checks_as_outcome(sim.seed, [&] { return Runner(sim, engines, coverage).run(); });
}

SimCase shrink(SimCase sim, const RunCase& run, size_t attempts_max) {
  size_t attempts = 0;
  std::string failure = run(sim);
  std::string invariant = failure.substr(0, failure.find(' '));
  auto fails = [&](const SimCase& smaller) {
    ++attempts;
    return run(smaller).starts_with(invariant);
  };
  for (size_t i = sim.views.size(); i-- > 0 && sim.views.size() > 1;) {
    SimCase smaller = sim;
    smaller.views.erase(smaller.views.begin() + static_cast<ptrdiff_t>(i));
    if (fails(smaller)) sim = std::move(smaller);
  }
  bool smaller_found = true;
  for (size_t piece = std::max<size_t>(1, sim.steps.size() / 2); piece > 0 && attempts < attempts_max;
       piece = piece > 1 ? piece / 2 : (std::exchange(smaller_found, false) ? 1 : 0)) {
    for (size_t at = 0; at < sim.steps.size() && attempts < attempts_max;) {
      SimCase smaller = sim;
      auto begin = smaller.steps.begin() + static_cast<ptrdiff_t>(at);
      smaller.steps.erase(begin, begin + static_cast<ptrdiff_t>(std::min(piece, smaller.steps.size() - at)));
      if (fails(smaller)) {
        sim = std::move(smaller);
        smaller_found = true;
      } else {
        at += piece;
      }
    }
  }
  return sim;
}

std::string coverage_text(const Coverage& coverage, size_t& empty_cells) {
  std::set<std::string> kinds;
  for (const auto& [of, row] : coverage) {
    for (const auto& [kind, count] : row) kinds.insert(kind);
  }
  std::string out = fmt::format("{:<18}", "");
  for (const std::string& kind : kinds) out += fmt::format(" {:>{}}", kind, std::max<size_t>(kind.size(), 7));
  out += "\n";
  empty_cells = 0;
  for (const auto& [of, row] : coverage) {
    out += fmt::format("{:<18}", of);
    for (const std::string& kind : kinds) {
      auto at = row.find(kind);
      uint64_t count = at == row.end() ? 0 : at->second;
      empty_cells += count == 0 ? 1 : 0;
      out += fmt::format(" {:>{}}", count, std::max<size_t>(kind.size(), 7));
    }
    out += "\n";
  }
  return out;
}

}  // namespace tributary::simulation
