#include "process/round.h"

namespace tributary {
namespace {

constexpr size_t pending_keys_at_once = 64;

}  // namespace

Result<std::vector<std::vector<Operator::PendingKey>>> Round::pending_of(GraphNode& node) {
  std::vector<std::vector<Operator::PendingKey>> keys(states_.size());
  if (!node.may_be_pending()) return keys;
  std::optional<std::set<ClientId>> known = std::exchange(node.pending, std::set<ClientId>());
  for (const auto& [client, attributes] : *input_.attributes) {
    if (known && !known->contains(client)) continue;
    ASSIGN_OR_RETURN(auto of_client, node.op->pending_keys(*states_[0], client, pending_keys_at_once));
    for (auto& key : of_client) {
      node.pending->insert(client);
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

// Groups and first rows that are wanted once more by their keys, and groups that are there without rows.
Result<std::vector<OperatorOutput>> Round::show_again(size_t number) {
  const GraphNode& node = graph_.nodes[number];
  std::vector<OperatorOutput> outputs;
  auto show = [&](const ClientId& client, const std::string& key) -> Status {
    KeyedState& state = *states_[worker_of(exchange_hash_of(client.value, key))];
    ASSIGN_OR_RETURN(outputs.emplace_back(), node.op->show_again(state, client, key));
    return {};
  };
  if (node.seeds != nullptr) {
    for (const ClientId& client : all_again_) RETURN_IF_ERROR(show(client, {}));
  }
  for (const GraphInput::Result& result : input_.results_again) {
    if (result.node == number) RETURN_IF_ERROR(show(result.client, result.key));
  }
  return outputs;
}

Status Round::run_operator(size_t number, Flow& flow) {
  GraphNode& node = graph_.nodes[number];
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
  bool again = !input_.results_again.empty() || (node.seeds != nullptr && !all_again_.empty());
  if (!any && !again && !node.may_be_pending() && flow.changes.empty()) return {};
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
  ASSIGN_OR_RETURN(std::vector<OperatorOutput> shown, show_again(number));
  std::unordered_set<std::string> failed;
  std::vector<SettledRow> settled;
  for (auto* outputs : {&resumed, &done, &shown}) {
    for (OperatorOutput& output : *outputs) {
      flow.changes.append_all(output.rows);
      node.pending->merge(output.pending);
      std::move(output.settled.begin(), output.settled.end(), std::back_inserter(settled));
      for (const FailedRow& row : output.failed) {
        failed.insert(row.client.value + '\0' + row.key);
        note_failed(node, row.client, row.key, {}, row.reason);
      }
    }
  }
  output_.pending = output_.pending || node.may_be_pending();
  consolidate(flow.changes);
  // What fails in a first row are rows of its input; those that are given out have keys of their own, with the same bytes.
  if (node.plan->kind != NodeKind::kFirstRow) note_fine(node, flow.changes, failed);
  note_settled(node, settled, failed);
  return {};
}

}  // namespace tributary
