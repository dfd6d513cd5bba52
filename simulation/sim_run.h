// Runs a case: the facts of its steps go through the views' graph as the runtime would drive it, and each view is compared
// with the same SQL run in batch over the tables as they are.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "process/view_graph.h"
#include "sim_case.h"
#include "sql/duckdb_engine.h"
#include "verify/scratch_database.h"

namespace tributary::simulation {

// operator → kind of change → how often views with that operator met it.
using Coverage = std::map<std::string, std::map<std::string, uint64_t>>;

struct Engines {
  DuckDbEngine& expressions;
  ScratchDatabase& batch;
};

// Empty: every comparison held. Else what did not, with its invariant's name first.
std::string run_case(const SimCase& sim, Engines engines, Coverage* coverage);

// So small that whatever is done piece by piece is.
GraphLimits small_graph_limits(Random& random);

// What `run` gives; where a CHECK fails in it, "NoCheckFails" and which.
// In another thread than the caller's it ends the program, with the seed.
std::string with_checks_as_outcome(uint64_t seed, const std::function<std::string()>& run);

// A smaller case that fails as well.
using RunCase = std::function<std::string(const SimCase&)>;
SimCase shrink(SimCase sim, const RunCase& run, size_t attempts_max = 4000);

// A table of the coverage; `empty_cells` counts pairs that were never met.
std::string coverage_text(const Coverage& coverage, size_t& empty_cells);

}  // namespace tributary::simulation
