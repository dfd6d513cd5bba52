#include "app/dead_letter_rows.h"

#include "base/bytes.h"
#include "model/row_key.h"
#include "process/view_graph.h"

namespace tributary {
namespace {

class Origin {
 public:
  explicit Origin(const ViewPlan& plan) : plan_(plan) {}

  // Adds whose row it is that `node` gives under `key`.
  void add(size_t node, std::string_view key) {
    if (node >= plan_.nodes.size()) return;
    const PlanNode& of = plan_.nodes[node];
    switch (of.kind) {
      case NodeKind::kDomain:
      case NodeKind::kView: return add_row(of.relation, key);
      case NodeKind::kMap: return add(of.inputs[0], key);
      case NodeKind::kAggregate:
      case NodeKind::kFirstRow: return add_row(plan_.name, key);
      case NodeKind::kUnion: {
        if (key.empty() || static_cast<uint8_t>(key[0]) >= of.inputs.size()) return;
        return add(of.inputs[static_cast<uint8_t>(key[0])], key.substr(1));
      }
      case NodeKind::kJoin: return add_pair(of, key);
    }
  }

  // An operator that takes rows as they are says which of them it cannot take.
  void add_failed(size_t node, std::string_view key) {
    bool takes = node < plan_.nodes.size() && plan_.nodes[node].kind == NodeKind::kFirstRow;
    add(takes ? plan_.nodes[node].inputs[0] : node, key);
  }

  std::vector<DeadLetterRow> take() { return std::move(rows_); }

 private:
  void add_row(const std::string& relation, std::string_view key) {
    if (row_key_values(key).empty() && !key.empty()) return;  // no key
    rows_.push_back({relation, std::string(key)});
  }

  // As process/join.h makes it: the left row's key, or left key, join key, right key.
  void add_pair(const PlanNode& join, std::string_view key) {
    if (join.join.right_unique) return add(join.inputs[0], key);
    ByteReader reader(key);
    std::string left(reader.string());
    reader.string();
    std::string right(reader.rest());
    if (!reader.ok()) return;
    add(join.inputs[0], left);
    if (!right.empty()) add(join.inputs[1], right);
  }

  const ViewPlan& plan_;
  std::vector<DeadLetterRow> rows_;
};

}  // namespace

std::vector<DeadLetterRow> rows_of_dead_letter(const ViewPlan& plan, const std::string& key) {
  FailedAt failed = failed_at(key);
  size_t node = plan.nodes.size();
  while (!failed.node && node > 0 && plan.nodes[node - 1].kind != NodeKind::kMap) --node;
  Origin origin(plan);
  origin.add_failed(failed.node.value_or(node - 1), failed.key);
  return origin.take();
}

std::vector<DeadLetterRow> rows_of_row(const ViewPlan& plan, const std::string& key) {
  Origin origin(plan);
  origin.add(plan.nodes.size() - 1, key);
  return origin.take();
}

}  // namespace tributary
