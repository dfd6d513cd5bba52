#include "process/view_graph.h"

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "process/aggregate.h"
#include "process/first_row.h"
#include "process/graph_round.h"

namespace tributary {
namespace {

constexpr std::string_view attribute_prefix = "client.";
constexpr char dead_key_mark = '\xF0';
constexpr char dead_key_mark_wide = '\xF1';  // of nodes whose number takes two bytes

std::string node_name(const ViewPlan& view, size_t node, const std::string& suffix) {
  return fmt::format("{}#{}{}", view.name, node, suffix);
}

std::unique_ptr<Operator> make_operator(const PlanNode& plan, const std::vector<const PlanNode*>& inputs,
                                        const std::string& name, const GraphLimits& limits) {
  switch (plan.kind) {
    case NodeKind::kAggregate:
      return std::make_unique<AggregateOperator>(plan.aggregate, inputs[0]->columns, plan.columns, name);
    case NodeKind::kFirstRow: return std::make_unique<FirstRowOperator>(plan.first_row, plan.columns, name);
    case NodeKind::kJoin:
      return std::make_unique<JoinOperator>(plan.join, inputs[0]->columns, inputs[1]->columns, name, limits.join);
    default: return nullptr;
  }
}

}  // namespace

void run_serially(size_t count, const std::function<void(size_t)>& work) {
  for (size_t i = 0; i < count; ++i) work(i);
}

std::string dead_key(size_t node, std::string_view key) {
  CHECK(node <= UINT16_MAX, "a plan has {} nodes", node);
  std::string out;
  if (node <= UINT8_MAX) {
    out.push_back(dead_key_mark);
    put_u8(out, static_cast<uint8_t>(node));
  } else {
    out.push_back(dead_key_mark_wide);
    put_u16_big(out, static_cast<uint16_t>(node));
  }
  out += key;
  return out;
}

bool looks_marked(std::string_view key) {
  return !key.empty() && (key[0] == dead_key_mark || key[0] == dead_key_mark_wide);
}

FailedAt failed_at(const std::string& dead_letter_key) {
  if (!looks_marked(dead_letter_key)) return {std::nullopt, dead_letter_key};
  ByteReader reader(dead_letter_key);
  size_t node = static_cast<char>(reader.u8()) == dead_key_mark ? reader.u8() : reader.u16_big();
  std::string key(reader.rest());
  return reader.ok() ? FailedAt{node, std::move(key)} : FailedAt{std::nullopt, dead_letter_key};
}

struct ViewGraph::Impl : Graph {
  Status build(ExpressionEngine& engine);
  Status add_view(const ViewPlan& view, ExpressionEngine& engine);
  void add_domain(GraphNode& node);
  size_t add_view_node(GraphNode node, const ViewPlan& view);
  void find_source(GraphNode& node, std::span<const OutputColumn> layout);
  void mark_taken_back();
  std::optional<RowOfLetter> row_under(size_t number, std::string_view key) const;
};

void ViewGraph::Impl::add_domain(GraphNode& node) {
  auto relation = options.relations.find(node.plan->relation);
  CHECK(relation != options.relations.end(), "{} is no domain", node.plan->relation);
  GraphDomain& domain = domains.try_emplace(node.plan->relation).first->second;
  domain.relation = &relation->second;
  find_source(node, relation->second.columns);
  domain.used_columns.resize(relation->second.columns.size(), 0);
  for (const std::optional<uint32_t>& column : node.source) {
    if (column) domain.used_columns[*column] = 1;
  }
  node.by_row = true;
  node.domain = node.plan->relation;
}

// Rows of another view. Attributes beside rows that are not one domain's row are joined to them, so that a change of
// attributes goes through them like any other.
size_t ViewGraph::Impl::add_view_node(GraphNode node, const ViewPlan& view) {
  const PlanNode& plan = *node.plan;
  auto read = std::find_if(views.begin(), views.end(),
                           [&](const GraphView& other) { return other.plan->name == plan.relation; });
  CHECK(read != views.end(), "view {} reads {}, which is not before it", view.name, plan.relation);
  node.inputs = {read->root};
  node.by_row = nodes[read->root].by_row;
  node.domain = nodes[read->root].domain;
  find_source(node, read->plan->columns());
  bool attributes =
      std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& name) { return !name.empty(); });
  if (!attributes || !node.domain.empty()) {
    nodes.push_back(std::move(node));
    return nodes.size() - 1;
  }
  PlanNode* rows = made.emplace_back(std::make_unique<PlanNode>()).get();
  PlanNode* client = made.emplace_back(std::make_unique<PlanNode>()).get();
  PlanNode* join = made.emplace_back(std::make_unique<PlanNode>()).get();
  rows->kind = NodeKind::kView;
  rows->relation = plan.relation;
  client->kind = NodeKind::kView;
  client->relation = "client";
  GraphNode client_node{.plan = client, .view = node.view, .number = node.number};
  for (size_t i = 0; i < plan.columns.size(); ++i) {
    (node.attributes[i].empty() ? rows : client)->columns.push_back(plan.columns[i]);
    if (!node.attributes[i].empty()) client_node.attributes.push_back(node.attributes[i]);
  }
  CHECK(std::is_partitioned(node.attributes.begin(), node.attributes.end(),
                            [](const auto& name) { return name.empty(); }),
        "attributes stand before columns in a node of view {}", view.name);
  client_node.client_row = std::make_unique<StateName>(
      StateName{static_cast<uint16_t>(StateOperator::kClientRow), node_name(view, node.number, options.state_suffix)});
  join->kind = NodeKind::kJoin;
  join->join = {.kind = JoinKind::kLeft, .left_key = {}, .right_key = {}, .right_unique = true};
  join->columns = plan.columns;
  GraphNode rows_node{.plan = rows, .view = node.view, .number = node.number, .inputs = node.inputs};
  rows_node.by_row = node.by_row;
  find_source(rows_node, read->plan->columns());
  nodes.push_back(std::move(rows_node));
  nodes.push_back(std::move(client_node));
  GraphNode join_node{.plan = join, .view = node.view, .number = node.number};
  join_node.inputs = {nodes.size() - 2, nodes.size() - 1};
  join_node.op =
      make_operator(*join, {rows, client}, node_name(view, node.number, options.state_suffix), options.limits);
  nodes.push_back(std::move(join_node));
  return nodes.size() - 1;
}

