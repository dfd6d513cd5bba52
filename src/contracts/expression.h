// ExpressionEngine: scalar SQL expressions over columnar batches. DuckDB behind it.
//
// An expression sees the input's columns by name and nothing else; it has no side effects, no clock, no randomness.
// Operators (filter, project, join keys, aggregate arguments) all evaluate through this.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/column.h"

namespace tributary {

struct InputColumn {
  std::string name;
  LogicalType type;
  friend bool operator==(const InputColumn&, const InputColumn&) = default;
};

// Why one row could not be computed. The other rows of the batch are not affected.
struct RowError {
  uint32_t row;
  std::string message;  // the engine's: "Conversion Error: Could not convert string 'x' to INT32"
};

struct ExpressionOutput {
  std::vector<Column> columns;  // one per expression, as many rows as the input; NULL where the row failed
  std::vector<RowError> errors; // by row, ascending, at most one a row
};

// Prepared expressions. Not thread-safe: one per worker.
class ExpressionProgram {
 public:
  virtual ~ExpressionProgram() = default;
  virtual const std::vector<LogicalType>& types() const = 0;  // one per expression

  // `inputs` are columns in the order of prepare(), all with `rows` rows. A cell that its type cannot hold (kText), used
  // by an expression, fails its row; absent cells are a bug. Failing rows are found by bisection, first by `groups`
  // (one number a row: its client), then by row.
  virtual Result<ExpressionOutput> run(std::span<const Column* const> inputs, size_t rows,
                                       std::span<const uint32_t> groups) = 0;
};

class ExpressionEngine {
 public:
  virtual ~ExpressionEngine() = default;

  // Checks and prepares. Error messages carry the engine's text. Thread-safe.
  virtual Result<std::unique_ptr<ExpressionProgram>> prepare(const std::vector<InputColumn>& inputs,
                                                             const std::vector<std::string>& expressions) = 0;
};

}  // namespace tributary
