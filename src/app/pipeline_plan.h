// Joins config/ and sql/: what the pipeline file, the lock file and the clients' tables mean together.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "config/compile.h"
#include "runtime/planned.h"
#include "sql/duckdb_engine.h"

namespace tributary {

// config's plan functions, bound to DuckDB. `engine` outlives them.
PlanFunctions plan_functions(DuckDbEngine& engine);

// The runtime's planner: overlays the lock file with the schemas that came with events, compiles, and writes the lock file
// when it changed. Used by one thread at a time.
class RuntimePlanner {
 public:
  RuntimePlanner(const Pipeline& pipeline, LockFile lock, DuckDbEngine& engine);

  // `views`: of a release (config/views_text.h).
  Result<PlannedPipeline> plan(const std::vector<ClientTable>& tables, const std::string& views);

 private:
  const Pipeline& pipeline_;
  std::string views_;  // the pipeline file's
  LockFile lock_;
  PlanFunctions functions_;
};

// A client's attributes as cells, with the types that all clients share.
std::map<ClientId, std::map<std::string, Column>> attribute_columns(const Pipeline& pipeline);

}  // namespace tributary
