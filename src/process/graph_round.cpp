#include "process/graph_round.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "model/cells.h"
#include "model/gather.h"
#include "process/view_output.h"

namespace tributary {
namespace {

constexpr size_t pending_keys_at_once = 64;
constexpr Position last_position{UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};

// Attributes of a client as they count for one row: old ones as long as a sweep has not reached its key.
class AttributesOfRows {
 public:
  AttributesOfRows(const std::map<ClientId, ClientAttributes>& current, const std::map<ClientId, Sweeps>& sweeps)
      : current_(current), sweeps_(sweeps) {}

  const ClientAttributes& of(const ClientId& client, std::string_view key) {
    auto sweeps = sweeps_.find(client);
    const std::string* old = sweeps == sweeps_.end() ? nullptr : sweeps->second.old_attributes_of(key);
    if (old == nullptr) {
      auto at = current_.find(client);
      return at == current_.end() ? none_ : at->second;
    }
    auto [at, added] = decoded_.try_emplace(old);
    if (added) {
      auto attributes = ClientAttributes::decode(*old);
      CHECK(attributes.ok(), "{}", attributes.error().message);
      at->second = std::move(attributes).value();
    }
    return at->second;
  }

 private:
  const std::map<ClientId, ClientAttributes>& current_;
  const std::map<ClientId, Sweeps>& sweeps_;
  std::map<const std::string*, ClientAttributes> decoded_;
  ClientAttributes none_;
};

void append_attribute(Column& column, const ClientAttributes& attributes, const std::string& name) {
  auto at = attributes.values.find(name);
  if (at == attributes.values.end() || at->second.type() != column.type()) {
    column.append_null();
  } else {
    column.append_from(at->second, 0);
  }
}

class Round {
 public:
  Round(Graph& graph, const GraphInput& input, std::span<KeyedState* const> states, const Executor& executor)
      : graph_(graph), input_(input), states_(states), executor_(executor), flows_(graph.nodes.size()) {}

  Result<GraphOutput> run() {
    RETURN_IF_ERROR(merge());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) RETURN_IF_ERROR(run_node(i));
    for (size_t i = 0; i < graph_.views.size(); ++i) put_view(i);
    return std::move(output_);
  }

 private:
  size_t worker_of(uint64_t hash) const { return hash % states_.size(); }

  // Runs `work` for every worker; the first error is the outcome.
  Status in_parallel(const std::function<Status(size_t)>& work) {
    std::vector<Status> done(states_.size());
    executor_(states_.size(), [&](size_t worker) { done[worker] = work(worker); });
    for (Status& status : done) RETURN_IF_ERROR(std::move(status));
    return {};
  }

  Status merge();
  Status find_sweeping(const std::string& name, GraphDomain& domain);
  void take_merged(const std::string& name, MergeOutput merged);
  Status run_node(size_t number);
  void run_domain(const GraphNode& node, Flow& flow);
  void add_rows(const GraphNode& node, const MergedRows& from, const std::map<ClientId, Sweeps>& sweeps,
                VersionedRows& to);
  Status run_view(const GraphNode& node, Flow& flow);
  Status run_client(GraphNode& node, Flow& flow);
  Status run_map(size_t number, Flow& flow);
  void run_union(const GraphNode& node, Flow& flow);
  Status run_operator(GraphNode& node, Flow& flow);
  Result<std::vector<std::vector<Operator::PendingKey>>> pending_of(GraphNode& node);
  Status seed(GraphNode& node, Rows& out);
  Result<MappedRows> map_rows(const MapStage& stage, const Rows& rows);
  // What came and went, of any node.
  Rows changes_of(size_t number);
  GraphOutput::View& output_of(size_t view);
  std::string dead_key_of(const GraphNode& node, const std::string& key) const;
  void note_failed(const GraphNode& node, const ClientId& client, const std::string& key, const Position& position,
                   const std::string& reason);
  // Rows that are computed, or gone, but for those that `failed`. With `positions`, by them.
  void note_fine(const GraphNode& node, const Rows& rows, const std::unordered_set<std::string>& failed,
                 const std::vector<Position>* positions = nullptr);
  bool wants_cleared(const GraphNode& node) const;
  void put_view(size_t number);
  using Voided = std::function<void(const RaisedFloor& floor, std::string low, std::string high)>;
  void for_each_voided(size_t node, const std::string& prefix, const Voided& give) const;
  void void_dead_rows(size_t number);

