#include "runtime/following_raw.h"

#include <gtest/gtest.h>

#include "model/random_batch.h"
#include "runtime/stored_facts.h"
#include "storage/temporary_directory.h"

namespace tributary {
namespace {

const ClientId acme("acme");
const TopicPartition partition{"orders", PartitionId{0}};

// A log of one partition in memory: blocks of the events that a test appends, trimmed by it.
class OnePartition final : public EventLog {
 public:
  void add(EventBatch batch) {
    auto events = static_cast<uint32_t>(batch.rows() + batch.ranges.size());
    blocks.push_back(
        {partition, end, Offset(end.value + events), events, {}, std::make_shared<const EventBatch>(std::move(batch))});
    end = blocks.back().next;
  }

  std::map<TopicPartition, Offset> ends() override { return {{partition, end}}; }
  Result<Offset> first_offset(const TopicPartition&) override { return first; }
  Result<std::vector<LogBlock>> read(Offset from) {
    for (const LogBlock& block : blocks) {
      if (block.next > from && block.first >= first) return std::vector<LogBlock>{block};
    }
    return std::vector<LogBlock>{};
  }
  Result<std::shared_ptr<const EventBatch>> events_of(const LogBlock& block) override { return block.decoded; }
  std::unique_ptr<LogReader> open_reader() override { return std::make_unique<Reader>(this); }

  Status append(std::span<const LogAppend>) override { return {}; }
  Result<std::vector<ClientId>> known_clients() override { return std::vector<ClientId>{}; }
  Result<SourceState> source_state(const ClientId&) override { return SourceState{}; }
  Result<SchemaPtr> register_schema(const ClientId&, const TableSchema&) override { return SchemaPtr(); }
  Result<SchemaPtr> schema(const ClientId&, const std::string&, uint32_t) override { return SchemaPtr(); }
  Result<std::vector<SchemaPtr>> newest_schemas(const ClientId&) override { return std::vector<SchemaPtr>{}; }
  uint64_t append_generation() override { return blocks.size(); }
  void wait_for_append(uint64_t, std::chrono::milliseconds) override {}
  Status trim_before(const TopicPartition&, Offset offset) override {
    first = offset;
    return {};
  }

  std::vector<LogBlock> blocks;
  Offset first{0};
  Offset end{0};

 private:
  class Reader final : public LogReader {
   public:
    explicit Reader(OnePartition* log) : log_(log) {}
    Result<std::vector<LogBlock>> read(const TopicPartition&, Offset from, size_t) override { return log_->read(from); }

   private:
    OnePartition* log_;
  };
};

// Counts events; away when told to be.
class CountingRaw final : public RawStore {
 public:
  Status write(std::span<const LogBlock> blocks) override {
    if (away) return Error{ErrorCode::kUnavailable, "away"};
    for (const LogBlock& block : blocks) {
      largest = std::max(largest, block.decoded->rows());
      events += block.decoded->rows() + block.decoded->ranges.size();
    }
    return {};
  }
  Status read(const RawQuery&, const std::function<bool(const EventBatch&)>&) override {
    seen_by_read = events;
    return {};
  }
  Result<uint64_t> count(const ClientId&, const std::string&) override { return events; }
  Result<RawPiece> scan(const ClientId&, const std::string&, const std::string&, size_t) override { return RawPiece{}; }

  bool away = false;
  uint64_t events = 0;
  uint64_t seen_by_read = 0;
  size_t largest = 0;
};

class FollowingRawTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
    open();
  }
  void open() {
    FollowLimits limits{.write_events_max = 7, .catch_up_limit = std::chrono::milliseconds(200)};
    raw = std::make_unique<FollowingRaw>(*storage, log, store, limits);
    ASSERT_TRUE(raw->open().ok());
  }
  void add(size_t rows) {
    EventBatch batch = random.batch(acme, "orders", schema, rows);
    batch.ranges.clear();
    log.add(std::move(batch));
  }
  void process() {
    StorageBatch write;
    put_offset(write, processed_offsets, partition, log.end);
    ASSERT_TRUE(storage->write(write).ok());
  }
  void send_all() {
    while (true) {
      Result<bool> sent = raw->send();
      ASSERT_TRUE(sent.ok()) << sent.error().to_string();
      if (!*sent) return;
    }
  }

  TemporaryDirectory directory;
  RandomBatch random{1};
  SchemaPtr schema = random.schema("public.orders");
  OnePartition log;
  CountingRaw store;
  std::unique_ptr<Storage> storage;
  std::unique_ptr<FollowingRaw> raw;
};

TEST_F(FollowingRawTest, EverythingGoesThereInBoundedWritesAndOnceIfNothingFails) {
  for (size_t rows : {1U, 5U, 30U, 2U}) add(rows);
  EXPECT_EQ(raw->waiting_events(), 38U);
  send_all();
  EXPECT_EQ(store.events, 38U);
  EXPECT_LE(store.largest, 7U);
  EXPECT_TRUE(raw->has(log.ends()));
  open();
  EXPECT_TRUE(raw->has(log.ends())) << "also after a restart";
  send_all();
  EXPECT_EQ(store.events, 38U);
}

TEST_F(FollowingRawTest, NothingIsAcknowledgedThatTheStoreHasNot) {
  add(5);
  store.away = true;
  EXPECT_EQ(raw->send().error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(raw->has(log.ends()));
  EXPECT_TRUE(raw->acknowledged().empty());
  store.away = false;
  send_all();
  EXPECT_EQ(store.events, 5U);
}

TEST_F(FollowingRawTest, AReadSeesAllThatWasProcessedBefore) {
  add(5);
  process();
  ASSERT_TRUE(raw->read({.client = acme}, [](const EventBatch&) { return true; }).ok());
  EXPECT_EQ(store.seen_by_read, 5U);
  add(6);
  process();
  store.away = true;
  EXPECT_EQ(raw->read({.client = acme}, [](const EventBatch&) { return true; }).error().code, ErrorCode::kUnavailable);
}

TEST_F(FollowingRawTest, WhatALogRemovedBeforeIsToldForGood) {
  add(5);
  send_all();
  add(6);
  add(7);
  ASSERT_TRUE(log.trim_before(partition, Offset(11)).ok());
  send_all();
  EXPECT_EQ(store.events, 12U);
  open();
  ASSERT_EQ(raw->gaps().size(), 1U);
  EXPECT_NE(raw->gaps()[0].find("offsets 5 to 11"), std::string::npos) << raw->gaps()[0];
}

TEST_F(FollowingRawTest, WhereAllIsRemovedNothingIsWaitedFor) {
  add(5);
  send_all();
  add(6);
  ASSERT_TRUE(log.trim_before(partition, log.end).ok());
  send_all();
  EXPECT_TRUE(raw->has(log.ends()));
  EXPECT_EQ(raw->gaps().size(), 1U);
}

TEST_F(FollowingRawTest, ToldToStopItStops) {
  add(50);
  raw->stop();
  EXPECT_EQ(raw->send().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(store.events, 0U);
}

}  // namespace
}  // namespace tributary
