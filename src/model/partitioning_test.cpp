#include "model/partitioning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/gather.h"
#include "model/random_batch.h"
#include "model/row_key.h"

namespace tributary {
namespace {

std::vector<uint32_t> numbers(const std::vector<PartitionId>& partitions) {
  std::vector<uint32_t> out;
  for (PartitionId partition : partitions) out.push_back(partition.value);
  return out;
}

// The worked example of docs/formats/partitioning.md: other programs rely on these numbers.
TEST(Partitioning, WorkedExample) {
  std::vector<PartitionId> acme = client_partitions({16, 4}, "acme", "orders");
  EXPECT_EQ(numbers(acme), (std::vector<uint32_t>{2, 4, 8, 11}));
  EXPECT_EQ(numbers(client_partitions({16, 4}, "globex", "orders")), (std::vector<uint32_t>{2, 5, 12, 15}));
  std::string key("\x02\x80\0\0\0\0\0\0\x07", 9);  // the row key of id = 7
  EXPECT_EQ(partition_hash("acme", key), 0xAEDB34BF916AA9CCU);
  EXPECT_EQ(partition_of(acme, "acme", key).value, 2U);
}

TEST(Partitioning, SubsetsAreSpreadAndStable) {
  std::map<uint32_t, int> clients_of_partition;
  std::set<std::vector<uint32_t>> subsets;
  for (int i = 0; i < 400; ++i) {
    std::vector<PartitionId> subset = client_partitions({16, 4}, "client" + std::to_string(i), "orders");
    ASSERT_EQ(subset.size(), 4U);
    EXPECT_TRUE(std::is_sorted(subset.begin(), subset.end()));
    for (PartitionId partition : subset) ++clients_of_partition[partition.value];
    subsets.insert(numbers(subset));
  }
  ASSERT_EQ(clients_of_partition.size(), 16U);
  for (auto [partition, clients] : clients_of_partition) {
    EXPECT_GT(clients, 60) << partition;  // 100 expected
    EXPECT_LT(clients, 140) << partition;
  }
  EXPECT_GT(subsets.size(), 300U);  // of 1,820 possible ones
}

// More partitions move a client at most to the new ones.
TEST(Partitioning, GrowingMovesLittle) {
  for (int i = 0; i < 100; ++i) {
    std::string client = "client" + std::to_string(i);
    std::vector<uint32_t> before = numbers(client_partitions({16, 4}, client, "orders"));
    for (uint32_t partition : numbers(client_partitions({17, 4}, client, "orders"))) {
      EXPECT_TRUE(partition == 16 || std::count(before.begin(), before.end(), partition) == 1);
    }
  }
}

TEST(Partitioning, SplitKeepsEveryRowInOrder) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("t");
    EventBatch batch = random.batch(ClientId("acme"), "t", schema, random.below(300));
    std::vector<PartitionId> subset = client_partitions({16, 1 + static_cast<uint32_t>(random.below(6))}, "acme", "t");
    std::map<uint32_t, EventBatch> expected;  // row by row
    for (size_t row = 0; row < batch.rows(); ++row) {
      PartitionId partition = partition_of(subset, "acme", batch.row_key(row));
      auto [at, is_new] = expected.try_emplace(partition.value, batch.client, batch.domain, schema);
      at->second.append_row(batch, row);
    }
    if (!batch.ranges.empty()) {
      for (PartitionId partition : subset) {
        auto [at, is_new] = expected.try_emplace(partition.value, batch.client, batch.domain, schema);
        at->second.ranges = batch.ranges;
        if (at->second.before.empty() && !batch.before.empty()) {
          for (const ColumnSchema& column : schema->columns) at->second.before.emplace_back(column.type);
        }
      }
    }
    auto parts = split_by_partition(batch, subset);
    ASSERT_EQ(parts.size(), expected.size()) << "seed=" << seed;
    for (const auto& [partition, part] : parts) {
      ASSERT_TRUE(part.validate().ok()) << "seed=" << seed;
      EXPECT_TRUE(same_events(part, expected.at(partition.value))) << "seed=" << seed;
    }
  }
}

TEST(Partitioning, OnePartitionMovesTheBatch) {
  RandomBatch random(5);
  EventBatch batch = random.batch(ClientId("acme"), "t", random.schema("t"), 100);
  const Op* ops = batch.ops.data();
  auto parts = split_by_partition(std::move(batch), std::vector{PartitionId(3)});
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].second.ops.data(), ops);
}

TEST(Gather, SliceTakesARun) {
  RandomBatch random(9);
  EventBatch batch = random.batch(ClientId("acme"), "t", random.schema("t"), 50);
  EventBatch expected(batch.client, batch.domain, batch.schema);
  for (size_t row = 10; row < 20; ++row) expected.append_row(batch, row);
  EXPECT_TRUE(same_events(slice(batch, 10, 20), expected));
}

}  // namespace
}  // namespace tributary