  Graph& graph_;
  const GraphInput& input_;
  std::span<KeyedState* const> states_;
  const Executor& executor_;
  std::map<std::string, std::vector<MergeOutput>> merged_;  // by domain
  std::vector<Flow> flows_;
  std::map<size_t, GraphOutput::View> views_;
  GraphOutput output_;
};

Status Round::find_sweeping(const std::string& name, GraphDomain& domain) {
  domain.sweeping.clear();
  for (const auto& [of, table] : input_.tables) {
    if (of.second != name) continue;
    ASSIGN_OR_RETURN(Sweeps sweeps, DomainMerge::sweeps(*states_[0], domain.state_name, of.first));
    if (!sweeps.empty()) domain.sweeping.insert(of.first);
  }
  domain.sweeping_known = true;
  return {};
}

Status Round::merge() {
  std::vector<std::map<std::string, DomainMerge>> merges(states_.size());
  auto merge_of = [&](const std::string& name, const ClientId& client) -> DomainMerge& {
    const GraphDomain& domain = graph_.domains.at(name);
    MergeOptions options{.domain = name,
                         .state_name = domain.state_name,
                         .keep_rows = domain.keep_rows,
                         .sweep_rows_max = graph_.options.limits.sweep_rows_max};
    size_t worker = worker_of(exchange_hash_of(client.value, name));
    return merges[worker].try_emplace(name, std::move(options), graph_.options.find_schema).first->second;
  };
  for (const EventBatch* batch : input_.batches) {
    if (graph_.domains.contains(batch->domain)) merge_of(batch->domain, batch->client).add(*batch);
  }
  for (auto& [name, domain] : graph_.domains) {
    if (!domain.may_sweep()) continue;
    if (!domain.sweeping_known) RETURN_IF_ERROR(find_sweeping(name, domain));
    for (const ClientId& client : domain.sweeping) {
      auto table = input_.tables.find({client, name});
      if (table != input_.tables.end()) merge_of(name, client).go_on(client, table->second);
    }
  }
  for (const TouchedRow& row : input_.touched) {
    if (graph_.domains.contains(row.domain) && graph_.domains.at(row.domain).keep_rows) {
      merge_of(row.domain, row.client).touch(row.client, row.table, row.key);
    }
  }
  std::vector<std::map<std::string, MergeOutput>> done(states_.size());
  RETURN_IF_ERROR(in_parallel([&](size_t worker) -> Status {
    for (auto& [name, merge] : merges[worker]) {
      ASSIGN_OR_RETURN(MergeOutput merged, merge.run(*states_[worker], *graph_.domains.at(name).relation));
      done[worker].emplace(name, std::move(merged));
    }
    return {};
  }));
  for (auto& of_worker : done) {
    for (auto& [name, merged] : of_worker) take_merged(name, std::move(merged));
  }
  return {};
}

void Round::take_merged(const std::string& name, MergeOutput merged) {
  GraphDomain& domain = graph_.domains.at(name);
  for (const auto& [client, sweeps] : merged.sweeps) {
    if (sweeps.empty()) {
      domain.sweeping.erase(client);
    } else {
      domain.sweeping.insert(client);
    }
  }
  output_.pending = output_.pending || merged.pending;
  std::move(merged.parked.begin(), merged.parked.end(), std::back_inserter(output_.parked));
  merged_[name].push_back(std::move(merged));
}

Status Round::run_node(size_t number) {
  GraphNode& node = graph_.nodes[number];
  Flow& flow = flows_[number];
  if (node.client_row != nullptr) return run_client(node, flow);
  switch (node.plan->kind) {
    case NodeKind::kDomain: run_domain(node, flow); return {};
    case NodeKind::kView: return run_view(node, flow);
    case NodeKind::kMap: return run_map(number, flow);
    case NodeKind::kUnion: run_union(node, flow); return {};
    default: return run_operator(node, flow);
  }
}

void Round::add_rows(const GraphNode& node, const MergedRows& from, const std::map<ClientId, Sweeps>& sweeps,
                     VersionedRows& to) {
  if (from.rows() == 0) return;
  AttributesOfRows attributes(*input_.attributes, sweeps);
  std::vector<uint32_t> number;
  for (const ClientId& client : from.clients) number.push_back(to.rows.client(client));
  bool first = to.rows.empty();
  for (size_t row = 0; row < from.rows(); ++row) {
    to.rows.begin(number[from.client_of_row[row]], from.keys[row], +1);
    to.revisions.push_back(attributes.of(from.clients[from.client_of_row[row]], from.keys[row]).revision);
  }
  to.positions.insert(to.positions.end(), from.positions.begin(), from.positions.end());
  to.fills.insert(to.fills.end(), from.fills.begin(), from.fills.end());
  for (size_t i = 0; i < node.source.size(); ++i) {
    Column& column = to.rows.columns[i];
    if (node.source[i] && first) {
      column = from.columns[*node.source[i]];
    } else if (node.source[i]) {
      for (size_t row = 0; row < from.rows(); ++row) column.append_from(from.columns[*node.source[i]], row);
    } else {
      for (size_t row = 0; row < from.rows(); ++row) {
        append_attribute(column, attributes.of(from.clients[from.client_of_row[row]], from.keys[row]),
                         node.attributes[i]);
      }
    }
  }
}

void Round::run_domain(const GraphNode& node, Flow& flow) {
  flow.live.rows = Rows(node.plan->columns);
  flow.gone.rows = Rows(node.plan->columns);
  flow.before = Rows(node.plan->columns);
  for (const MergeOutput& merged : merged_[node.plan->relation]) {
    add_rows(node, merged.live, merged.sweeps, flow.live);
    add_rows(node, merged.gone, merged.sweeps, flow.gone);
    if (!node.taken_back) continue;
    VersionedRows before{Rows(node.plan->columns), {}, {}, {}};
    add_rows(node, merged.before, merged.sweeps_before, before);
    for (int8_t& weight : before.rows.weights) weight = -1;
    flow.before.append_all(before.rows);
  }
}

// The columns that are used of another view's rows. Attributes are those of the row's domain's key.
Status Round::run_view(const GraphNode& node, Flow& flow) {
  const Flow& from = flows_[node.inputs[0]];
  const std::map<ClientId, Sweeps> none;
  auto merged = merged_.find(node.domain);
  // Each client's facts of a domain are merged by one worker.
  auto sweeps_of = [&](const ClientId& client, bool before) -> const std::map<ClientId, Sweeps>& {
    if (merged != merged_.end()) {
      for (const MergeOutput& part : merged->second) {
        const auto& sweeps = before ? part.sweeps_before : part.sweeps;
        if (sweeps.contains(client)) return sweeps;
      }
    }
    return none;
  };
  auto project = [&](const Rows& rows, bool before) {
    Rows out;
    out.clients = rows.clients;
    out.client_of_row = rows.client_of_row;
    out.keys = rows.keys;
    out.weights = rows.weights;
    for (size_t i = 0; i < node.source.size(); ++i) {
      if (node.source[i]) {
        out.columns.push_back(rows.columns[*node.source[i]]);
        continue;
      }
      Column& column = out.columns.emplace_back(node.plan->columns[i].type);
      for (size_t row = 0; row < rows.rows(); ++row) {
        AttributesOfRows attributes(*input_.attributes, sweeps_of(rows.client_at(row), before));
        append_attribute(column, attributes.of(rows.client_at(row), rows.keys[row]), node.attributes[i]);
      }
    }
    return out;
  };
  if (!node.by_row) {
    flow.changes = project(from.changes, false);
    consolidate(flow.changes);
    return {};
  }
  flow.live = {project(from.live.rows, false), from.live.positions, from.live.fills, from.live.revisions};
  flow.gone = {project(from.gone.rows, false), from.gone.positions, from.gone.fills, from.gone.revisions};
  if (node.taken_back) flow.before = project(from.before, true);
  return {};
}

// The clients' attributes as rows: those that differ from what was given out before.
Status Round::run_client(GraphNode& node, Flow& flow) {
  flow.changes = Rows(node.plan->columns);
  if (node.seeded) return {};
  std::vector<std::string> keys;
  std::vector<const ClientId*> clients;
  for (const auto& [client, attributes] : *input_.attributes) {
    keys.push_back(node.client_row->key(client.value));
    clients.push_back(&client);
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    KeyedState& state = *states_[worker_of(exchange_hash_of(clients[i]->value, ""))];
    ASSIGN_OR_RETURN(auto stored, state.get(std::span(keys).subspan(i, 1)));
    Rows now(node.plan->columns);
    for (size_t column = 0; column < now.columns.size(); ++column) {
      append_attribute(now.columns[column], input_.attributes->at(*clients[i]), node.attributes[column]);
    }
    now.begin(now.client(*clients[i]), "", +1);
    std::string cells;
    append_cells(cells, now.columns, 0);
    if (stored[0] && *stored[0] == cells) continue;
    if (stored[0]) {
      ByteReader reader(*stored[0]);
      if (!read_cells(reader, flow.changes.columns))
        return Error{ErrorCode::kCorrupt, "stored attributes do not decode"};
      flow.changes.begin(flow.changes.client(*clients[i]), "", -1);
    }
    flow.changes.append_all(now);
    state.put(keys[i], cells);
  }
  node.seeded = true;
  return {};
}

Result<MappedRows> Round::map_rows(const MapStage& stage, const Rows& rows) {
  size_t workers = rows.rows() < graph_.options.limits.parallel_rows_min ? 1 : states_.size();
  if (workers == 1) return stage.run(rows.columns, rows.rows(), rows.client_of_row, 0);
  std::vector<MappedRows> parts(states_.size());
  RETURN_IF_ERROR(in_parallel([&](size_t worker) -> Status {
    size_t begin = rows.rows() * worker / workers;
    size_t end = rows.rows() * (worker + 1) / workers;
    std::vector<uint32_t> selection(end - begin);
    std::iota(selection.begin(), selection.end(), static_cast<uint32_t>(begin));
    std::vector<Column> columns;
    for (const Column& column : rows.columns) columns.push_back(gather(column, selection));
    ASSIGN_OR_RETURN(parts[worker], stage.run(columns, selection.size(),
                                              std::span(rows.client_of_row).subspan(begin, end - begin), worker));
    return {};
  }));
  MappedRows out = std::move(parts[0]);
  for (size_t part = 1; part < parts.size(); ++part) {
    auto begin = static_cast<uint32_t>(out.passes.size());
    for (RowError& error : parts[part].errors) out.errors.push_back({begin + error.row, std::move(error.message)});
    for (size_t i = 0; i < out.columns.size(); ++i) {
      for (size_t row = 0; row < parts[part].passes.size(); ++row)
        out.columns[i].append_from(parts[part].columns[i], row);
    }
    out.passes.insert(out.passes.end(), parts[part].passes.begin(), parts[part].passes.end());
  }
  return out;
}

// Rows `selection` of `like` with the columns of `mapped`.
Rows mapped_selection(const Rows& like, const MappedRows& mapped, std::span<const uint32_t> selection) {
  Rows out;
  out.clients = like.clients;
  for (const Column& column : mapped.columns) out.columns.push_back(gather(column, selection));
  for (uint32_t row : selection) out.begin(like.client_of_row[row], like.keys[row], like.weights[row]);
  return out;
}

VersionedRows mapped_selection(const VersionedRows& like, const MappedRows& mapped,
                               std::span<const uint32_t> selection) {
  VersionedRows out{mapped_selection(like.rows, mapped, selection), {}, {}, {}};
  for (uint32_t row : selection) {
    out.positions.push_back(like.positions[row]);
    out.fills.push_back(like.fills[row]);
    out.revisions.push_back(like.revisions[row]);
  }
  return out;
}

std::vector<uint32_t> rows_that(const MappedRows& mapped, bool pass) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < mapped.passes.size(); ++row) {
    if ((mapped.passes[row] != 0) == pass) rows.push_back(row);
  }
  return rows;
}

