// Thousands of random cases: any views, any changes, any order of arrival give what the same SQL gives in batch.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim_pipeline.h"
#include "sim_run.h"

namespace tributary::simulation {
namespace {

constexpr uint64_t cases = 2000;
constexpr uint64_t pipeline_cases = 100;

class Simulation : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = DuckDbEngine::open();
    ASSERT_TRUE(opened.ok());
    expressions_ = std::move(*opened);
    auto database = ScratchDatabase::open(std::filesystem::temp_directory_path().string(), size_t{256} << 20);
    ASSERT_TRUE(database.ok());
    batch_ = std::move(*database);
  }
  Engines engines() { return {*expressions_, *batch_}; }

 private:
  std::unique_ptr<DuckDbEngine> expressions_;
  std::unique_ptr<ScratchDatabase> batch_;
};

// What the simulation found once, made smaller.
TEST_F(Simulation, CasesThatFailedOnceHold) {
  size_t cases_found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TRIBUTARY_SIMULATION_DIR "/found")) {
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    SimCase sim = parse_case(text.str());
    EXPECT_EQ(run_case(sim, engines(), nullptr), "") << entry.path();
    EXPECT_EQ(run_pipeline_case(sim, engines()), "") << entry.path();
    EXPECT_EQ(to_text(parse_case(to_text(sim))), to_text(sim));
    ++cases_found;
  }
  EXPECT_GT(cases_found, 0u);
}

TEST_F(Simulation, EveryViewEqualsItsBatch) {
  Coverage coverage;
  for (uint64_t seed = 1; seed <= cases; ++seed) {
    SimCase sim = make_case(seed);
    std::string failure = run_case(sim, engines(), &coverage);
    ASSERT_EQ(failure, "") << "FAILED seed=" << seed << "\n"
                           << to_text(shrink(sim, [&](const SimCase& of) { return run_case(of, engines(), nullptr); }));
  }
  size_t empty = 0;
  std::string text = coverage_text(coverage, empty);
  EXPECT_EQ(empty, 0u) << "pairs of operator and change that no case met:\n" << text;
}

// … and the same through log, raw store, checkpoints, outbox and a changing pipeline file.
TEST_F(Simulation, EveryViewOfThePipelineEqualsItsBatch) {
  for (uint64_t seed = 1; seed <= pipeline_cases; ++seed) {
    SimCase sim = make_pipeline_case(seed);
    std::string failure = run_pipeline_case(sim, engines());
    ASSERT_EQ(failure, "") << "FAILED ./dev sim --pipeline --seed " << seed << "\n" << to_text(sim);
  }
}

}  // namespace
}  // namespace tributary::simulation
