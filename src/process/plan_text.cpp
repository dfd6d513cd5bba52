#include "process/plan_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes.h"
#include "model/row_key.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 2;
// Rises when operators compute otherwise or lay out their state otherwise than before.
constexpr int operators_version = 1;

std::string columns_text(const std::vector<OutputColumn>& columns) {
  std::string out;
  for (const OutputColumn& column : columns) {
    out += fmt::format("{}{:?} {}{}", out.empty() ? "" : ", ", column.name, column.type.to_string(),
                       column.nullable ? "" : " not null");
  }
  return out;
}

std::string output_text(const MapPlan& map, const MapOutput& output) {
  if (output.input) return fmt::format("{:?}", map.inputs[*output.input].name);
  return output.expression ? map.expressions[*output.expression] : "";
}

std::string map_text(const MapPlan& map) {
  std::string out = "map";
  for (const MapOutput& output : map.outputs) out += fmt::format(" [{}]", output_text(map, output));
  for (const InputColumn& input : map.inputs) out += fmt::format(" {:?} {}", input.name, input.type.to_string());
  if (map.filter) out += fmt::format(" where {}", map.expressions[*map.filter]);
  return out;
}

std::string call_text(const AggregateCall& call) {
  auto number = [](const std::optional<uint32_t>& column) { return column ? std::to_string(*column) : "-"; };
  return fmt::format(" {}({}, {}, {})", static_cast<int>(call.kind), number(call.argument), number(call.order),
                     number(call.filter));
}

std::string node_text(const PlanNode& node) {
  switch (node.kind) {
    case NodeKind::kDomain: return fmt::format("domain {}", node.relation);
    case NodeKind::kView: return fmt::format("view {}", node.relation);
    case NodeKind::kMap: return map_text(node.map);
    case NodeKind::kUnion: return "union";
    case NodeKind::kJoin:
      return fmt::format("{} join on {} = {}{}", node.join.kind == JoinKind::kLeft ? "left" : "inner",
                         node.join.left_key, node.join.right_key, node.join.right_unique ? " unique" : "");
    case NodeKind::kAggregate: {
      std::string out =
          fmt::format("aggregate {}{}", node.aggregate.group_columns, node.aggregate.global ? " global" : "");
      for (const AggregateCall& call : node.aggregate.calls) out += call_text(call);
      return out;
    }
    case NodeKind::kFirstRow: {
      std::string out =
          fmt::format("first row of {} giving {} by", node.first_row.partition, node.first_row.output_columns);
      for (const OrderColumn& order : node.first_row.order) {
        out += fmt::format(" {}{}{}", order.column, order.descending ? " desc" : "",
                           order.nulls_first ? " nulls first" : "");
      }
      return out;
    }
  }
  return "";
}

const PlanNode* only_map_over_domain(const ViewPlan& plan) {
  bool simple =
      plan.nodes.size() == 2 && plan.nodes[0].kind == NodeKind::kDomain && plan.nodes[1].kind == NodeKind::kMap;
  return simple ? &plan.nodes[1] : nullptr;
}

// The key's columns with what decides its bytes: integers of any width have the same.
std::string key_text(const Relation& relation) {
  std::string out = "key";
  for (const std::string& name : relation.key) {
    for (const OutputColumn& column : relation.columns) {
      if (column.name != name) continue;
      bool integer = column.type.id >= TypeId::kInt16 && column.type.id <= TypeId::kUInt64;
      out += fmt::format(" {:?} {}", name, integer ? "integer" : column.type.to_string());
    }
  }
  return out;
}

std::string hash_text(const std::string& text) {
  return fmt::format("{:016x}{:016x}", partition_hash("a", text), partition_hash("b", text));
}

}  // namespace

std::string plan_text(const ViewPlan& plan) {
  std::string out;
  for (const PlanNode& node : plan.nodes) {
    out += fmt::format("{} {} -> {}\n", node_text(node), node.inputs, columns_text(node.columns));
  }
  return out;
}

