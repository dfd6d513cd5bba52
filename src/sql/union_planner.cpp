#include "sql/union_planner.h"

#include <fmt/format.h>

namespace tributary {
namespace {

// The type by which DuckDB sees values of `type`.
std::string duckdb_name(const ExpressionType& type) {
  return type.native.empty() ? duckdb_type_text(type.type) : type.native;
}

// Types within a family are cast to each other.
enum class Family : uint8_t { kNumber, kTime, kOther };
Family family(LogicalType type) {
  switch (type.id) {
    case TypeId::kBool:
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kUInt64:
    case TypeId::kFloat32:
    case TypeId::kFloat64:
    case TypeId::kDecimal: return Family::kNumber;
    case TypeId::kDate:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return Family::kTime;
    default: return Family::kOther;
  }
}

// Of values of either type in one column. An error says what to write.
Result<ExpressionType> common_type(DuckDbEngine& engine, const ExpressionType& a, const ExpressionType& b) {
  if (a.type == b.type && a.native == b.native && a.as_text == b.as_text) return a;
  auto refuse = [&] {
    return Error{ErrorCode::kInvalidInput, fmt::format("{} and {} do not go into one column; CAST one of them",
                                                       a.type.to_string(), b.type.to_string())};
  };
  auto is_json = [](const ExpressionType& one) { return one.type.id == TypeId::kJson; };
  if (is_json(a) || is_json(b)) return refuse();
  if (a.as_text != b.as_text && !(a.type.id == TypeId::kText && b.type.id == TypeId::kText)) return refuse();
  auto united = engine.describe(
      {}, fmt::format("(SELECT CAST(NULL AS {}) UNION ALL SELECT CAST(NULL AS {}))", duckdb_name(a), duckdb_name(b)));
  bool text = united.ok() && united->type.id == TypeId::kText && !united->as_text;
  // DuckDB says that DATE and INTEGER are DATE, and then casts no INTEGER.
  bool castable = united.ok() && family(a.type) == family(b.type) && family(a.type) != Family::kOther;
  if (!text && !castable) return refuse();
  return united;
}

// The types of the columns of all inputs together. Errors stand at the first input that does not fit.
std::vector<ExpressionType> common_types(PlanningContext& context, const std::vector<PlannedRows>& inputs,
                                         const std::vector<size_t>& offsets) {
  std::vector<ExpressionType> types = inputs[0].types;
  for (size_t n = 1; n < inputs.size(); ++n) {
    if (inputs[n].types.size() != types.size()) {
      context.fail(offsets[n - 1], fmt::format("the SELECTs of a UNION have {} and {} columns; give them the same",
                                               types.size(), inputs[n].types.size()));
      continue;
    }
    for (size_t i = 0; i < types.size(); ++i) {
      auto common = common_type(context.engine, types[i], inputs[n].types[i]);
      if (common.ok()) {
        types[i] = *common;
      } else {
        const std::string& name = context.nodes[inputs[0].node].columns[i].name;
        context.fail(offsets[n - 1], fmt::format("column \"{}\": {}", name, common.error().message));
      }
    }
  }
  return types;
}

// A map that casts the columns, where one has another type than wanted.
uint32_t add_casts(PlanningContext& context, const PlannedRows& rows, const std::vector<ExpressionType>& wanted) {
  bool same = true;
  for (size_t i = 0; i < wanted.size(); ++i) same = same && rows.types[i].type == wanted[i].type;
  if (same) return rows.node;
  Pipe pipe = node_pipe(context, rows.node);
  ColumnTypes types = pipe.types();
  MapBuilder map(context, pipe);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string& name = pipe.columns[i].column.name;
    map.add(name, cast_to(*type_expression(context, types, column_expression(name, 0)), wanted[i].type));
  }
  return map.finish().node;
}

}  // namespace

std::optional<PlannedRows> unite(PlanningContext& context, const std::vector<PlannedRows>& inputs,
                                 const std::vector<size_t>& offsets) {
  PlannedRows united{.types = common_types(context, inputs, offsets)};
  if (!context.errors.empty()) return std::nullopt;
  size_t columns = united.types.size();
  PlanNode node{.kind = NodeKind::kUnion, .columns = context.nodes[inputs[0].node].columns};
  united.not_keys.resize(columns);
  for (const PlannedRows& input : inputs) {
    for (size_t i = 0; i < columns; ++i) {
      node.columns[i].type = united.types[i].type;
      node.columns[i].nullable = node.columns[i].nullable || context.nodes[input.node].columns[i].nullable;
      if (united.not_keys[i].empty()) united.not_keys[i] = input.not_keys[i];
    }
    node.inputs.push_back(add_casts(context, input, united.types));
  }
  united.node = context.add_node(std::move(node));
  return united;
}

}  // namespace tributary