void ViewGraph::Impl::find_source(GraphNode& node, std::span<const OutputColumn> layout) {
  for (const OutputColumn& column : node.plan->columns) {
    auto at = std::find_if(layout.begin(), layout.end(),
                           [&](const OutputColumn& other) { return other.name == column.name; });
    bool attribute = at == layout.end() && column.name.starts_with(attribute_prefix);
    CHECK(attribute || at != layout.end(), "{} has no column {}", node.plan->relation, column.name);
    node.source.push_back(attribute ? std::nullopt : std::optional(static_cast<uint32_t>(at - layout.begin())));
    node.attributes.push_back(attribute ? column.name.substr(attribute_prefix.size()) : "");
  }
}

Status ViewGraph::Impl::add_view(const ViewPlan& view, ExpressionEngine& engine) {
  std::vector<size_t> at;  // of each of the plan's nodes
  GraphView entry{.plan = &view, .stored = options.stored.contains(view.name)};
  for (size_t i = 0; i < view.nodes.size(); ++i) {
    const PlanNode& plan = view.nodes[i];
    GraphNode node{.plan = &plan, .view = views.size(), .number = i};
    if (plan.kind == NodeKind::kView) {
      at.push_back(add_view_node(std::move(node), view));
      continue;
    }
    std::vector<const PlanNode*> inputs;
    for (uint32_t input : plan.inputs) {
      node.inputs.push_back(at[input]);
      inputs.push_back(&view.nodes[input]);
    }
    if (plan.kind == NodeKind::kDomain) add_domain(node);
    if (plan.kind == NodeKind::kMap || plan.kind == NodeKind::kUnion) {
      node.by_row =
          std::all_of(node.inputs.begin(), node.inputs.end(), [&](size_t input) { return nodes[input].by_row; });
    }
    if (plan.kind == NodeKind::kMap) {
      auto stage = MapStage::prepare(plan.map, inputs[0]->columns, engine, options.workers);
      if (!stage.ok()) return with_context(stage.error(), "view " + view.name);
      node.map = std::move(stage).value();
      node.domain = nodes[node.inputs[0]].domain;
      ++entry.maps;
    }
    node.op = make_operator(plan, inputs, node_name(view, i, options.state_suffix), options.limits);
    if (plan.kind == NodeKind::kAggregate && plan.aggregate.global) {
      node.seeds = static_cast<AggregateOperator*>(node.op.get());
    }
    nodes.push_back(std::move(node));
    at.push_back(nodes.size() - 1);
  }
  entry.root = at.back();
  entry.by_row = nodes[entry.root].by_row;
  views.push_back(std::move(entry));
  return {};
}

// Rows as they were are wanted by what is not by row, and by everything below it down to the domains.
void ViewGraph::Impl::mark_taken_back() {
  for (size_t i = nodes.size(); i-- > 0;) {
    GraphNode& node = nodes[i];
    for (size_t input : node.inputs) {
      if (!node.by_row || node.taken_back) nodes[input].taken_back = true;
    }
    if (node.domain.empty()) continue;
    GraphDomain& domain = domains.at(node.domain);
    if (node.plan->kind == NodeKind::kDomain) domain.keep_rows = domain.keep_rows || node.taken_back;
    for (const std::string& name : node.attributes) domain.uses_attributes = domain.uses_attributes || !name.empty();
  }
}

