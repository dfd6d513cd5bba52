// Thousands of random cases: any views, any changes, any order of arrival give what the same SQL gives in batch.
#include <gtest/gtest.h>

#include <filesystem>

#include "sim_run.h"

namespace tributary::simulation {
namespace {

constexpr uint64_t cases = 3000;

TEST(Simulation, EveryViewEqualsItsBatch) {
  auto expressions = DuckDbEngine::open();
  ASSERT_TRUE(expressions.ok());
  auto batch = ScratchDatabase::open(std::filesystem::temp_directory_path().string(), size_t{256} << 20);
  ASSERT_TRUE(batch.ok());
  Engines engines{**expressions, **batch};
  Coverage coverage;
  for (uint64_t seed = 1; seed <= cases; ++seed) {
    SimCase sim = make_case(seed);
    std::string failure = run_case(sim, engines, &coverage);
    ASSERT_EQ(failure, "") << "FAILED seed=" << seed << "\n" << to_text(shrink(sim, engines));
  }
  size_t empty = 0;
  std::string text = coverage_text(coverage, empty);
  EXPECT_EQ(empty, 0u) << "pairs of operator and change that no case met:\n" << text;
}

}  // namespace
}  // namespace tributary::simulation
