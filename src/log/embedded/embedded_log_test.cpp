#include "log/embedded/embedded_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "codec/block.h"
#include "log/embedded/log_for_test.h"
#include "log/embedded/log_keys.h"
#include "model/random_batch.h"

namespace tributary {
namespace {

using testing::HasSubstr;

TEST(EmbeddedLog, GivesBackWhatWasAppendedPerPartitionAndInOrder) {
  TemporaryDirectory directory;
  std::map<TopicPartition, EventBatch> expected;
  uint64_t rows = 0;
  uint64_t seed = 7;
  RandomBatch random(seed);
  SchemaPtr schema;
  {
    OpenLog log(directory.path());
    schema = *log->register_schema(acme, *random.schema("public.things", 0));
    for (int i = 0; i < 20; ++i) {
      EventBatch batch = random.batch(acme, "things", schema, random.below(200));
      rows += batch.rows();
      ASSERT_TRUE(append(*log.log, acme, {batch}).ok());
      auto subset = client_partitions({}, "acme", "things");
      for (auto& [partition, part] : split_by_partition(batch, subset)) {
        auto [at, is_new] = expected.try_emplace({"things", partition}, acme, "things", schema);
        for (size_t row = 0; row < part.rows(); ++row) at->second.append_row(part, row);
        at->second.ranges.insert(at->second.ranges.end(), part.ranges.begin(), part.ranges.end());
      }
    }
  }
  OpenLog log(directory.path());
  uint64_t rows_read = 0;
  ASSERT_EQ(log->ends().size(), expected.size());
  for (const auto& [at, want] : expected) {
    EventBatch got(acme, "things", schema);
    for (const EventBatch& block : read_all(*log.log, at, 2000)) {
      for (size_t row = 0; row < block.rows(); ++row) got.append_row(block, row);
      got.ranges.insert(got.ranges.end(), block.ranges.begin(), block.ranges.end());
    }
    if (got.before.empty() != want.before.empty()) continue;  // a before image of absent cells only; compared below
    EXPECT_TRUE(same_events(got, want)) << at.partition.value;
    rows_read += got.rows();
  }
  EXPECT_EQ(rows_read, rows);
}

TEST(EmbeddedLog, SourceStateChangesWithTheEvents) {
  TemporaryDirectory directory;
  {
    OpenLog log(directory.path());
    SchemaPtr schema = *log->register_schema(acme, orders_schema());
    ASSERT_TRUE(
        append(*log.log, acme, {orders(acme, schema, 1, 10)}, {{"stream", "10"}, {"snapshot/orders", "x"}}).ok());
    ASSERT_TRUE(append(*log.log, ClientId("acme2"), {}, {{"stream", "other"}}).ok());
    ASSERT_TRUE(append(*log.log, acme, {}, {{"stream", "20"}, {"snapshot/orders", ""}}).ok());
    EXPECT_EQ(*log->source_state(acme), (SourceState{{"stream", "20"}}));
  }
  OpenLog log(directory.path());
  EXPECT_EQ(*log->source_state(acme), (SourceState{{"stream", "20"}}));
  EXPECT_EQ(*log->source_state(ClientId("acme2")), (SourceState{{"stream", "other"}}));
  EXPECT_EQ(*log->source_state(ClientId("unseen")), SourceState{});
}

TEST(EmbeddedLog, SchemaVersionsRiseAndAreKept) {
  TemporaryDirectory directory;
  TableSchema first = orders_schema();
  TableSchema second = first;
  second.columns.push_back({"extra", {TypeId::kInt32}, "integer", false, false});
  {
    OpenLog log(directory.path());
    EXPECT_EQ((*log->register_schema(acme, first))->version, 1U);
    EXPECT_EQ((*log->register_schema(acme, first))->version, 1U);
    EXPECT_EQ((*log->register_schema(acme, second))->version, 2U);
    EXPECT_EQ((*log->register_schema(acme, first))->version, 3U) << "a version never comes back";
    EXPECT_EQ((*log->register_schema(ClientId("globex"), second))->version, 1U);
  }
  OpenLog log(directory.path());
  EXPECT_EQ((*log->register_schema(acme, first))->version, 3U);
  EXPECT_TRUE((*log->schema(acme, "public.orders", 2))->same_content(second));
  ASSERT_EQ(log->newest_schemas(acme)->size(), 1U);
  EXPECT_EQ(log->newest_schemas(acme)->at(0)->version, 3U);
  EXPECT_EQ(log->schema(acme, "public.orders", 4).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(log->schema(acme, "public.orders", 0).error().code, ErrorCode::kNotFound);
}

TEST(EmbeddedLog, LargeBatchesAreCut) {
  TemporaryDirectory directory;
  OpenLog log(directory.path(), {.partitioning = {1, 1}, .block_rows = 1000, .block_bytes = 100'000});
  SchemaPtr schema = *log->register_schema(acme, orders_schema());
  EventBatch many = orders(acme, schema, 0, 10'000, 1);
  EventBatch wide = orders(acme, schema, 10'000, 100, 3000);
  EventBatch skewed = orders(acme, schema, 10'100, 900, 1);
  skewed.append_row(orders(acme, schema, 11'000, 1, 500'000), 0);
  skewed.ranges.push_back({RangeKind::kTruncate, {1, 5, 5, 0}, "", "", 1, 2});
  ASSERT_TRUE(append(*log.log, acme, {many, wide, skewed}).ok());
  auto blocks = log->read({"orders", PartitionId(0)}, Offset(0), SIZE_MAX);
  ASSERT_TRUE(blocks.ok());
  uint64_t events = 0;
  uint64_t ranges = 0;
  for (const LogBlock& block : *blocks) {
    auto header = read_block_header(block.bytes);
    EXPECT_LE(header->rows, 1000U);
    if (header->rows > 1) {
      EXPECT_LE(header->body_bytes, 300'000U);
    }
    events += block.events;
    ranges += header->ranges;
  }
  EXPECT_EQ(events, 10'000U + 100 + 901 + 1);
  EXPECT_EQ(ranges, 1U);
  read_all(*log.log, {"orders", PartitionId(0)});
}

TEST(EmbeddedLog, ReadsFromWithinABlockAndInPieces) {
  TemporaryDirectory directory;
  OpenLog log(directory.path(), {.partitioning = {1, 1}});
  SchemaPtr schema = *log->register_schema(acme, orders_schema());
  TopicPartition at{"orders", PartitionId(0)};
  for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(append(*log.log, acme, {orders(acme, schema, i * 100, 100)}).ok());
  auto firsts = [&](uint64_t from, size_t bytes) {
    std::vector<uint64_t> out;
    auto blocks = log->read(at, Offset(from), bytes);
    EXPECT_TRUE(blocks.ok()) << blocks.error().to_string();
    for (const LogBlock& block : *blocks) out.push_back(block.first.value);
    return out;
  };
  EXPECT_EQ(firsts(0, 1), (std::vector<uint64_t>{0}));
  EXPECT_EQ(firsts(99, 1), (std::vector<uint64_t>{0}));
  EXPECT_EQ(firsts(100, 1), (std::vector<uint64_t>{100}));
  EXPECT_EQ(firsts(850, 1 << 20), (std::vector<uint64_t>{800, 900}));
  EXPECT_EQ(firsts(1000, 1 << 20), (std::vector<uint64_t>{}));
  EXPECT_EQ(firsts(5000, 1 << 20), (std::vector<uint64_t>{}));
  EXPECT_TRUE(log->read({"orders", PartitionId(7)}, Offset(0), 100)->empty());
  EXPECT_TRUE(log->read({"order", PartitionId(0)}, Offset(0), 100)->empty());
}

TEST(EmbeddedLog, TrimRemovesWholeBlocks) {
  TemporaryDirectory directory;
  TopicPartition at{"orders", PartitionId(0)};
  EmbeddedLogOptions options{.partitioning = {1, 1}};
  {
    OpenLog log(directory.path(), options);
    SchemaPtr schema = *log->register_schema(acme, orders_schema());
    for (uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(append(*log.log, acme, {orders(acme, schema, i * 100, 100)}).ok());
    uint64_t all = log->kept_bytes();
    ASSERT_TRUE(log->trim_before(at, Offset(350)).ok());
    EXPECT_EQ(log->first_offset(at)->value, 300U);
    EXPECT_LT(log->kept_bytes(), all);
    EXPECT_EQ(log->read(at, Offset(0), 1)->at(0).first.value, 300U);
    ASSERT_TRUE(log->trim_before(at, Offset(100)).ok());
    EXPECT_EQ(log->first_offset(at)->value, 300U);
  }
  OpenLog log(directory.path(), options);
  EXPECT_EQ(log->first_offset(at)->value, 300U);
  read_all(*log.log, at);
  ASSERT_TRUE(log->trim_before(at, Offset(99'999)).ok());
  EXPECT_EQ(log->first_offset(at)->value, 1000U);
  EXPECT_EQ(log->kept_bytes(), 0U);
  EXPECT_TRUE(log->read(at, Offset(0), 1)->empty());
  SchemaPtr schema = log->newest_schemas(acme)->at(0);
  ASSERT_TRUE(append(*log.log, acme, {orders(acme, schema, 2000, 10)}).ok());
  EXPECT_EQ(log->read(at, Offset(0), 1)->at(0).first.value, 1000U) << "offsets go on";
}

TEST(EmbeddedLog, RetentionKeepsWhatIsNotConsumed) {
  TemporaryDirectory directory;
  OpenLog log(directory.path());
  SchemaPtr schema = *log->register_schema(acme, orders_schema());
  for (uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(append(*log.log, acme, {orders(acme, schema, i * 100, 100, 50)}).ok());
  auto ends = log->ends();
  uint64_t all = log->kept_bytes();
  auto keep_all = [](const TopicPartition&) { return Offset(0); };
  auto keep_nothing = [&](const TopicPartition& at) { return ends.at(at); };
  int64_t now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  int64_t hour = 3'600'000'000;

  ASSERT_TRUE(log->enforce_retention({.age = std::chrono::seconds(60), .bytes = 1}, now + hour, keep_all).ok());
  EXPECT_EQ(log->kept_bytes(), all);
  ASSERT_TRUE(log->enforce_retention({.age = std::chrono::hours(2)}, now + hour, keep_nothing).ok());
  EXPECT_EQ(log->kept_bytes(), all);
  ASSERT_TRUE(log->enforce_retention({.bytes = all / 2}, now, keep_nothing).ok());
  EXPECT_LE(log->kept_bytes(), all / 2);
  EXPECT_GT(log->kept_bytes(), all / 3);
  // The oldest went, whatever the partition.
  for (const auto& [at, end] : ends) {
    EXPECT_GT(log->first_offset(at)->value, end.value / 3);
    EXPECT_LT(log->first_offset(at)->value, end.value * 2 / 3);
  }
  auto half = [&](const TopicPartition& at) { return Offset((log->first_offset(at)->value + ends.at(at).value) / 2); };
  std::map<TopicPartition, Offset> limits;
  for (const auto& [at, end] : ends) limits[at] = half(at);
  ASSERT_TRUE(log->enforce_retention({.age = std::chrono::seconds(60)}, now + hour,
                                     [&](const TopicPartition& at) { return limits.at(at); })
                  .ok());
  for (const auto& [at, end] : ends) {
    EXPECT_LE(log->first_offset(at)->value, limits.at(at).value);
    EXPECT_GT(log->first_offset(at)->value + 200, limits.at(at).value);
    read_all(*log.log, at);
  }
  ASSERT_TRUE(log->enforce_retention({.age = std::chrono::seconds(60)}, now + hour, keep_nothing).ok());
  EXPECT_EQ(log->kept_bytes(), 0U);
}

TEST(EmbeddedLog, TrimmedBlocksGiveTheirSpaceBack) {
  TemporaryDirectory directory;
  OpenLog log(directory.path());
  SchemaPtr schema = *log->register_schema(acme, orders_schema());
  RandomBatch random(1);
  auto append_some = [&] {
    EventBatch batch(acme, "orders", schema);
    for (int64_t i = 0; i < 100; ++i) {
      batch.append_row(orders(acme, schema, static_cast<uint64_t>(i), 1, 0), 0);
    }
    batch.columns[1].clear();
    for (int i = 0; i < 100; ++i) {
      std::string noise(40'000, '\0');  // does not compress
      for (char& c : noise) c = static_cast<char>(random.next());
      batch.columns[1].append_bytes(noise);
    }
    ASSERT_TRUE(append(*log.log, acme, {batch}).ok());
  };
  auto trim_all = [&] {
    for (const auto& [at, end] : log->ends()) ASSERT_TRUE(log->trim_before(at, end).ok());
  };
  // 160 MB in all, at most some 40 MB of it kept.
  uint64_t most = 0;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 10; ++i) append_some();
    most = std::max(most, log.storage->disk_bytes(Family::kLog));
    trim_all();
  }
  ASSERT_TRUE(log.storage->flush().ok());
  ASSERT_TRUE(log.storage->compact(Family::kLog, "", "").ok());
  EXPECT_LT(log.storage->disk_bytes(Family::kLog), 5'000'000U);
  EXPECT_LT(most, 130'000'000U) << "space comes back by itself, too";
}

TEST(EmbeddedLog, DamageIsNamedAndNeverSkipped) {
  TemporaryDirectory directory;
  OpenLog log(directory.path(), {.partitioning = {1, 1}});
  SchemaPtr schema = *log->register_schema(acme, orders_schema());
  TopicPartition at{"orders", PartitionId(0)};
  for (uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(append(*log.log, acme, {orders(acme, schema, i * 100, 100)}).ok());
  std::string key = log_block_key(at, Offset(200));
  std::string good = **log.storage->get(Family::kLog, key);
  std::string bad = good;
  bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 4);
  StorageBatch damage;
  damage.put(Family::kLog, key, bad);
  ASSERT_TRUE(log.storage->write(damage).ok());
  for (uint64_t from : {0, 250}) {
    auto blocks = log->read(at, Offset(from), 1 << 20);
    ASSERT_FALSE(blocks.ok());
    EXPECT_EQ(blocks.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(blocks.error().message, HasSubstr("topic orders, partition 0, offset 200"));
  }
  EXPECT_TRUE(log->read(at, Offset(300), 1 << 20).ok());

  StorageBatch loss;
  loss.remove(Family::kLog, key);
  ASSERT_TRUE(log.storage->write(loss).ok());
  for (uint64_t from : {0, 200, 250}) {
    auto blocks = log->read(at, Offset(from), 1 << 20);
    ASSERT_FALSE(blocks.ok()) << from;
    EXPECT_EQ(blocks.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(blocks.error().message, HasSubstr(fmt::format("offset {}", std::max<uint64_t>(from, 200))));
  }
  StorageBatch tail;
  tail.remove(Family::kLog, log_block_key(at, Offset(400)));
  ASSERT_TRUE(log.storage->write(tail).ok());
  EXPECT_EQ(log->read(at, Offset(450), 1).error().code, ErrorCode::kCorrupt);
}

TEST(EmbeddedLog, WaitersWakeOnAppend) {
  TemporaryDirectory directory;
  OpenLog log(directory.path());
  SchemaPtr schema = *log->register_schema(acme, orders_schema());
  uint64_t known = log->append_generation();
  std::thread appender([&] { ASSERT_TRUE(append(*log.log, acme, {orders(acme, schema, 1, 1)}).ok()); });
  log->wait_for_append(known, std::chrono::seconds(30));
  EXPECT_GT(log->append_generation(), known);
  appender.join();
  log->wait_for_append(log->append_generation(), std::chrono::milliseconds(1));  // returns after the limit
}

TEST(EmbeddedLog, AppendersAtOnceAllCommit) {
  TemporaryDirectory directory;
  OpenLog log(directory.path());
  std::vector<std::thread> threads;
  constexpr int appends = 50;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      ClientId client("client" + std::to_string(t));
      SchemaPtr schema = *log->register_schema(client, orders_schema());
      for (uint64_t i = 0; i < appends; ++i) {
        ASSERT_TRUE(
            append(*log.log, client, {orders(client, schema, i * 10, 10)}, {{"stream", std::to_string(i)}}).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::map<std::string, uint64_t> rows;
  for (const auto& [at, end] : log->ends()) {
    for (const EventBatch& batch : read_all(*log.log, at)) rows[batch.client.value] += batch.rows();
  }
  for (int t = 0; t < 6; ++t) {
    ClientId client("client" + std::to_string(t));
    EXPECT_EQ(rows[client.value], appends * 10U);
    EXPECT_EQ(log->source_state(client)->at("stream"), std::to_string(appends - 1));
  }
}

}  // namespace
}  // namespace tributary
