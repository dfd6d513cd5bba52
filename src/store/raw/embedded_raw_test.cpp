#include "store/raw/embedded_raw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "storage/temporary_directory.h"
#include "store/raw/raw_for_test.h"
#include "store/raw/raw_index.h"

namespace tributary {
namespace {

struct OpenRaw {
  std::unique_ptr<Storage> storage;
  std::vector<SchemaPtr> schemas;
  std::unique_ptr<EmbeddedRaw> raw;
  mutable int lookups = 0;

  explicit OpenRaw(const std::filesystem::path& path, std::vector<SchemaPtr> known) : schemas(std::move(known)) {
    auto opened = Storage::open(path, {});
    CHECK(opened.ok(), "{}", opened.error().to_string());
    storage = std::move(*opened);
    raw = std::make_unique<EmbeddedRaw>(*storage, [this](const ClientId&, const std::string& table, uint32_t version) {
      ++lookups;
      for (const SchemaPtr& schema : schemas) {
        if (schema->table == table && schema->version == version) return Result<SchemaPtr>(schema);
      }
      return Result<SchemaPtr>(Error{ErrorCode::kNotFound, "no such schema"});
    });
  }
  EmbeddedRaw* operator->() const { return raw.get(); }

  size_t blocks() const {
    size_t count = 0;
    for (StorageIterator it = storage->iterate(Family::kRawIndex, ""); it.valid(); it.next()) ++count;
    return count;
  }
};

// One chunk of a snapshot: consecutive keys, all at one position.
EventBatch chunk(const SchemaPtr& schema, int64_t first_id, size_t rows, Position position) {
  EventBatch batch(acme, "things", schema);
  for (size_t row = 0; row < rows; ++row) {
    batch.ops.push_back(Op::kSnapshot);
    batch.positions.push_back(position);
    batch.commit_micros.push_back(5);
    batch.transactions.push_back(1);
    batch.columns[0].append_fixed<int64_t>(first_id + static_cast<int64_t>(row));
    for (size_t i = 1; i < batch.columns.size(); ++i) batch.columns[i].append_null();
  }
  return batch;
}

TEST(EmbeddedRaw, WhatIsNewIsWrittenAsItCame) {
  TemporaryDirectory directory;
  RandomBatch random(3);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  std::vector<LogBlock> blocks;
  for (uint64_t i = 0; i < 10; ++i) blocks.push_back(block_of(stream(schema, i * 100, 100, random)));
  ASSERT_TRUE(raw->write(blocks).ok());
  EXPECT_EQ(raw.lookups, 10) << "only the new blocks were decoded";
  size_t at = 0;
  for (StorageIterator it = raw.storage->iterate(Family::kRaw, ""); it.valid(); it.next(), ++at) {
    EXPECT_EQ(it.value(), blocks.at(at).bytes);
  }
  EXPECT_EQ(at, 10U);
}

// Chunks share their position with each other and with the stream, and must not read each other.
TEST(EmbeddedRaw, SnapshotChunksDoNotReadEachOther) {
  TemporaryDirectory directory;
  RandomBatch random(4);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  ASSERT_TRUE(raw->write(std::array{block_of(stream(schema, 100, 100, random))}).ok());
  Position position{1, 150, 150, 0};
  std::vector<LogBlock> blocks;
  for (int64_t i = 0; i < 20; ++i) blocks.push_back(block_of(chunk(schema, i * 1000, 1000, position)));
  raw.lookups = 0;
  for (const LogBlock& block : blocks) ASSERT_TRUE(raw->write({&block, 1}).ok());
  EXPECT_EQ(raw.lookups, 20);
  // The same again changes nothing.
  ASSERT_TRUE(raw->write(blocks).ok());
  EXPECT_EQ(raw.blocks(), 21U);
  EXPECT_EQ(describe_all(*raw.raw, {.client = acme}).size(), 20'100U);
  // Chunks cut elsewhere neither.
  ASSERT_TRUE(raw->write(std::array{block_of(chunk(schema, 500, 1000, position))}).ok());
  EXPECT_EQ(raw.blocks(), 21U);
  ASSERT_TRUE(raw->write(std::array{block_of(chunk(schema, 19'900, 200, position))}).ok());
  EXPECT_EQ(describe_all(*raw.raw, {.client = acme}).size(), 20'200U);
}

TEST(EmbeddedRaw, FailedWriteIsTriedAgain) {
  TemporaryDirectory directory;
  RandomBatch random(5);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  std::vector<LogBlock> blocks{block_of(stream(schema, 1, 50, random)), block_of(stream(schema, 51, 50, random))};
  StorageBatch dropped;
  ASSERT_TRUE(raw->add_to(dropped, blocks).ok());
  EXPECT_TRUE(describe_all(*raw.raw, {.client = acme}).empty());
  StorageBatch batch;
  ASSERT_TRUE(raw->add_to(batch, blocks).ok());
  ASSERT_TRUE(raw.storage->write(batch).ok());
  EXPECT_EQ(describe_all(*raw.raw, {.client = acme}).size(), 100U);
}

TEST(EmbeddedRaw, KeyQueriesSkipBlocks) {
  TemporaryDirectory directory;
  RandomBatch random(7);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  // Every block spans all keys, with even ids only: bounds do not help, the bloom filter does.
  for (uint64_t i = 0; i < 50; ++i) {
    EventBatch batch = chunk(schema, 0, 1000, {1, i, i, 0});
    for (size_t row = 0; row < 1000; ++row) {
      auto id = static_cast<int64_t>((random.below(1'000'000)) * 2);
      if (row == 500) id = 12'345 + 2 * static_cast<int64_t>(i);  // odd
      std::memcpy(const_cast<char*>(batch.columns[0].fixed_data().data()) + row * 8, &id, 8);
    }
    ASSERT_TRUE(raw->write(std::array{block_of(batch)}).ok());
  }
  EventBatch wanted = chunk(schema, 12'345 + 2 * 30, 1, {});
  raw.lookups = 0;
  RawQuery query{.client = acme, .keys = {wanted.row_key(0)}};
  EXPECT_EQ(describe_all(*raw.raw, query).size(), 1U);
  EXPECT_LE(raw.lookups, 4) << "1 of 50 blocks holds the key";
  // However many keys: a block is decoded once, and none that has nothing newer.
  for (int64_t i = 0; i < 50; ++i) query.keys.insert(chunk(schema, 12'345 + 2 * i, 1, {}).row_key(0));
  raw.lookups = 0;
  EXPECT_EQ(describe_all(*raw.raw, query).size(), 50U);
  EXPECT_EQ(raw.lookups, 50);
  query.after = Position{1, 47, 47, 0};
  raw.lookups = 0;
  EXPECT_EQ(describe_all(*raw.raw, query).size(), 2U);
  EXPECT_EQ(raw.lookups, 2);
}

TEST(EmbeddedRaw, DamageIsAnError) {
  TemporaryDirectory directory;
  RandomBatch random(9);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  ASSERT_TRUE(raw->write(std::array{block_of(stream(schema, 10, 10, random))}).ok());
  std::string key(raw.storage->iterate(Family::kRaw, "").key());
  StorageBatch loss;
  loss.remove(Family::kRaw, key);
  ASSERT_TRUE(raw.storage->write(loss).ok());
  Status status = raw->read({.client = acme}, [](const EventBatch&) { return true; });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt) << status.error().to_string();
}

// docs/formats/raw-block.md: the stored keys and index value of a known block.
TEST(RawIndex, StoredBytesStayReadable) {
  BlockSummary summary;
  summary.min_position = {1, 0x10, 0x20, 3};
  summary.max_position = {1, 0x11, 0x21, 4};
  summary.fingerprint = 0x0102030405060708;
  summary.rows = 2;
  summary.op_mask = block_has_created;
  summary.min_commit_micros = 1000;
  summary.max_commit_micros = 2000;
  summary.min_key = "A";
  summary.max_key = "B";
  summary.bloom = KeyBloom(std::array{row_key_hash("A"), row_key_hash("B")});
  std::string place = raw_place_prefix(acme, "orders", PartitionId(5));
  auto hex = [](std::string_view bytes) {
    std::string out;
    for (unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
    return out;
  };
  EXPECT_EQ(hex(place), "0461636d65066f726465727300000005");
  EXPECT_EQ(hex(raw_block_key(place, summary)).substr(place.size() * 2),
            "000000010000000000000010000000000000002000000003"
            "0102030405060708");
  EXPECT_EQ(hex(raw_index_key(place, summary)).substr(place.size() * 2),
            "000000010000000000000011000000000000002100000004"
            "000000010000000000000010000000000000002000000003"
            "0102030405060708");
  EXPECT_EQ(hex(summary.encode_value()),
            "01"
            "02000000"
            "00000000"
            "01"
            "e803000000000000"
            "d007000000000000"
            "0141"
            "0142"
            "080082405114852000");
  auto entry = decode_raw_index(raw_index_key(place, summary), summary.encode_value());
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->place, place);
  EXPECT_EQ(entry->summary.encode_value(), summary.encode_value());
  EXPECT_TRUE(entry->summary.may_hold_key("A", row_key_hash("A")));
  EXPECT_FALSE(entry->summary.may_hold_key("C", row_key_hash("C")));
}

}  // namespace
}  // namespace tributary
