#include "sql/union_planner.h"

#include <fmt/format.h>

namespace tributary {
namespace {

// The type by which DuckDB sees values of `type`.
std::string duckdb_name(const ExpressionType& type) {
  if (!type.native.empty()) return type.native;
  switch (type.type.id) {
    case TypeId::kDecimal: return fmt::format("DECIMAL({},{})", type.type.precision, type.type.scale);
    case TypeId::kJson: return "JSON";
    default: return duckdb_type_name(type.type.id);
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
  auto united = engine.describe({}, fmt::format("(SELECT CAST(NULL AS {}) UNION ALL SELECT CAST(NULL AS {}))",
                                                duckdb_name(a), duckdb_name(b)));
  if (!united.ok() || united->as_text) return refuse();
  return united;
}

uint32_t add_casts(PlanningContext& context, const PlannedRows& rows, const std::vector<std::vector<LogicalType>>& steps) {
  Pipe pipe = node_pipe(context, rows.node);
  ColumnTypes types = pipe.types();
  MapBuilder map(context, pipe);
  for (size_t i = 0; i < pipe.columns.size(); ++i) {
    const std::string& name = pipe.columns[i].column.name;
    TypedExpression value = *type_expression(context, types, column_expression(name, 0));
    for (LogicalType step : steps[i]) value = cast_to(std::move(value), step);
    map.add(name, value);
  }
  return map.finish().node;
}

}  // namespace

std::optional<PlannedRows> unite(PlanningContext& context, std::vector<PlannedRows> inputs,
                                 const std::vector<size_t>& offsets) {
  size_t columns = inputs[0].types.size();
  // types[n][i]: of column i in the union of the first n + 1 inputs. DuckDB casts step by step.
  std::vector<std::vector<ExpressionType>> types = {inputs[0].types};
  for (size_t n = 1; n < inputs.size(); ++n) {
    if (inputs[n].types.size() != columns) {
      context.fail(offsets[n], fmt::format("the SELECTs of a UNION have {} and {} columns; give them the same",
                                           columns, inputs[n].types.size()));
      return std::nullopt;
    }
    types.emplace_back();
    for (size_t i = 0; i < columns; ++i) {
      auto common = common_type(context.engine, types[n - 1][i], inputs[n].types[i]);
      const OutputColumn& column = context.nodes[inputs[0].node].columns[i];
      if (!common.ok()) {
        context.fail(offsets[n], fmt::format("column \"{}\": {}", column.name, common.error().message));
      }
      types[n].push_back(common.ok() ? *common : types[n - 1][i]);
    }
  }
  if (!context.errors.empty()) return std::nullopt;

  PlanNode node{.kind = NodeKind::kUnion, .columns = context.nodes[inputs[0].node].columns};
  for (size_t i = 0; i < columns; ++i) node.columns[i].type = types.back()[i].type;
  for (size_t n = 0; n < inputs.size(); ++n) {
    std::vector<std::vector<LogicalType>> steps(columns);
    bool cast = false;
    for (size_t i = 0; i < columns; ++i) {
      for (size_t step = std::max<size_t>(n, 1); step < inputs.size(); ++step) steps[i].push_back(types[step][i].type);
      cast = cast || inputs[n].types[i].type != types.back()[i].type;
      node.columns[i].nullable = node.columns[i].nullable || context.nodes[inputs[n].node].columns[i].nullable;
    }
    node.inputs.push_back(cast ? add_casts(context, inputs[n], steps) : inputs[n].node);
  }
  PlannedRows united{.node = 0, .types = types.back(), .not_keys = inputs[0].not_keys};
  for (size_t i = 0; i < columns; ++i) {
    for (const PlannedRows& input : inputs) {
      if (united.not_keys[i].empty()) united.not_keys[i] = input.not_keys[i];
    }
  }
  united.node = context.add_node(std::move(node));
  return united;
}

}  // namespace tributary
