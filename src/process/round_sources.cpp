#include "model/cells.h"
#include "process/round.h"

namespace tributary {
namespace {

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

}  // namespace

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
                         .facts_again = input_.facts_again && !domain.keep_rows,
                         .sweep_rows_max = graph_.options.limits.sweep_rows_max,
                         .used_columns = domain.used_columns};
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
  for (const auto& [client, sweeping] : merged.sweeping) {
    if (sweeping) {
      domain.sweeping.insert(client);
    } else {
      domain.sweeping.erase(client);
    }
  }
  output_.pending = output_.pending || merged.pending;
  again_ = again_ || merged.again;
  all_again_.merge(merged.all_again);
  std::move(merged.parked.begin(), merged.parked.end(), std::back_inserter(output_.parked));
  merged_[name].push_back(std::move(merged));
}

void Round::add_rows(const GraphNode& node, const MergedRows& from, const std::map<ClientId, Sweeps>& sweeps,
                     VersionedRows& to) {
  if (from.rows() == 0) return;
  AttributesOfRows attributes(*input_.attributes, sweeps);
  std::vector<uint32_t> number;
  number.reserve(from.clients.size());
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

}  // namespace tributary
