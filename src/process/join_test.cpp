#include "process/join.h"

#include <gtest/gtest.h>

#include "process/rows_for_test.h"

namespace tributary {
namespace {

const std::vector<OutputColumn> orders{{"id", {TypeId::kInt64}}, {"user", {TypeId::kInt64}}};
const std::vector<OutputColumn> users{{"id", {TypeId::kInt64}}, {"country", {TypeId::kText}}};

class JoinTest : public testing::Test {
 protected:
  void join(JoinKind kind, bool unique, JoinLimits limits = {}) {
    op = std::make_unique<JoinOperator>(
        JoinPlan{.kind = kind, .left_key = {1}, .right_key = {0}, .right_unique = unique}, orders, users, "sales#2",
        limits);
  }
  std::string change(const std::vector<std::string>& left, const std::vector<std::string>& right) {
    return run(*op, state, {rows_of(orders, left), rows_of(users, right)});
  }
  // All that is left is done, a row at a time.
  std::string finish() {
    Rows all;
    bool first = true;
    for (size_t calls = 0; calls < 100; ++calls) {
      auto keys = op->pending_keys(state, ClientId{"acme"}, 10);
      CHECK(keys.ok());
      if (keys->empty()) break;
      auto done = op->resume(state, *keys, 1);
      CHECK(done.ok());
      if (first) all = done->rows;
      if (!first) all.append_all(done->rows);
      first = false;
    }
    consolidate(all);
    return shown(all);
  }

