// What a ViewGraph consists of, and one round of it. Internal to view_graph.cpp and the round's files (round.h).
#pragma once

#include <memory>
#include <optional>

#include "process/aggregate.h"
#include "process/graph_flow.h"
#include "process/view_graph.h"

namespace tributary {

struct GraphNode {
  const PlanNode* plan = nullptr;
  size_t view = 0;
  size_t number = 0;                  // of the node in its view's plan
  std::vector<size_t> inputs = {};    // graph nodes; of kView the root of the view that is read
  bool by_row = false;                // a row is a function of one domain's row
  bool taken_back = false;            // by row: rows as they were are wanted above
  std::string domain = {};            // by row and of one domain, whose row keys are the node's: its name
  std::vector<std::optional<uint32_t>> source = {};  // kDomain, kView: columns of what is read; nullopt: an attribute
  std::vector<std::string> attributes = {};  // … its name; else empty
  std::optional<MapStage> map = {};
  std::unique_ptr<Operator> op = {};
  AggregateOperator* seeds = nullptr;  // `op`, where every client has a row from the start
  bool seeded = false;
  std::optional<std::set<ClientId>> pending = {};  // for whom `op` may have work to resume; nullopt: not known
  std::unique_ptr<StateName> client_row = {};  // gives the client's attributes as a row

  bool may_be_pending() const { return !pending || !pending->empty(); }
};

struct GraphView {
  const ViewPlan* plan = nullptr;
  bool stored = false;
  size_t root = 0;
  bool by_row = false;
  size_t maps = 0;  // nodes at which rows can fail by themselves
};

struct GraphDomain {
  const Relation* relation = nullptr;
  std::vector<uint8_t> used_columns;  // as MergeOptions'
  std::string state_name;
  bool keep_rows = false;
  bool uses_attributes = false;
  bool sweeping_known = false;
  std::set<ClientId> sweeping;  // clients with sweeps that are left

  bool may_sweep() const { return keep_rows || uses_attributes; }
};

struct Graph {
  GraphOptions options;
  std::vector<GraphNode> nodes;  // inputs before what reads them
  std::vector<GraphView> views;
  std::map<std::string, GraphDomain> domains;
  std::vector<std::unique_ptr<PlanNode>> made;  // nodes that no plan has
};

Result<GraphOutput> run_graph_round(Graph& graph, const GraphInput& input, std::span<KeyedState* const> states,
                                    const Executor& executor);

}  // namespace tributary
