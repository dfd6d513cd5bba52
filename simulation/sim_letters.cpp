#include "sim_letters.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "process/memory_state.h"

namespace tributary::simulation {
namespace {

constexpr size_t rounds_max = 1000;

// The rows of all tables that are known, as a snapshot reads them.
std::deque<EventBatch> all_rows(const std::map<std::string, Relation>& relations, const SimCase& sim,
                                const World& world) {
  std::deque<EventBatch> batches;
  uint64_t commit = 1;
  for (uint32_t client = 0; client < sim.clients.size(); ++client) {
    for (uint32_t domain = 0; domain < sim.domains.size(); ++domain) {
      auto known = relations.find(sim.domains[domain].name);
      if (known == relations.end()) continue;
      bool grown = known->second.columns.size() == world.schema(domain, 2)->columns.size();
      uint32_t version = grown ? world.version(client, domain) : 1;
      EventBatch& batch =
          batches.emplace_back(ClientId{sim.clients[client]}, sim.domains[domain].name, world.schema(domain, version));
      for (const auto& [key, values] : world.table(client, domain)) {
        world.append(batch, {.client = client,
                             .domain = domain,
                             .version = version,
                             .op = Op::kSnapshot,
                             .position = Position::end_of_commit(1, commit++),
                             .key = key,
                             .values = values,
                             .left_out = {},
                             .moved = {},
                             .range = {}});
      }
    }
  }
  return batches;
}

std::string shown(std::string_view key) {
  std::string out;
  for (char c : key) out += c > ' ' && c < 127 ? std::string(1, c) : fmt::format("\\{:02x}", static_cast<uint8_t>(c));
  return out;
}

}  // namespace

FreshStart::FreshStart(const SimCase& sim, const World& world, ExpressionEngine& expressions,
                       std::vector<ViewPlan> plans, std::map<std::string, Relation> relations)
    : sim_(sim), world_(world), plans_(std::move(plans)), relations_(std::move(relations)) {
  GraphOptions options{
      .state_suffix = "",
      .views = plans_,
      .stored = {},
      .relations = relations_,
      .find_schema = [&](const ClientId&, const std::string& table, uint32_t version) -> Result<SchemaPtr> {
        for (uint32_t i = 0; i < sim.domains.size(); ++i) {
          if (world.schema(i, version)->table == table) return world.schema(i, version);
        }
        return Error{ErrorCode::kNotFound, table};
      },
      .workers = 1};
  for (const ViewPlan& plan : plans_) options.stored.insert(plan.name);
  auto graph = ViewGraph::make(std::move(options), expressions);
  CHECK(graph.ok(), "{}", graph.error().message);
  graph_ = std::move(*graph);
}

Letters FreshStart::letters(const std::map<ClientId, ClientAttributes>& attributes, std::string& problem) {
  graph_->forget_pending();
  GraphInput input{.attributes = &attributes};
  for (const std::string& client : sim_.clients) {
    for (uint32_t i = 0; i < sim_.domains.size(); ++i)
      input.tables[{ClientId{client}, sim_.domains[i].name}] = world_.schema(i, 1)->table;
  }
  for (const ViewPlan& plan : plans_) input.views_with_dead.insert(plan.name);
  input.run_generation = 1;
  std::deque<EventBatch> batches = all_rows(relations_, sim_, world_);
  for (const EventBatch& batch : batches) input.batches.push_back(&batch);

  Letters letters;
  MemoryState state;
  do {
    ++input.checkpoint;
    MemoryRound round(state);
    KeyedState* states[] = {&round};
    auto out = graph_->run(input, states, run_serially);
    if (!out.ok() || input.checkpoint == rounds_max) {
      problem = out.ok() ? "WorkEnds a fresh start has no end" : "ARoundSucceeds " + out.error().to_string();
      return {};
    }
    round.commit();
    for (const GraphOutput::View& view : out->views) {
      for (const ClearedRow& row : view.cleared) letters[{view.name, row.client}].erase(row.key);
      for (const DeadRow& row : view.dead) letters[{view.name, row.client}][row.key] = row.reason;
    }
    input.batches.clear();
  } while (graph_->wants_round());
  return letters;
}

std::string compare_letters(const std::map<std::string, std::string>& wanted,
                            const std::map<std::string, std::string>& kept, bool may_lack) {
  std::string differs;
  for (const auto& [key, reason] : wanted) {
    auto at = kept.find(key);
    if (at == kept.end()) {
      if (!may_lack) differs += fmt::format("  not told: {} {}\n", shown(key), reason);
    } else if (at->second != reason) {
      differs += fmt::format("  {} is told as {}\n  and it is  {}\n", shown(key), at->second, reason);
    }
  }
  for (const auto& [key, reason] : kept) {
    if (!wanted.contains(key)) differs += fmt::format("  told, and does not fail: {} {}\n", shown(key), reason);
  }
  return differs;
}

}  // namespace tributary::simulation