std::string row_id(const Rows& rows, size_t row) { return rows.client_at(row).value + '\0' + rows.keys[row]; }

// Where no state is kept, a round may give several facts of one row: the newest counts.
class NewestFacts {
 public:
  void add(const VersionedRows& rows) {
    for (size_t row = 0; row < rows.rows.rows(); ++row) {
      Position& newest = positions_[row_id(rows.rows, row)];
      newest = std::max(newest, rows.positions[row]);
    }
  }
  bool is_outdated(const Rows& rows, size_t row, const Position& position) const {
    return position < positions_.at(row_id(rows, row));
  }

 private:
  std::unordered_map<std::string, Position> positions_;
};

Status Round::run_map(size_t number, Flow& flow) {
  const GraphNode& node = graph_.nodes[number];
  const Flow& from = flows_[node.inputs[0]];
  std::unordered_set<std::string> failed;
  NewestFacts newest;
  auto note = [&](const MappedRows& mapped, const Rows& rows, const std::vector<Position>* positions) {
    for (const RowError& error : mapped.errors) {
      if (rows.weights[error.row] < 0) continue;  // it was not there either
      if (positions != nullptr && newest.is_outdated(rows, error.row, (*positions)[error.row])) continue;
      failed.insert(row_id(rows, error.row));
      note_failed(node, rows.client_at(error.row), rows.keys[error.row],
                  positions == nullptr ? Position{} : (*positions)[error.row], error.message);
    }
  };
  void_dead_rows(number);
  if (!node.by_row) {
    Rows rows = changes_of(node.inputs[0]);
    ASSIGN_OR_RETURN(MappedRows mapped, map_rows(*node.map, rows));
    note(mapped, rows, nullptr);
    note_fine(node, rows, failed);
    flow.changes = mapped_selection(rows, mapped, rows_that(mapped, true));
    consolidate(flow.changes);
    return {};
  }
  ASSIGN_OR_RETURN(MappedRows live, map_rows(*node.map, from.live.rows));
  if (!live.errors.empty()) {
    newest.add(from.live);
    newest.add(from.gone);
  }
  note(live, from.live.rows, &from.live.positions);
  note_fine(node, from.live.rows, failed, &from.live.positions);
  note_fine(node, from.gone.rows, failed, &from.gone.positions);
  flow.live = mapped_selection(from.live, live, rows_that(live, true));
  flow.gone = mapped_selection(from.live, live, rows_that(live, false));
  // Of rows that are gone only what is passed through is known.
  const Rows& gone = from.gone.rows;
  flow.gone.rows.clients = flow.live.rows.clients;
  for (size_t row = 0; row < gone.rows(); ++row) flow.gone.begin_like(from.gone, row, gone.keys[row]);
  const MapPlan& plan = node.plan->map;
  const auto& layout = graph_.nodes[node.inputs[0]].plan->columns;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    Column& column = flow.gone.rows.columns[i];
    size_t source = layout.size();
    if (plan.outputs[i].input) {
      const std::string& name = plan.inputs[*plan.outputs[i].input].name;
      source = static_cast<size_t>(
          std::find_if(layout.begin(), layout.end(), [&](const OutputColumn& of) { return of.name == name; }) -
          layout.begin());
    }
    for (size_t row = 0; row < gone.rows(); ++row) {
      if (source < layout.size()) {
        column.append_from(gone.columns[source], row);
      } else {
        column.append_null();
      }
    }
  }
  if (!node.taken_back) return {};
  note_fine(node, from.before, failed);
  ASSIGN_OR_RETURN(MappedRows before, map_rows(*node.map, from.before));
  flow.before = mapped_selection(from.before, before, rows_that(before, true));
  return {};
}

