// MapStage: a filter and a projection over a batch of rows. Pure but for the expression programs it drives: one a worker,
// since they are not thread-safe.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

struct MappedRows {
  std::vector<Column> columns;  // one an output; as many rows as the input
  std::vector<uint8_t> passes;  // 1: the row passes the filter and could be computed
  std::vector<RowError> errors;  // rows that could not be computed
};

class MapStage {
 public:
  // `layout` are the columns of the rows given to run(); the plan's inputs are among them. Prepares `workers` programs.
  static Result<MapStage> prepare(MapPlan plan, std::span<const OutputColumn> layout, ExpressionEngine& engine,
                                  size_t workers);

  // `columns` are laid out as `layout`, with `rows` rows; `groups` is a number a row: its client.
  Result<MappedRows> run(std::span<const Column> columns, size_t rows, std::span<const uint32_t> groups,
                         size_t worker) const;

 private:
  MapPlan plan_;
  std::vector<uint32_t> input_column_;  // of each plan input
  std::vector<std::shared_ptr<ExpressionProgram>> programs_;  // one a worker; none where nothing is computed
};

}  // namespace tributary
