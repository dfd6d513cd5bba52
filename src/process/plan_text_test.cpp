// Which changes of a view's plan leave its rows right, and which make a new build.
#include "process/plan_text.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

Relation users() {
  return {.name = "users",
          .columns = {{"id", {TypeId::kInt64}, false}, {"email", {TypeId::kText}}, {"age", {TypeId::kInt32}}},
          .key = {"id"}};
}

// SELECT columns FROM users WHERE filter: a column by its name, an expression by its text.
ViewPlan plan(const Relation& relation, const std::vector<std::pair<std::string, std::string>>& columns,
              const std::string& filter = "") {
  PlanNode domain{.kind = NodeKind::kDomain};
  domain.relation = relation.name;
  PlanNode map{.kind = NodeKind::kMap, .inputs = {0}};
  for (const OutputColumn& column : relation.columns) {
    domain.columns.push_back(column);
    map.map.inputs.push_back({column.name, column.type});
  }
  for (const auto& [name, from] : columns) {
    MapOutput output{{name, {TypeId::kText}}, std::nullopt, std::nullopt};
    for (uint32_t i = 0; i < relation.columns.size(); ++i) {
      if (relation.columns[i].name == from) {
        output.input = i;
        output.column.type = relation.columns[i].type;
      }
    }
    if (!output.input) {
      output.expression = static_cast<uint32_t>(map.map.expressions.size());
      map.map.expressions.push_back(from);
    }
    map.columns.push_back(output.column);
    map.map.outputs.push_back(std::move(output));
  }
  if (!filter.empty()) {
    map.map.filter = static_cast<uint32_t>(map.map.expressions.size());
    map.map.expressions.push_back(filter);
  }
  return {.name = "customers", .nodes = {domain, map}, .key = {"id"}, .order_by = {"id"}};
}

PlanFingerprint fingerprint(const Relation& relation, const ViewPlan& view) {
  return fingerprint_of(view, {}, {{relation.name, relation}});
}

class PlanTextTest : public testing::Test {
 protected:
  bool stays(const PlanFingerprint& now) const { return rows_stay_right(old, now); }

  PlanFingerprint old =
      fingerprint(users(), plan(users(), {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}}, "age > 3"));
};

TEST_F(PlanTextTest, TheSamePlanStays) {
  EXPECT_TRUE(
      stays(fingerprint(users(), plan(users(), {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}}, "age > 3"))));
}

TEST_F(PlanTextTest, AnotherFilterExpressionOrPlaceDoesNot) {
  EXPECT_FALSE(stays(fingerprint(users(), plan(users(), {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}}))));
  EXPECT_FALSE(
      stays(fingerprint(users(), plan(users(), {{"id", "id"}, {"mail", "upper(email)"}, {"age", "age"}}, "age > 3"))));
  ViewPlan sorted = plan(users(), {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}}, "age > 3");
  sorted.order_by = {"age"};
  EXPECT_FALSE(stays(fingerprint(users(), sorted)));
}

TEST_F(PlanTextTest, AColumnThatWasInTheSourceBeforeNeedsItsOldValues) {
  EXPECT_FALSE(stays(fingerprint(
      users(),
      plan(users(), {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}, {"email", "email"}}, "age > 3"))));
}

TEST_F(PlanTextTest, AColumnThatTheSourceGotIsNullInOldRows) {
  Relation grown = users();
  grown.columns.push_back({"phone", {TypeId::kText}});
  ViewPlan view = plan(grown, {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}, {"phone", "phone"}}, "age > 3");
  EXPECT_TRUE(stays(fingerprint(grown, view)));
  view.nodes[1].map.outputs.back() = {{"phone", {TypeId::kText}}, std::nullopt, 0};  // computed: not NULL, perhaps
  EXPECT_FALSE(stays(fingerprint(grown, view)));
}

TEST_F(PlanTextTest, ANumberMayGrowWhereItStands) {
  Relation wider = users();
  wider.columns[2].type = {TypeId::kInt64};
  EXPECT_TRUE(
      stays(fingerprint(wider, plan(wider, {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}}, "age > 3"))));
  Relation text = users();
  text.columns[2].type = {TypeId::kText};
  EXPECT_FALSE(
      stays(fingerprint(text, plan(text, {{"id", "id"}, {"mail", "lower(email)"}, {"age", "age"}}, "age > 3"))));
}

TEST_F(PlanTextTest, AViewGoesWithWhatItReads) {
  ViewPlan view{.name = "countries"};
  PlanNode read{.kind = NodeKind::kView};
  read.relation = "customers";
  view.nodes = {read};
  auto over = [&](const PlanFingerprint& below) { return fingerprint_of(view, {{"customers", below}}, {}).exact; };
  EXPECT_EQ(over(old), over(old));
  EXPECT_NE(over(old), over(fingerprint(users(), plan(users(), {{"id", "id"}}))));
}

TEST_F(PlanTextTest, ItIsReadBackAsItWasStored) {
  auto read = PlanFingerprint::decode(old.encode());
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(rows_stay_right(*read, old));
  EXPECT_EQ(read->encode(), old.encode());
  EXPECT_FALSE(PlanFingerprint::decode(old.encode().substr(0, 20)).ok());
}

}  // namespace
}  // namespace tributary
