// One round of a graph, while it runs. Internal to the round's files: graph_round.cpp, round_sources.cpp, round_maps.cpp,
// round_operators.cpp, round_dead_rows.cpp.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "process/graph_round.h"

namespace tributary {

// A row of any client, as a key of sets.
inline std::string row_id(const Rows& rows, size_t row) { return rows.client_at(row).value + '\0' + rows.keys[row]; }

class Round {
 public:
  Round(Graph& graph, const GraphInput& input, std::span<KeyedState* const> states, const Executor& executor)
      : graph_(graph), input_(input), states_(states), executor_(executor), flows_(graph.nodes.size()) {}

  Result<GraphOutput> run();

 private:
  size_t worker_of(uint64_t hash) const { return hash % states_.size(); }

  // Runs `work` for every worker; the first error is the outcome.
  Status in_parallel(const std::function<Status(size_t)>& work);

  Status run_node(size_t number);
  // What came and went, of any node that has run.
  const Rows& changes_of(size_t number);
  void run_union(const GraphNode& node, Flow& flow);
  void put_view(size_t number);
  GraphOutput::View& output_of(size_t view);

  // Where rows come from (round_sources.cpp): merged domains, views that are read, the clients' attributes.
  Status merge();
  Status find_sweeping(const std::string& name, GraphDomain& domain);
  void take_merged(const std::string& name, MergeOutput merged);
  void run_domain(const GraphNode& node, Flow& flow);
  void add_rows(const GraphNode& node, const MergedRows& from, const std::map<ClientId, Sweeps>& sweeps,
                VersionedRows& to);
  Status run_view(const GraphNode& node, Flow& flow);
  Status run_client(GraphNode& node, Flow& flow);

  // Expressions (round_maps.cpp).
  Status run_map(size_t number, Flow& flow);
  Result<MappedRows> map_rows(const MapStage& stage, const Rows& rows);

  // Joins, aggregates, first rows (round_operators.cpp).
  Status run_operator(size_t number, Flow& flow);
  Result<std::vector<std::vector<Operator::PendingKey>>> pending_of(GraphNode& node);
  Status seed(GraphNode& node, Rows& out);
  Result<std::vector<OperatorOutput>> show_again(size_t number);

  // Rows that fail, and those that do not any more (round_dead_rows.cpp).
  std::string dead_key_of(const GraphNode& node, const std::string& key) const;
  bool has_one_failing_row(const GraphNode& node) const;
  void note_failed(const GraphNode& node, const ClientId& client, const std::string& key, const Position& position,
                   const std::string& reason);
  // Rows that are computed, or gone, but for those that `failed`. With `positions`, by them.
  void note_fine(const GraphNode& node, const Rows& rows, const std::unordered_set<std::string>& failed,
                 const std::vector<Position>* positions = nullptr);
  void note_settled(const GraphNode& node, const std::vector<SettledRow>& rows,
                    const std::unordered_set<std::string>& failed);
  bool wants_cleared(const GraphNode& node) const;
  using Voided = std::function<void(const RaisedFloor& floor, std::string low, std::string high)>;
  void for_each_voided(size_t node, const std::string& prefix, const Voided& give) const;
  void void_dead_rows(size_t number);

  Graph& graph_;
  const GraphInput& input_;
  std::span<KeyedState* const> states_;
  const Executor& executor_;
  std::map<std::string, std::vector<MergeOutput>> merged_;  // by domain
  bool again_ = false;  // rows that did not change are shown again (rows.h)
  std::set<ClientId> all_again_;  // … all of these clients'
  std::vector<Flow> flows_;
  std::map<size_t, GraphOutput::View> views_;
  GraphOutput output_;
};

}  // namespace tributary
