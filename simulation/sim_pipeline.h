// Runs a case through what keeps views up to date in the program itself: log, raw store, rounds with their checkpoints, dead
// letters, outbox and builds, over a RocksDB of its own. The process may die at any step, the store may refuse or answer too
// late, and the pipeline file changes.
#pragma once

#include <string>

#include "sim_case.h"
#include "sim_run.h"

namespace tributary::simulation {

// make_case() with steps for the pipeline: the file changes, dead letters are tried again or dropped, the outbox is sent.
SimCase make_pipeline_case(uint64_t seed);

// Empty: every comparison held. Else what did not, with its invariant's name first.
std::string run_pipeline_case(const SimCase& sim, Engines engines);

}  // namespace tributary::simulation
