#include "process/aggregate.h"

#include <gtest/gtest.h>

#include "process/rows_for_test.h"

namespace tributary {
namespace {

const LogicalType money{TypeId::kDecimal, 12, 2};
const std::vector<OutputColumn> input{{"status", {TypeId::kText}},
                                      {"total", money},
                                      {"paid", {TypeId::kBool}},
                                      {"weight", {TypeId::kFloat64}},
                                      {"id", {TypeId::kInt64}}};

AggregateCall call(AggregateKind kind, LogicalType type, std::optional<uint32_t> argument = {},
                   std::optional<uint32_t> order = {}, std::optional<uint32_t> filter = {}) {
  return {.kind = kind, .argument = argument, .order = order, .filter = filter, .column = {"result", type}};
}

class AggregateTest : public testing::Test {
 protected:
  void group(std::vector<AggregateCall> calls, bool by_status = true) {
    std::vector<OutputColumn> output;
    if (by_status) output.push_back(input[0]);
    for (const AggregateCall& of : calls) output.push_back(of.column);
    op = std::make_unique<AggregateOperator>(
        AggregatePlan{.group_columns = by_status ? 1U : 0U, .global = !by_status, .calls = std::move(calls)}, input,
        output, "by_status#2");
  }
  std::string change(const std::vector<std::string>& rows) { return run(*op, state, {rows_of(input, rows)}); }