// Whose row it is that the node gives under `key`. Of a joined row that of the left one: the pair comes again with it.
std::optional<RowOfLetter> ViewGraph::Impl::row_under(size_t number, std::string_view key) const {
  const GraphNode& node = nodes[number];
  switch (node.plan->kind) {
    case NodeKind::kDomain: return RowOfLetter{node.plan->relation, 0, std::string(key)};
    case NodeKind::kAggregate:
    case NodeKind::kFirstRow: return RowOfLetter{"", number, std::string(key)};
    case NodeKind::kUnion: {
      size_t branch = key.empty() ? node.inputs.size() : static_cast<uint8_t>(key[0]);
      return branch < node.inputs.size() ? row_under(node.inputs[branch], key.substr(1)) : std::nullopt;
    }
    case NodeKind::kJoin: {
      if (node.plan->join.right_unique) return row_under(node.inputs[0], key);
      ByteReader reader(key);
      std::string left(reader.string());
      return reader.ok() ? row_under(node.inputs[0], left) : std::nullopt;
    }
    default: return node.inputs.empty() ? std::nullopt : row_under(node.inputs[0], key);
  }
}

Status ViewGraph::Impl::build(ExpressionEngine& engine) {
  for (const ViewPlan& view : options.views) RETURN_IF_ERROR(add_view(view, engine));
  mark_taken_back();
  for (auto& [name, domain] : domains) domain.state_name = name + options.state_suffix;
  return {};
}

ViewGraph::ViewGraph(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ViewGraph::~ViewGraph() = default;

Result<std::unique_ptr<ViewGraph>> ViewGraph::make(GraphOptions options, ExpressionEngine& engine) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  RETURN_IF_ERROR(impl->build(engine));
  return std::unique_ptr<ViewGraph>(new ViewGraph(std::move(impl)));
}

Result<GraphOutput> ViewGraph::run(const GraphInput& input, std::span<KeyedState* const> states,
                                   const Executor& executor) {
  CHECK(states.size() == impl_->options.workers);
  return run_graph_round(*impl_, input, states, executor);
}

bool ViewGraph::wants_round() const {
  bool pending = std::any_of(impl_->nodes.begin(), impl_->nodes.end(), [](const GraphNode& node) {
    return node.op != nullptr && (node.may_be_pending() || (node.seeds != nullptr && !node.seeded));
  });
  return pending || std::any_of(impl_->domains.begin(), impl_->domains.end(), [](const auto& domain) {
           return domain.second.may_sweep() && (!domain.second.sweeping_known || !domain.second.sweeping.empty());
         });
}

bool ViewGraph::unfinished(const ClientId& client) const {
  bool pending = std::any_of(impl_->nodes.begin(), impl_->nodes.end(), [&](const GraphNode& node) {
    return node.op != nullptr &&
           (!node.pending || node.pending->contains(client) || (node.seeds != nullptr && !node.seeded));
  });
  return pending || std::any_of(impl_->domains.begin(), impl_->domains.end(), [&](const auto& domain) {
           return domain.second.may_sweep() &&
                  (!domain.second.sweeping_known || domain.second.sweeping.contains(client));
         });
}

void ViewGraph::forget_pending() {
  for (GraphNode& node : impl_->nodes) {
    node.pending.reset();
    node.seeded = false;
  }
  for (auto& [name, domain] : impl_->domains) domain.sweeping_known = false;
}

bool ViewGraph::by_row(const std::string& view) const {
  return std::any_of(impl_->views.begin(), impl_->views.end(),
                     [&](const GraphView& entry) { return entry.plan->name == view && entry.by_row; });
}

bool ViewGraph::keeps_rows(const std::string& domain) const {
  auto at = impl_->domains.find(domain);
  return at != impl_->domains.end() && at->second.keep_rows;
}

std::optional<RowOfLetter> ViewGraph::row_of_letter(const std::string& view, const std::string& dead_letter_key) const {
  FailedAt failed = failed_at(dead_letter_key);
  for (size_t i = impl_->nodes.size(); i-- > 0;) {
    const GraphNode& node = impl_->nodes[i];
    if (impl_->views[node.view].plan->name != view) continue;
    if (failed.node ? node.number != *failed.node : !node.map) continue;
    // What fails in a first row are rows of its input.
    return impl_->row_under(node.plan->kind == NodeKind::kFirstRow ? node.inputs[0] : i, failed.key);
  }
  return std::nullopt;
}

bool ViewGraph::reads(const std::string& domain) const { return impl_->domains.contains(domain); }

bool ViewGraph::uses_attributes(const std::string& domain) const {
  auto at = impl_->domains.find(domain);
  return at != impl_->domains.end() && at->second.uses_attributes;
}

const GraphOptions& ViewGraph::options() const { return impl_->options; }

std::string ViewGraph::state_name(const std::string& domain) const { return domain + impl_->options.state_suffix; }

}  // namespace tributary