PlanFingerprint fingerprint_of(const ViewPlan& plan, const std::map<std::string, PlanFingerprint>& upstream,
                               const std::map<std::string, Relation>& relations) {
  PlanFingerprint fingerprint;
  std::string text = fmt::format("{}\n{}order by {}\n", operators_version, plan_text(plan), plan.order_by);
  for (const PlanNode& node : plan.nodes) {
    if (node.kind == NodeKind::kView) text += upstream.at(node.relation).exact + "\n";
    if (node.kind == NodeKind::kDomain) text += key_text(relations.at(node.relation)) + "\n";
  }
  fingerprint.exact = hash_text(text);
  if (const PlanNode* map = only_map_over_domain(plan)) {
    const Relation& relation = relations.at(plan.nodes[0].relation);
    fingerprint.core = fmt::format("{} {} order by {} where {}", relation.name, key_text(relation), plan.order_by,
                                   map->map.filter ? map->map.expressions[*map->map.filter] : "");
    for (const MapOutput& output : map->map.outputs)
      fingerprint.outputs[output.column.name] = {output_text(map->map, output), output.column.type};
    for (const OutputColumn& column : relation.columns) fingerprint.relation_columns.push_back(column.name);
  }
  return fingerprint;
}

// Whether a table's column can grow from one type to the other where it stands (docs/formats/analytics-table.md).
bool type_may_grow(const LogicalType& old, const LogicalType& now) {
  auto is_number = [](const LogicalType& type) { return type.id != TypeId::kBool && type.id <= TypeId::kDecimal; };
  return old == now || (is_number(old) && is_number(now) && widen(old, now) == now);
}

bool rows_stay_right(const PlanFingerprint& old, const PlanFingerprint& now) {
  if (old.exact == now.exact) return true;
  if (old.core.empty() || old.core != now.core) return false;
  return std::all_of(now.outputs.begin(), now.outputs.end(), [&](const auto& output) {
    const auto& [from, type] = output.second;
    auto known = old.outputs.find(output.first);
    if (known != old.outputs.end()) return known->second.from == from && type_may_grow(known->second.type, type);
    // New in the view: right only where it is a column that the source did not have either.
    bool column = from.starts_with('"') && !from.starts_with("\"client.");
    return column &&
           std::none_of(old.relation_columns.begin(), old.relation_columns.end(),
                        [&](const std::string& name) { return output.second.from == fmt::format("{:?}", name); });
  });
}

std::string PlanFingerprint::encode() const {
  std::string out;
  put_u8(out, format_version);
  put_string(out, exact);
  put_string(out, core);
  put_varint(out, outputs.size());
  for (const auto& [name, output] : outputs) {
    put_string(out, name);
    put_string(out, output.from);
    put_string(out, output.type.to_string());
  }
  put_varint(out, relation_columns.size());
  for (const std::string& column : relation_columns) put_string(out, column);
  return out;
}

Result<PlanFingerprint> PlanFingerprint::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "a stored plan fingerprint does not decode"};
  uint8_t version = reader.u8();
  if (version == 0 || version > format_version) return corrupt;
  PlanFingerprint fingerprint;
  fingerprint.exact = reader.string();
  fingerprint.core = reader.string();
  // Version 1 was written without the outputs' types and, later, with them. Without, only a plan that is just the same is.
  auto unreadable = [&]() -> Result<PlanFingerprint> {
    if (version > 1 || fingerprint.exact.empty()) return corrupt;
    return PlanFingerprint{.exact = fingerprint.exact, .core = {}, .outputs = {}, .relation_columns = {}};
  };
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Output& output = fingerprint.outputs[std::string(reader.string())];
    output.from = reader.string();
    auto type = LogicalType::parse(reader.string());
    if (!type) return unreadable();
    output.type = *type;
  }
  count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) fingerprint.relation_columns.emplace_back(reader.string());
  if (!reader.ok() || !reader.at_end()) return unreadable();
  return fingerprint;
}

}  // namespace tributary