void Round::run_union(const GraphNode& node, Flow& flow) {
  flow.live.rows = Rows(node.plan->columns);
  flow.gone.rows = Rows(node.plan->columns);
  flow.before = Rows(node.plan->columns);
  flow.changes = Rows(node.plan->columns);
  for (size_t branch = 0; branch < node.inputs.size(); ++branch) {
    std::string prefix(1, static_cast<char>(branch));
    auto add_versioned = [&](const VersionedRows& rows, VersionedRows& to) {
      for (size_t row = 0; row < rows.rows.rows(); ++row) {
        to.begin_like(rows, row, prefix + rows.rows.keys[row]);
        for (size_t i = 0; i < to.rows.columns.size(); ++i) to.rows.columns[i].append_from(rows.rows.columns[i], row);
      }
    };
    auto add_plain = [&](const Rows& rows, Rows& to) {
      for (size_t row = 0; row < rows.rows(); ++row) {
        to.append_row(rows, row, to.client(rows.client_at(row)), prefix + rows.keys[row], rows.weights[row]);
      }
    };
    if (!node.by_row) {
      add_plain(changes_of(node.inputs[branch]), flow.changes);
      continue;
    }
    add_versioned(flows_[node.inputs[branch]].live, flow.live);
    add_versioned(flows_[node.inputs[branch]].gone, flow.gone);
    if (node.taken_back) add_plain(flows_[node.inputs[branch]].before, flow.before);
  }
}