  MemoryState state;
  std::unique_ptr<JoinOperator> op;
};

TEST_F(JoinTest, InnerMeetsWhicheverSideComesFirst) {
  join(JoinKind::kInner, true);
  EXPECT_EQ(change({"+ acme a 1 7"}, {}), "");
  EXPECT_EQ(change({}, {"+ acme u 7 de"}), "+ acme 1 7 7 de\n");
  EXPECT_EQ(change({"+ acme b 2 7"}, {}), "+ acme 2 7 7 de\n");
  EXPECT_EQ(change({}, {"- acme u 7 de", "+ acme u 7 fr"}),
            "+ acme 1 7 7 fr\n+ acme 2 7 7 fr\n- acme 1 7 7 de\n- acme 2 7 7 de\n");
  EXPECT_EQ(change({"- acme a 1 7"}, {"- acme u 7 fr"}), "- acme 1 7 7 fr\n- acme 2 7 7 fr\n");
}

TEST_F(JoinTest, BothSidesAtOnceMakeOnePair) {
  join(JoinKind::kInner, false);
  EXPECT_EQ(change({"+ acme a 1 7"}, {"+ acme u 7 de"}), "+ acme 1 7 7 de\n");
}

TEST_F(JoinTest, ALeftRowAloneHasNullsUntilAMatchComes) {
  join(JoinKind::kLeft, true);
  EXPECT_EQ(change({"+ acme a 1 7"}, {}), "+ acme 1 7 NULL NULL\n");
  EXPECT_EQ(change({}, {"+ acme u 7 de"}), "+ acme 1 7 7 de\n- acme 1 7 NULL NULL\n");
  EXPECT_EQ(change({}, {"- acme u 7 de"}), "+ acme 1 7 NULL NULL\n- acme 1 7 7 de\n");
}

TEST_F(JoinTest, NullEqualsNothing) {
  join(JoinKind::kLeft, false);
  EXPECT_EQ(change({"+ acme a 1 NULL"}, {"+ acme u NULL de"}), "+ acme 1 NULL NULL NULL\n");
  join(JoinKind::kInner, false);
  EXPECT_EQ(change({"+ acme b 2 NULL"}, {}), "");
}

// What is unique in a view may come from another row of it: under which key, and whether it comes before the one that goes,
// says nothing.
TEST_F(JoinTest, AnotherRowTakesTheUniqueOnesPlace) {
  for (JoinLimits limits : {JoinLimits{}, JoinLimits{.fan_out_rows_max = 1, .pass_changes_max = 1}}) {
    for (const char* key : {"a", "z"}) {
      state = {};
      join(JoinKind::kLeft, true, limits);
      change({"+ acme a 1 7", "+ acme b 2 7"}, {});
      change({}, {"+ acme u 7 de"});
      finish();
      std::string moved = change({}, {std::string("+ acme ") + key + " 7 fr", "- acme u 7 de"});
      moved += finish();
      EXPECT_EQ(moved, "+ acme 1 7 7 fr\n+ acme 2 7 7 fr\n- acme 1 7 7 de\n- acme 2 7 7 de\n");
      std::string gone = change({}, {std::string("- acme ") + key + " 7 fr"});
      gone += finish();
      EXPECT_EQ(gone, "+ acme 1 7 NULL NULL\n+ acme 2 7 NULL NULL\n- acme 1 7 7 fr\n- acme 2 7 7 fr\n");
      change({"- acme a 1 7", "- acme b 2 7"}, {});
      EXPECT_TRUE(state.entries().empty()) << "nothing is left of a join without rows";
    }
  }
}

TEST_F(JoinTest, ClientsNeverMeet) {
  join(JoinKind::kInner, false);
  EXPECT_EQ(change({"+ acme a 1 7"}, {"+ globex u 7 de"}), "");
  EXPECT_EQ(change({"+ globex a 2 7"}, {}), "+ globex 2 7 7 de\n");
}

TEST_F(JoinTest, ALeftRowMovesToAnotherKey) {
  join(JoinKind::kLeft, true);
  change({"+ acme a 1 7"}, {"+ acme u 7 de", "+ acme v 8 jp"});
  EXPECT_EQ(change({"- acme a 1 7", "+ acme a 1 8"}, {}), "+ acme 1 8 8 jp\n- acme 1 7 7 de\n");
}

// A user with more orders than can be met at once: the change goes through them piece by piece, and what comes meanwhile is right.
TEST_F(JoinTest, AChangePassesThroughManyRows) {
  join(JoinKind::kLeft, true, {.fan_out_rows_max = 2, .pass_changes_max = 1});
  change({"+ acme a 1 7", "+ acme b 2 7", "+ acme c 3 7"}, {"+ acme u 7 de"});
  finish();
  EXPECT_EQ(change({}, {"- acme u 7 de", "+ acme u 7 fr"}), "");
  EXPECT_EQ(change({"+ acme d 4 7"}, {}), "+ acme 4 7 7 de\n");  // behind the cursor: as it was, then passed
  EXPECT_EQ(finish(),
            "+ acme 1 7 7 fr\n+ acme 2 7 7 fr\n+ acme 3 7 7 fr\n+ acme 4 7 7 fr\n"
            "- acme 1 7 7 de\n- acme 2 7 7 de\n- acme 3 7 7 de\n- acme 4 7 7 de\n");
}

TEST_F(JoinTest, ChangesWaitBehindOneThatPasses) {
  join(JoinKind::kInner, true, {.fan_out_rows_max = 1, .pass_changes_max = 1});
  change({"+ acme a 1 7", "+ acme b 2 7"}, {});
  EXPECT_EQ(change({}, {"+ acme u 7 de"}), "");
  EXPECT_EQ(change({}, {"- acme u 7 de", "+ acme u 7 fr"}), "");
  EXPECT_EQ(change({}, {"- acme u 7 fr"}), "");
  EXPECT_EQ(finish(), "");
  EXPECT_EQ(change({"- acme a 1 7", "- acme b 2 7"}, {}), "");
  EXPECT_TRUE(state.entries().empty()) << "nothing is left of a join without rows";
}

// One call goes on with every key that has something under way, however much the first one has.
TEST_F(JoinTest, NoKeyWaitsBehindAnotherOne) {
  join(JoinKind::kInner, true, {.fan_out_rows_max = 1, .pass_changes_max = 1});
  std::vector<std::string> many;
  for (int i = 0; i < 40; ++i) many.push_back("+ acme " + std::to_string(100 + i) + " " + std::to_string(i) + " 7");
  change(many, {});
  change({"+ globex a 1 7", "+ globex b 2 7"}, {});
  change({}, {"+ acme u 7 de", "+ globex u 7 fr"});
  std::vector<Operator::PendingKey> keys;
  for (const char* client : {"acme", "globex"}) {
    auto of_client = op->pending_keys(state, ClientId{client}, 10);
    ASSERT_TRUE(of_client.ok());
    keys.insert(keys.end(), of_client->begin(), of_client->end());
  }
  auto done = op->resume(state, keys, 20);
  ASSERT_TRUE(done.ok());
  EXPECT_NE(shown(done->rows).find("+ globex 1 7 7 fr"), std::string::npos) << shown(done->rows);
  EXPECT_EQ(done->pending, std::set<ClientId>{ClientId{"acme"}});
}

TEST_F(JoinTest, ARowThatIsShownAgainShowsItsPairsAgain) {
  join(JoinKind::kLeft, true);
  change({"+ acme a 1 7", "+ acme b 2 7", "+ acme c 3 8"}, {"+ acme u 7 de"});
  EXPECT_EQ(change({"= acme a 1 7", "= acme c 3 8"}, {}), "= acme 1 7 7 de\n= acme 3 8 NULL NULL\n");
  EXPECT_EQ(change({}, {"= acme u 7 de"}), "= acme 1 7 7 de\n= acme 2 7 7 de\n");
  EXPECT_EQ(change({"= acme a 1 7"}, {"- acme u 7 de", "+ acme u 7 fr"}),
            "+ acme 1 7 7 fr\n+ acme 2 7 7 fr\n- acme 1 7 7 de\n- acme 2 7 7 de\n");
  EXPECT_EQ(change({"= acme c 3 8"}, {"+ acme v 8 jp"}), "+ acme 3 8 8 jp\n- acme 3 8 NULL NULL\n");
}

TEST_F(JoinTest, WhatIsShownAgainPassesThroughManyRows) {
  join(JoinKind::kInner, true, {.fan_out_rows_max = 1, .pass_changes_max = 1});
  change({"+ acme a 1 7", "+ acme b 2 7"}, {"+ acme u 7 de"});
  finish();
  EXPECT_EQ(change({}, {"= acme u 7 de"}), "");
  EXPECT_EQ(change({}, {"= acme u 7 de"}), "");  // waits behind it
  EXPECT_EQ(finish(), "= acme 1 7 7 de\n= acme 2 7 7 de\n");
}

TEST_F(JoinTest, WhatIsShownAgainWaitsBehindAChange) {
  join(JoinKind::kInner, false, {.fan_out_rows_max = 1, .pass_changes_max = 1});
  change({"+ acme a 1 7", "+ acme b 2 7"}, {"+ acme u 7 de"});
  finish();
  EXPECT_EQ(change({}, {"+ acme v 7 fr"}), "");
  EXPECT_EQ(change({}, {"= acme u 7 de"}), "");
  EXPECT_EQ(finish(), "+ acme 1 7 7 fr\n+ acme 2 7 7 fr\n= acme 1 7 7 de\n= acme 2 7 7 de\n");
}

}  // namespace
}  // namespace tributary
