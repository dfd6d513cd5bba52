#include "process/graph_round.h"

#include "process/round.h"
#include "process/view_output.h"

namespace tributary {

Result<GraphOutput> Round::run() {
  RETURN_IF_ERROR(merge());
  for (size_t i = 0; i < graph_.nodes.size(); ++i) RETURN_IF_ERROR(run_node(i));
  for (size_t i = 0; i < graph_.views.size(); ++i) put_view(i);
  return std::move(output_);
}

Status Round::in_parallel(const std::function<Status(size_t)>& work) {
  std::vector<Status> done(states_.size());
  executor_(states_.size(), [&](size_t worker) { done[worker] = work(worker); });
  for (Status& status : done) RETURN_IF_ERROR(std::move(status));
  return {};
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
    default: return run_operator(number, flow);
  }
}

const Rows& Round::changes_of(size_t number) {
  Flow& flow = flows_[number];
  if (graph_.nodes[number].by_row && !flow.changes_known) {
    flow.changes = flow.before;
    flow.changes.append_all(flow.live.rows);
    consolidate(flow.changes, again_ ? Unchanged::kShownAgain : Unchanged::kLeftOut);
    flow.changes_known = true;
  }
  return flow.changes;
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

GraphOutput::View& Round::output_of(size_t view) {
  auto [at, added] = views_.try_emplace(view);
  if (added) at->second.name = graph_.views[view].plan->name;
  return at->second;
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
  } else if (has_changes(flow.changes)) {
    output_of(number).rows = changed_output(flow.changes, view.plan->columns(), view.plan->order_by,
                                            Version::of_checkpoint(input_.run_generation, input_.checkpoint));
  }
  auto at = views_.find(number);
  if (at != views_.end()) output_.views.push_back(std::move(at->second));
}

Result<GraphOutput> run_graph_round(Graph& graph, const GraphInput& input, std::span<KeyedState* const> states,
                                    const Executor& executor) {
  return Round(graph, input, states, executor).run();
}

}  // namespace tributary
