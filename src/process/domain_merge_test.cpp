// What is left of a domain's kept rows, once no operator keeps them any more.
#include "process/domain_merge.h"

#include <gtest/gtest.h>

#include "process/memory_state.h"

namespace tributary {
namespace {

const ClientId acme{"acme"};

SchemaPtr schema() {
  TableSchema schema;
  schema.table = "public.orders";
  schema.version = 1;
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false}};
  schema.key_columns = {0};
  return std::make_shared<const TableSchema>(schema);
}

EventBatch orders(std::initializer_list<int64_t> ids, uint64_t commit) {
  EventBatch batch(acme, "orders", schema());
  for (int64_t id : ids) {
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, commit, static_cast<uint64_t>(id), 0});
    batch.commit_micros.push_back(0);
    batch.transactions.push_back(0);
    batch.columns[0].append_fixed(id);
  }
  return batch;
}

MergeOutput merged(MemoryState& state, bool keep_rows, const EventBatch& batch, bool facts_again = false) {
  const Relation relation{"orders", {{"id", {TypeId::kInt64}, false}}, {"id"}};
  DomainMerge merge({.domain = "orders",
                     .state_name = {},
                     .keep_rows = keep_rows,
                     .facts_again = facts_again,
                     .sweep_rows_max = 1,
                     .used_columns = {}},
                    [](const ClientId&, const std::string&, uint32_t) -> Result<SchemaPtr> { return schema(); });
  merge.add(batch);
  merge.go_on(acme, "public.orders");
  auto done = merge.run(state, relation);
  CHECK(done.ok(), "{}", done.error().message);
  return std::move(done).value();
}

// A schema that promises whole rows is not believed: what is absent all the same is filled, or waits.
TEST(DomainMergeTest, AValueIsAbsentThatNoneShouldBe) {
  TableSchema made = *schema();
  made.columns.push_back({"body", {TypeId::kText}, "text", false, false});
  auto two = std::make_shared<const TableSchema>(made);
  auto batch = [&](Op op, int64_t id, uint64_t commit, const char* body) {
    EventBatch made_batch(acme, "orders", two);
    made_batch.ops.push_back(op);
    made_batch.positions.push_back({1, commit, 0, 0});
    made_batch.commit_micros.push_back(0);
    made_batch.transactions.push_back(0);
    made_batch.columns[0].append_fixed(id);
    if (body == nullptr) {
      made_batch.columns[1].append_absent();
    } else {
      made_batch.columns[1].append_bytes(body);
    }
    return made_batch;
  };
  MemoryState state;
  auto merge = [&](const EventBatch& events) {
    const Relation relation{"orders", {{"id", {TypeId::kInt64}, false}, {"body", {TypeId::kText}, true}}, {"id"}};
    DomainMerge merge({.domain = "orders",
                       .state_name = {},
                       .keep_rows = false,
                       .facts_again = false,
                       .sweep_rows_max = 1,
                       .used_columns = {}},
                      [&](const ClientId&, const std::string&, uint32_t) -> Result<SchemaPtr> { return two; });
    merge.add(events);
    return std::move(merge.run(state, relation)).value();
  };
  EXPECT_EQ(merge(batch(Op::kCreate, 1, 1, "long")).live.rows(), 1U);
  EXPECT_EQ(merge(batch(Op::kDelete, 7, 2, nullptr)).live.rows(), 0U);
  EXPECT_TRUE(state.entries().empty()) << "a delete has its key alone, and is no reason to keep rows";
  MergeOutput lacks = merge(batch(Op::kUpdate, 1, 3, nullptr));
  EXPECT_EQ(lacks.live.rows(), 0U);
  ASSERT_EQ(lacks.parked.size(), 1U);
  EXPECT_EQ(merge(batch(Op::kSnapshot, 1, 4, "long")).live.rows(), 1U);
  MergeOutput filled = merge(batch(Op::kUpdate, 1, 5, nullptr));
  EXPECT_TRUE(filled.parked.empty());
  EXPECT_EQ(filled.live.columns[1].bytes(0), "long");
}

// A row that is kept is given out again by the sweep; nobody comes by a row that is not.
TEST(DomainMergeTest, ARowThatIsNotKeptCountsUnderTheNewAttributesAtOnce) {
  for (bool keeps : {true, false}) {
    MemoryState state;
    merged(state, true, orders({1, 2, 3}, 1));
    ASSERT_TRUE(DomainMerge::sweep_attributes(state, "orders", acme, "old").ok());
    EventBatch late = orders({9}, 2);
    MergeOutput out = merged(state, keeps, late);
    EXPECT_TRUE(out.sweeping.at(acme)) << "three rows were kept, and one is looked at";
    const std::string* old = out.sweeps.at(acme).old_attributes_of(late.row_key(0));
    EXPECT_EQ(old != nullptr, keeps);
  }
}

TEST(DomainMergeTest, ASweepGivesRowsOutAgainAsTheyAre) {
  MemoryState state;
  merged(state, true, orders({1, 2}, 1));
  ASSERT_TRUE(DomainMerge::sweep_again(state, "orders", acme).ok());
  MergeOutput first = merged(state, true, orders({9}, 2));
  EXPECT_TRUE(first.again);
  EXPECT_EQ(first.all_again, std::set<ClientId>{acme}) << "it begins";
  EXPECT_EQ(first.live.rows(), 2U) << "one that is new, and one that is there";
  EXPECT_EQ(first.before.rows(), 1U);
  MergeOutput next = merged(state, true, orders({10}, 3));
  EXPECT_TRUE(next.again);
  EXPECT_TRUE(next.all_again.empty());
}

// They were merged before, and are wanted once more.
TEST(DomainMergeTest, FactsAreGivenOutAgainWhereThatIsWanted) {
  MemoryState state;
  EXPECT_EQ(merged(state, true, orders({1}, 1)).live.rows(), 1U);
  EXPECT_EQ(merged(state, true, orders({1}, 1)).live.rows(), 0U);
  EXPECT_EQ(merged(state, true, orders({1}, 1), true).live.rows(), 1U);
}

}  // namespace
}  // namespace tributary
