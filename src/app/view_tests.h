// Runs the `tests:` of a pipeline file: given rows and changes go through the very operators that the pipeline runs, in memory.
#pragma once

#include <string>
#include <vector>

#include "config/compile.h"
#include "sql/duckdb_engine.h"

namespace tributary {

struct ViewTestOutcome {
  size_t passed = 0;
  size_t skipped = 0;  // columns of their domains are not known yet
  std::vector<FileError> failures;  // at the test; the message has the difference, a line a row
};

ViewTestOutcome run_view_tests(const Pipeline& pipeline, const CompiledPipeline& compiled, DuckDbEngine& engine);

}  // namespace tributary
