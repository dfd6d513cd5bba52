#include "process/first_row.h"

#include <gtest/gtest.h>

#include "process/rows_for_test.h"

namespace tributary {
namespace {

const std::vector<OutputColumn> input{
    {"id", {TypeId::kInt64}}, {"status", {TypeId::kText}}, {"user", {TypeId::kInt64}}, {"total", {TypeId::kInt64}}};

class FirstRowTest : public testing::Test {
 protected:
  // The id and status of each user's greatest total.
  void first(bool descending = true, bool nulls_first = false) {
    op = std::make_unique<FirstRowOperator>(
        FirstRowPlan{.partition = {2}, .order = {{3, descending, nulls_first}}, .output_columns = 2},
        std::span(input).first(2), "newest#2");
  }
  std::string change(const std::vector<std::string>& rows) { return run(*op, state, {rows_of(input, rows)}); }

  MemoryState state;
  std::unique_ptr<FirstRowOperator> op;
};

TEST_F(FirstRowTest, TheNextOneFollowsWhenTheFirstGoes) {
  first();
  EXPECT_EQ(change({"+ acme a 1 new 7 10", "+ acme b 2 new 7 20", "+ acme c 3 new 8 5"}),
            "+ acme 2 new\n+ acme 3 new\n");
  EXPECT_EQ(change({"- acme b 2 new 7 20"}), "+ acme 1 new\n- acme 2 new\n");
  EXPECT_EQ(change({"- acme a 1 new 7 10"}), "- acme 1 new\n");
}

TEST_F(FirstRowTest, ItFallsBehindOrChangesWhereItIs) {
  first();
  change({"+ acme a 1 new 7 10", "+ acme b 2 new 7 20"});
  EXPECT_EQ(change({"- acme b 2 new 7 20", "+ acme b 2 paid 7 20"}), "+ acme 2 paid\n- acme 2 new\n");
  EXPECT_EQ(change({"- acme b 2 paid 7 20", "+ acme b 2 paid 7 5"}), "+ acme 1 new\n- acme 2 paid\n");
  EXPECT_EQ(change({"- acme b 2 paid 7 5", "+ acme b 2 sent 7 6"}), "");  // not the first
}

TEST_F(FirstRowTest, TiesAreBrokenByTheColumnsNotByArrival) {
  first();
  EXPECT_EQ(change({"+ acme a 5 new 7 10"}), "+ acme 5 new\n");
  EXPECT_EQ(change({"+ acme z 2 new 7 10"}), "+ acme 2 new\n- acme 5 new\n");
}

TEST_F(FirstRowTest, NullsComeLastOrFirst) {
  first(true, false);
  EXPECT_EQ(change({"+ acme a 1 new 7 NULL", "+ acme b 2 new 7 -3"}), "+ acme 2 new\n");
  MemoryState other;
  first(true, true);
  EXPECT_EQ(run(*op, other, {rows_of(input, {"+ acme a 1 new 7 NULL", "+ acme b 2 new 7 -3"})}), "+ acme 1 new\n");
}

TEST_F(FirstRowTest, NullIsAPartitionAndClientsAreApart) {
  first();
  EXPECT_EQ(change({"+ acme a 1 new NULL 1", "+ acme b 2 new NULL 2", "+ globex c 3 new NULL 9"}),
            "+ acme 2 new\n+ globex 3 new\n");
}

// Its letter is taken off, whatever becomes of its partition.
TEST_F(FirstRowTest, ARowWithoutAPlaceFailsAloneAndIsSettledWhenItGoes) {
  first();
  EXPECT_EQ(change({"+ acme a 1 new 7 10", "+ acme b 2 new 7 ~infinity"}),
            "+ acme 1 new\nfailed: ORDER BY 'infinity', which its type int64 cannot hold\n");
  EXPECT_EQ(settled(*op, state, rows_of(input, {"- acme b 2 new 7 ~infinity", "+ acme b 2 new 7 5"})),
            std::vector<std::string>{"acme b"});
  EXPECT_EQ(change({"- acme a 1 new 7 10"}), "+ acme 2 new\n- acme 1 new\n");
}

TEST_F(FirstRowTest, ARowThatIsShownAgainShowsTheFirstAgainOrFailsAgain) {
  first();
  change({"+ acme a 1 new 7 10", "+ acme b 2 new 7 5", "+ acme c 3 new 7 ~infinity"});
  EXPECT_EQ(change({"= acme b 2 new 7 5"}), "= acme 1 new\n");
  EXPECT_EQ(change({"= acme b 2 new 7 5", "- acme a 1 new 7 10"}), "+ acme 2 new\n- acme 1 new\n");
  EXPECT_EQ(change({"= acme c 3 new 7 ~infinity"}), "failed: ORDER BY 'infinity', which its type int64 cannot hold\n");
}

}  // namespace
}  // namespace tributary
