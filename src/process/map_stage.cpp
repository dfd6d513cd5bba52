#include "process/map_stage.h"

#include <algorithm>

namespace tributary {

Result<MapStage> MapStage::prepare(MapPlan plan, std::span<const OutputColumn> layout, ExpressionEngine& engine,
                                   size_t workers) {
  MapStage stage;
  for (const InputColumn& input : plan.inputs) {
    auto at = std::find_if(layout.begin(), layout.end(),
                           [&](const OutputColumn& column) { return column.name == input.name; });
    CHECK(at != layout.end(), "a map reads {}, which its input does not have", input.name);
    CHECK(at->type == input.type, "a map reads {} as {}, and it is {}", input.name, input.type.to_string(),
          at->type.to_string());
    stage.input_column_.push_back(static_cast<uint32_t>(at - layout.begin()));
  }
  if (!plan.expressions.empty()) {
    for (size_t worker = 0; worker < workers; ++worker) {
      ASSIGN_OR_RETURN(auto program, engine.prepare(plan.inputs, plan.expressions));
      stage.programs_.push_back(std::move(program));
    }
  }
  stage.plan_ = std::move(plan);
  return stage;
}

Result<MappedRows> MapStage::run(std::span<const Column> columns, size_t rows, std::span<const uint32_t> groups,
                                 size_t worker) const {
  MappedRows out;
  out.passes.assign(rows, 1);
  std::vector<Column> computed;
  if (!programs_.empty() && rows > 0) {
    std::vector<const Column*> inputs;
    for (uint32_t column : input_column_) inputs.push_back(&columns[column]);
    ASSIGN_OR_RETURN(ExpressionOutput output, programs_[worker]->run(inputs, rows, groups));
    computed = std::move(output.columns);
    out.errors = std::move(output.errors);
  }
  for (const RowError& error : out.errors) out.passes[error.row] = 0;
  if (plan_.filter && rows > 0) {
    const Column& passes = computed[*plan_.filter];
    for (size_t row = 0; row < rows; ++row) {
      if (!passes.is_value(row) || passes.fixed<uint8_t>(row) == 0) out.passes[row] = 0;
    }
  }
  for (const MapOutput& output : plan_.outputs) {
    if (output.input) {
      out.columns.push_back(columns[input_column_[*output.input]]);
    } else if (rows == 0) {
      out.columns.emplace_back(output.column.type);
    } else {
      CHECK(output.expression, "output {} is neither a column nor an expression", output.column.name);
      out.columns.push_back(computed[*output.expression]);
    }
  }
  return out;
}

}  // namespace tributary