Rows Round::changes_of(size_t number) {
  if (!graph_.nodes[number].by_row) return flows_[number].changes;
  Rows rows = flows_[number].before;
  rows.append_all(flows_[number].live.rows);
  consolidate(rows);
  return rows;
}

Result<std::vector<std::vector<Operator::PendingKey>>> Round::pending_of(GraphNode& node) {
  std::vector<std::vector<Operator::PendingKey>> keys(states_.size());
  if (!node.may_be_pending) return keys;
  node.may_be_pending = false;
  for (const auto& [client, attributes] : *input_.attributes) {
    ASSIGN_OR_RETURN(auto of_client, node.op->pending_keys(*states_[0], client, pending_keys_at_once));
    for (auto& key : of_client) {
      node.may_be_pending = true;
      size_t worker = worker_of(exchange_hash_of(key.client.value, key.key));
      keys[worker].push_back(std::move(key));
    }
  }
  return keys;
}

Status Round::seed(GraphNode& node, Rows& out) {
  if (node.seeds == nullptr || node.seeded) return {};
  for (const auto& [client, attributes] : *input_.attributes) {
    KeyedState& state = *states_[worker_of(exchange_hash_of(client.value, ""))];
    ASSIGN_OR_RETURN(OperatorOutput seeded, node.seeds->seed(state, client));
    out.append_all(seeded.rows);
  }
  node.seeded = true;
  return {};
}

