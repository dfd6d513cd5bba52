// ./dev sim: random cases until the time is over, or one again by its seed. Exit code 1 at the first case that fails, which is
// made smaller and printed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "sim_pipeline.h"
#include "sim_run.h"

namespace tributary::simulation {
namespace {

constexpr size_t attempts_max = 4000;  // to make a case smaller
constexpr size_t pipeline_attempts_max = 400;

int report(const SimCase& sim, const std::string& failure, bool made_smaller, bool pipeline, const RunCase& run) {
  if (!made_smaller) {
    fmt::print("FAILED seed={} {}\n", sim.seed, failure);
    return 1;
  }
  fmt::print("FAILED seed={} {}\nmade smaller:\n", sim.seed, failure);
  SimCase smaller = shrink(sim, run, pipeline ? pipeline_attempts_max : attempts_max);
  fmt::print("{}{}\nonce more: ./dev sim {}--seed {}\n", to_text(smaller), run(smaller), pipeline ? "--pipeline " : "",
             sim.seed);
  return 1;
}

int run(uint64_t first_seed, uint64_t cases_max, double seconds, bool one, bool made_smaller, bool pipeline) {
  auto expressions = DuckDbEngine::open();
  auto batch = ScratchDatabase::open(std::filesystem::temp_directory_path().string(), size_t{256} << 20);
  if (!expressions.ok() || !batch.ok()) {
    fmt::print(stderr, "simulation: DuckDB does not open\n");
    return 70;
  }
  Engines engines{**expressions, **batch};
  Coverage coverage;
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t cases = 0;
  for (uint64_t seed = first_seed; cases < cases_max && (one || std::chrono::steady_clock::now() < end); ++seed) {
    SimCase sim = pipeline ? make_pipeline_case(seed) : make_case(seed);
    if (one) fmt::print("{}", to_text(sim));
    std::string failure = pipeline ? run_pipeline_case(sim, engines) : run_case(sim, engines, &coverage);
    if (!failure.empty())
      return report(sim, failure, made_smaller, pipeline, [&](const SimCase& of) {
        return pipeline ? run_pipeline_case(of, engines) : run_case(of, engines, nullptr);
      });
    if (++cases % 1000 == 0) fmt::print(stderr, "simulation: {} cases, none failed\n", cases);
    if (one) break;
  }
  if (pipeline) {
    fmt::print("{} cases from seed {}, none failed\n", cases, first_seed);
    return 0;
  }
  size_t empty = 0;
  fmt::print("{}\n{} cases from seed {}, none failed; {} pairs of operator and change were not met\n",
             coverage_text(coverage, empty), cases, first_seed, empty);
  return 0;
}

}  // namespace
}  // namespace tributary::simulation

int main(int argc, char** argv) {
  CLI::App app("Random views and changes, incremental against batch. Ends with 1 at the first difference.");
  double seconds = 60;
  uint64_t seed = 0;
  uint64_t first = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  uint64_t cases = UINT64_MAX;
  app.add_option("--seconds", seconds, "how long")->capture_default_str();
  app.add_option("--cases", cases, "at most so many");
  app.add_option("--from-seed", first, "the first case's seed (default: by the clock)");
  auto* one = app.add_option("--seed", seed, "this case alone, printed");
  bool as_it_is = false;
  bool pipeline = false;
  app.add_flag("--pipeline", pipeline, "through log, raw store, checkpoints, outbox and a changing pipeline file");
  app.add_flag("--as-it-is", as_it_is, "a case that fails is not made smaller");
  CLI11_PARSE(app, argc, argv);
  return tributary::simulation::run(one->count() > 0 ? seed : first, cases, seconds, one->count() > 0, !as_it_is,
                                    pipeline);
}
