#include "base/bytes.h"
#include "process/round.h"

namespace tributary {
namespace {

constexpr Position last_position{UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};

}  // namespace

std::string Round::dead_key_of(const GraphNode& node, const std::string& key) const {
  bool row_says_all = has_one_failing_row(node) && !looks_marked(key);
  return row_says_all ? key : dead_key(node.number, key);
}

bool Round::has_one_failing_row(const GraphNode& node) const {
  const GraphView& view = graph_.views[node.view];
  return view.by_row && view.maps == 1;
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

void Round::note_settled(const GraphNode& node, const std::vector<SettledRow>& rows,
                         const std::unordered_set<std::string>& failed) {
  if (!wants_cleared(node)) return;
  for (const SettledRow& row : rows) {
    if (failed.contains(row.client.value + '\0' + row.key)) continue;
    output_of(node.view).cleared.push_back({row.client, dead_key_of(node, row.key), last_position});
  }
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
      give(floor, prefix + floor.low, floor.high.empty() ? first_behind(prefix) : prefix + floor.high);
    }
  }
}

// Rows of a map that failed in earlier rounds and are void now.
void Round::void_dead_rows(size_t number) {
  const GraphNode& node = graph_.nodes[number];
  if (!node.by_row || !wants_cleared(node)) return;
  std::string mark = dead_key(node.number, {});
  bool plain = has_one_failing_row(node);
  for_each_voided(number, plain ? "" : mark, [&](const RaisedFloor& floor, std::string low, std::string high) {
    // Of a branch whose number looks like a mark the keys have a mark (dead_key_of()).
    if (plain && looks_marked(low)) {
      low.insert(0, mark);
      high = high.empty() ? first_behind(mark) : mark + high;
    }
    output_of(node.view).gone.push_back({floor.client, std::move(low), std::move(high), floor.position});
  });
}

}  // namespace tributary