  MemoryState state;
  std::unique_ptr<AggregateOperator> op;
};

TEST_F(AggregateTest, CountsAndSumsTakeBack) {
  group({call(AggregateKind::kCountRows, {TypeId::kInt64}), call(AggregateKind::kCount, {TypeId::kInt64}, 1),
         call(AggregateKind::kSum, {TypeId::kDecimal, 38, 2}, 1)});
  EXPECT_EQ(change({"+ acme a new 1.50 true 0 1", "+ acme b new NULL true 0 2"}), "+ acme new 2 1 1.50\n");
  EXPECT_EQ(change({"- acme a new 1.50 true 0 1", "+ acme a new 2.00 true 0 1"}),
            "+ acme new 2 1 2.00\n- acme new 2 1 1.50\n");
  EXPECT_EQ(change({"- acme a new 2.00 true 0 1"}), "+ acme new 1 0 NULL\n- acme new 2 1 2.00\n");
}

TEST_F(AggregateTest, AnEmptyGroupGoesAndComesBackWithoutMemory) {
  group({call(AggregateKind::kCountRows, {TypeId::kInt64}), call(AggregateKind::kMax, money, 1)});
  change({"+ acme a new 1.00 true 0 1"});
  EXPECT_EQ(change({"- acme a new 1.00 true 0 1"}), "- acme new 1 1.00\n");
  EXPECT_TRUE(state.entries().empty());
  EXPECT_EQ(change({"+ acme b new 0.50 true 0 2"}), "+ acme new 1 0.50\n");
}

TEST_F(AggregateTest, ARowMovesBetweenGroups) {
  group({call(AggregateKind::kCountRows, {TypeId::kInt64})});
  change({"+ acme a new 1 true 0 1", "+ acme b NULL 1 true 0 2"});
  EXPECT_EQ(change({"- acme a new 1 true 0 1", "+ acme a NULL 1 true 0 1"}),
            "+ acme NULL 2\n- acme NULL 1\n- acme new 1\n");
}

TEST_F(AggregateTest, LeastAndGreatestAreLookedUpWhenTheyGo) {
  group({call(AggregateKind::kMin, money, 1), call(AggregateKind::kMax, money, 1)});
  change({"+ acme a new 1 true 0 1", "+ acme b new 5 true 0 2", "+ acme c new 5 true 0 3", "+ acme d new 3 true 0 4"});
  EXPECT_EQ(change({"- acme b new 5 true 0 2"}), "");  // another one is as great
  EXPECT_EQ(change({"- acme c new 5 true 0 3"}), "+ acme new 1.00 3.00\n- acme new 1.00 5.00\n");
}

TEST_F(AggregateTest, DistinctValuesAreCountedOnce) {
  group({call(AggregateKind::kCountDistinct, {TypeId::kInt64}, 1)});
  EXPECT_EQ(change({"+ acme a new 1 true 0 1", "+ acme b new 1 true 0 2", "+ acme c new NULL true 0 3"}),
            "+ acme new 1\n");
  EXPECT_EQ(change({"- acme a new 1 true 0 1"}), "");
  EXPECT_EQ(change({"- acme b new 1 true 0 2"}), "+ acme new 0\n- acme new 1\n");
}

TEST_F(AggregateTest, BooleansSkipNulls) {
  group({call(AggregateKind::kBoolAnd, {TypeId::kBool}, 2), call(AggregateKind::kBoolOr, {TypeId::kBool}, 2)});
  EXPECT_EQ(change({"+ acme a new 1 NULL 0 1"}), "+ acme new NULL NULL\n");
  EXPECT_EQ(change({"+ acme b new 1 true 0 2"}), "+ acme new true true\n- acme new NULL NULL\n");
  EXPECT_EQ(change({"+ acme c new 1 false 0 3"}), "+ acme new false true\n- acme new true true\n");
}

TEST_F(AggregateTest, TheArgumentOfTheGreatestAndOfEqualOnesTheLeast) {
  group({call(AggregateKind::kArgMax, {TypeId::kInt64}, 4, 1)});
  EXPECT_EQ(change({"+ acme a new 5 true 0 9", "+ acme b new 5 true 0 2", "+ acme c new 1 true 0 1"}),
            "+ acme new 2\n");
  EXPECT_EQ(change({"- acme b new 5 true 0 2"}), "+ acme new 9\n- acme new 2\n");
}

TEST_F(AggregateTest, FilterCountsWhereItIsTrue) {
  group({call(AggregateKind::kCountRows, {TypeId::kInt64}, {}, {}, 2)});
  EXPECT_EQ(change({"+ acme a new 1 true 0 1", "+ acme b new 1 false 0 2", "+ acme c new 1 NULL 0 3"}),
            "+ acme new 1\n");
  EXPECT_EQ(change({"- acme a new 1 true 0 1", "+ acme a new 1 false 0 1"}), "+ acme new 0\n- acme new 1\n");
}

TEST_F(AggregateTest, SumsOfDoublesDoNotDependOnOrder) {
  group({call(AggregateKind::kSum, {TypeId::kFloat64}, 3)});
  change({"+ acme a new 1 true 1e300 1", "+ acme b new 1 true 0.1 2"});
  EXPECT_EQ(change({"- acme a new 1 true 1e300 1"}), "+ acme new 0.1\n- acme new 1e+300\n");
}

TEST_F(AggregateTest, WithoutGroupsThereIsOneRowAlways) {
  group({call(AggregateKind::kCountRows, {TypeId::kInt64})}, false);
  auto seeded = op->seed(state, ClientId{"acme"});
  ASSERT_TRUE(seeded.ok());
  EXPECT_EQ(shown(seeded->rows), "+ acme 0\n");
  EXPECT_EQ(change({"+ acme a new 1 true 0 1"}), "+ acme 1\n- acme 0\n");
  EXPECT_EQ(change({"- acme a new 1 true 0 1"}), "+ acme 0\n- acme 1\n");
  auto again = op->seed(state, ClientId{"acme"});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(shown(again->rows), "");
}

TEST_F(AggregateTest, ASumThatDoesNotFitFailsItsGroupAlone) {
  group({call(AggregateKind::kSum, {TypeId::kDecimal, 3, 2}, 1)});
  EXPECT_EQ(change({"+ acme a new 9.00 true 0 1", "+ acme b old 1.00 true 0 2"}), "+ acme new 9.00\n+ acme old 1.00\n");
  EXPECT_EQ(change({"+ acme c new 1.00 true 0 3"}),
            "- acme new 9.00\nfailed: the sum result does not fit into decimal(3,2)\n");
  EXPECT_EQ(change({"- acme c new 1.00 true 0 3"}), "+ acme new 9.00\n");
}

TEST_F(AggregateTest, AGroupThatFailedIsSettledWhenItGoes) {
  group({call(AggregateKind::kSum, {TypeId::kDecimal, 3, 2}, 1)});
  std::vector<std::string> rows{"+ acme a new 9.00 true 0 1", "+ acme c new 1.00 true 0 3"};
  EXPECT_EQ(change(rows), "failed: the sum result does not fit into decimal(3,2)\n");
  for (std::string& row : rows) row[0] = '-';
  EXPECT_EQ(settled(*op, state, rows_of(input, rows)).size(), 1U);
}

// Its letter says what is the matter with rows that are there.
TEST_F(AggregateTest, AGroupFailsForTheReasonOfARowThatIsStillThere) {
  group({call(AggregateKind::kSum, {TypeId::kDecimal, 10, 2}, 1)});
  auto reason = [](const std::string& of) {
    return "failed: result of '" + of + "', which its type decimal(12,2) cannot hold\n";
  };
  EXPECT_EQ(change({"+ acme a new ~NaN true 0 1"}), reason("NaN"));
  EXPECT_EQ(change({"+ acme b new ~Infinity true 0 2"}), reason("Infinity"));
  EXPECT_EQ(change({"- acme b new ~Infinity true 0 2"}), reason("NaN"));
  EXPECT_EQ(change({"+ acme b new ~Infinity true 0 2", "- acme a new ~NaN true 0 1"}), reason("Infinity"));
  EXPECT_EQ(change({"- acme b new ~Infinity true 0 2"}), "");
  EXPECT_TRUE(state.entries().empty());
}

TEST_F(AggregateTest, ARowThatIsShownAgainShowsItsGroupAgain) {
  group({call(AggregateKind::kSum, {TypeId::kDecimal, 3, 2}, 1)});
  change({"+ acme a new 9.00 true 0 1", "+ acme b old 1.00 true 0 2"});
  EXPECT_EQ(change({"= acme a new 9.00 true 0 1"}), "= acme new 9.00\n");
  EXPECT_EQ(change({"= acme b old 1.00 true 0 2", "+ acme c old 1.00 true 0 3"}), "+ acme old 2.00\n- acme old 1.00\n");
  change({"+ acme d new 9.00 true 0 4"});
  EXPECT_EQ(change({"= acme a new 9.00 true 0 1"}), "failed: the sum result does not fit into decimal(3,2)\n");
}

TEST_F(AggregateTest, AGroupWithoutRowsIsShownAgainByItsKey) {
  group({call(AggregateKind::kCountRows, {TypeId::kInt64})}, false);
  ASSERT_TRUE(op->seed(state, ClientId{"acme"}).ok());
  auto again = op->show_again(state, ClientId{"acme"}, {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(shown(again->rows), "= acme 0\n");
}

}  // namespace
}  // namespace tributary