Status Round::run_operator(GraphNode& node, Flow& flow) {
  flow.changes = Rows(node.plan->columns);
  ASSIGN_OR_RETURN(auto pending, pending_of(node));
  RETURN_IF_ERROR(seed(node, flow.changes));
  std::vector<std::vector<Rows>> inputs(states_.size());  // by worker, by input
  bool any = false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    Rows rows = changes_of(node.inputs[i]);
    any = any || !rows.empty();
    std::vector<uint32_t> part(rows.rows(), 0);
    for (size_t row = 0; row < rows.rows() && states_.size() > 1; ++row) {
      part[row] = static_cast<uint32_t>(worker_of(node.op->exchange_hash(i, rows, row)));
    }
    std::vector<Rows> parts = split(std::move(rows), part, states_.size());
    for (size_t worker = 0; worker < parts.size(); ++worker) inputs[worker].push_back(std::move(parts[worker]));
  }
  if (!any && !node.may_be_pending && flow.changes.empty()) return {};
  std::vector<OperatorOutput> resumed(states_.size());
  std::vector<OperatorOutput> done(states_.size());
  RETURN_IF_ERROR(in_parallel([&](size_t worker) -> Status {
    if (!pending[worker].empty()) {
      ASSIGN_OR_RETURN(resumed[worker],
                       node.op->resume(*states_[worker], pending[worker], graph_.options.limits.resume_rows_max));
    }
    ASSIGN_OR_RETURN(done[worker], node.op->run(*states_[worker], inputs[worker]));
    return {};
  }));
  std::unordered_set<std::string> failed;
  for (auto* outputs : {&resumed, &done}) {
    for (OperatorOutput& output : *outputs) {
      flow.changes.append_all(output.rows);
      node.may_be_pending = node.may_be_pending || output.pending;
      for (const FailedRow& row : output.failed) {
        failed.insert(row.client.value + '\0' + row.key);
        note_failed(node, row.client, row.key, {}, row.reason);
      }
    }
  }
  output_.pending = output_.pending || node.may_be_pending;
  consolidate(flow.changes);
  note_fine(node, flow.changes, failed);
  return {};
}

GraphOutput::View& Round::output_of(size_t view) {
  auto [at, added] = views_.try_emplace(view);
  if (added) at->second.name = graph_.views[view].plan->name;
  return at->second;
}

std::string Round::dead_key_of(const GraphNode& node, const std::string& key) const {
  const GraphView& view = graph_.views[node.view];
  return view.by_row && view.maps == 1 ? key : dead_key(node.number, key);
}

void Round::note_failed(const GraphNode& node, const ClientId& client, const std::string& key, const Position& position,
                        const std::string& reason) {
  if (!graph_.views[node.view].stored) return;
  DeadRow row{client, dead_key_of(node, key), position, reason, {}, {}};
  // The domain's row: behind the numbers of unions' branches.
  const GraphNode* from = &node;
  std::string_view rest = key;
  while (from->by_row && from->plan->kind != NodeKind::kDomain) {
    size_t branch = 0;
    if (from->plan->kind == NodeKind::kUnion) {
      branch = static_cast<uint8_t>(rest[0]);
      rest.remove_prefix(1);
    }
    from = &graph_.nodes[from->inputs[branch]];
  }
  if (from->by_row && !graph_.domains.at(from->plan->relation).keep_rows) {
    row.domain = from->plan->relation;
    row.row_key = rest;
  }
  output_of(node.view).dead.push_back(std::move(row));
}

bool Round::wants_cleared(const GraphNode& node) const {
  const GraphView& view = graph_.views[node.view];
  return view.stored && input_.views_with_dead.contains(view.plan->name);
}

void Round::note_fine(const GraphNode& node, const Rows& rows, const std::unordered_set<std::string>& failed,
                      const std::vector<Position>* positions) {
  if (!wants_cleared(node)) return;
  for (size_t row = 0; row < rows.rows(); ++row) {
    if (failed.contains(row_id(rows, row))) continue;
    output_of(node.view).cleared.push_back({rows.client_at(row), dead_key_of(node, rows.keys[row]),
                                            positions == nullptr ? last_position : (*positions)[row]});
  }
}

// The first key behind all that begin with `prefix`; empty: there is none.
std::string behind(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xFF') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

// Of a node by row: what range facts void, by the keys that its rows have, behind `prefix`.
void Round::for_each_voided(size_t number, const std::string& prefix, const Voided& give) const {
  const GraphNode& node = graph_.nodes[number];
  if (node.plan->kind == NodeKind::kUnion) {
    for (size_t branch = 0; branch < node.inputs.size(); ++branch) {
      for_each_voided(node.inputs[branch], prefix + static_cast<char>(branch), give);
    }
    return;
  }
  if (node.plan->kind != NodeKind::kDomain) return for_each_voided(node.inputs[0], prefix, give);
  auto merged = merged_.find(node.plan->relation);
  if (merged == merged_.end()) return;
  for (const MergeOutput& part : merged->second) {
    for (const RaisedFloor& floor : part.floors) {
      give(floor, prefix + floor.low, floor.high.empty() ? behind(prefix) : prefix + floor.high);
    }
  }
}

// Rows of a map that failed in earlier rounds and are void now.
void Round::void_dead_rows(size_t number) {
  const GraphNode& node = graph_.nodes[number];
  if (!node.by_row || !wants_cleared(node)) return;
  for_each_voided(number, dead_key_of(node, {}), [&](const RaisedFloor& floor, std::string low, std::string high) {
    output_of(node.view).gone.push_back({floor.client, std::move(low), std::move(high), floor.position});
  });
}

void Round::put_view(size_t number) {
  const GraphView& view = graph_.views[number];
  if (!view.stored) return;
  const Flow& flow = flows_[view.root];
  if (view.by_row) {
    for_each_voided(view.root, "", [&](const RaisedFloor& floor, std::string low, std::string high) {
      output_.withdrawals.push_back(
          {view.plan->name, floor.client, Version::of_row(floor.position, 0, 0), std::move(low), std::move(high)});
    });
    if (flow.live.rows.rows() + flow.gone.rows.rows() > 0) output_of(number).rows = versioned_output(flow);
  } else if (!flow.changes.empty()) {
    output_of(number).rows = changed_output(flow.changes, view.plan->columns(), view.plan->order_by,
                                            Version::of_checkpoint(input_.run_generation, input_.checkpoint));
  }
  auto at = views_.find(number);
  if (at != views_.end()) output_.views.push_back(std::move(at->second));
}

}  // namespace

Result<GraphOutput> run_graph_round(Graph& graph, const GraphInput& input, std::span<KeyedState* const> states,
                                    const Executor& executor) {
  return Round(graph, input, states, executor).run();
}

}  // namespace tributary
