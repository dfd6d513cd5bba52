#include "store/raw/embedded_raw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "codec/block.h"
#include "model/gather.h"
#include "model/random_batch.h"
#include "storage/temporary_directory.h"
#include "store/raw/raw_index.h"

namespace tributary {
namespace {

const ClientId acme("acme");

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

LogBlock block_of(const EventBatch& batch, uint32_t partition = 0) {
  auto events = static_cast<uint32_t>(batch.rows() + batch.ranges.size());
  return {{batch.domain, PartitionId(partition)},      Offset(0), Offset(events), events,
          encode_block(batch, BlockCompression::kLz4), nullptr};
}

std::string describe(const EventBatch& batch, size_t row) {
  return fmt::format("{} {} {} {} {}", batch.client, batch.domain, static_cast<char>(batch.ops[row]),
                     batch.positions[row].to_string(), batch.row_key(row));
}

std::multiset<std::string> describe_all(EmbeddedRaw& raw, const RawQuery& query) {
  std::multiset<std::string> out;
  Status status = raw.read(query, [&](const EventBatch& batch) {
    EXPECT_TRUE(batch.validate().ok());
    for (size_t row = 0; row < batch.rows(); ++row) out.insert(describe(batch, row));
    for (const RangeFact& range : batch.ranges) {
      out.insert(fmt::format("range {} {} {}..{}", static_cast<char>(range.kind), range.position.to_string(), range.low,
                             range.high));
    }
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.error().to_string();
  return out;
}

// Any order, duplication and splitting of the same events, over any number of writes and restarts, is the same set.
TEST(EmbeddedRaw, IsASetWhateverTheBlocks) {
  TemporaryDirectory directory;  // one for all, since opening takes longest; each seed is a client of its own
  SchemaPtr schema = RandomBatch(0).schema("public.things");
  auto raw = std::make_unique<OpenRaw>(directory.path(), std::vector{schema});
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    RandomBatch random(seed);
    ClientId client("client" + std::to_string(seed));
    std::vector<EventBatch> originals;
    std::set<std::string> expected;
    for (int i = 0; i < 6; ++i) {
      EventBatch batch = random.batch(client, "things", schema, random.below(60), 8);
      if (batch.empty()) continue;
      originals.push_back(batch);
      for (size_t row = 0; row < batch.rows(); ++row) expected.insert(describe(batch, row));
      for (const RangeFact& range : batch.ranges) {
        expected.insert(fmt::format("range {} {} {}..{}", static_cast<char>(range.kind), range.position.to_string(),
                                    range.low, range.high));
      }
    }
    if (originals.empty()) continue;
    std::vector<LogBlock> blocks;
    auto add_pieces = [&](const EventBatch& batch) {
      uint32_t begin = 0;
      auto rows = static_cast<uint32_t>(batch.rows());
      while (begin < rows) {
        uint32_t end = begin + 1 + static_cast<uint32_t>(random.below(rows - begin));
        EventBatch piece = slice(batch, begin, end);
        if (begin == 0 || random.one_in(3)) piece.ranges = batch.ranges;
        blocks.push_back(block_of(piece));
        if (random.one_in(2)) {  // as a log gives it that has other forms
          blocks.back().bytes.clear();
          blocks.back().decoded = std::make_shared<const EventBatch>(std::move(piece));
        }
        begin = end;
      }
      if (rows == 0) blocks.push_back(block_of(batch));
    };
    for (const EventBatch& batch : originals) add_pieces(batch);
    for (int i = 0; i < 4; ++i) add_pieces(originals[random.below(originals.size())]);
    for (size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[random.below(i)]);

    for (size_t begin = 0; begin < blocks.size();) {
      size_t count = std::min<size_t>(1 + random.below(4), blocks.size() - begin);
      Status status = (*raw)->write(std::span(blocks).subspan(begin, count));
      ASSERT_TRUE(status.ok()) << status.error().to_string();
      begin += count;
      if (random.one_in(300)) {
        raw.reset();
        raw = std::make_unique<OpenRaw>(directory.path(), std::vector{schema});
      }
    }
    std::multiset<std::string> got = describe_all(*raw->raw, {.client = client});
    EXPECT_EQ(got, std::multiset<std::string>(expected.begin(), expected.end())) << "seed=" << seed;
  }
}

EventBatch stream(const SchemaPtr& schema, uint64_t first_commit, size_t rows, RandomBatch& random) {
  EventBatch batch(acme, "things", schema);
  EventBatch cells = random.batch(acme, "things", schema, rows);
  cells.before.clear();
  cells.moved.clear();
  for (size_t row = 0; row < rows; ++row) {
    cells.ops[row] = Op::kUpdate;
    cells.positions[row] = {1, first_commit + row, first_commit + row, 0};
    cells.commit_micros[row] = static_cast<int64_t>(1000 * (first_commit + row));
  }
  cells.ranges.clear();
  return cells;
}

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

TEST(EmbeddedRaw, QueriesGiveExactlyWhatMatches) {
  TemporaryDirectory directory;
  RandomBatch random(6);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  std::vector<EventBatch> all;
  for (uint64_t i = 0; i < 20; ++i) {
    EventBatch batch = stream(schema, i * 50, 50, random);
    if (i % 2 == 1) batch.domain = "other";
    if (i % 5 == 4)
      batch.ranges.push_back(
          {RangeKind::kTruncate, {1, i * 50 + 49, 0, 0}, "", "", static_cast<int64_t>(i) * 50'000, 1});
    all.push_back(batch);
    ASSERT_TRUE(raw->write(std::array{block_of(batch, static_cast<uint32_t>(i % 3))}).ok());
  }
  EventBatch foreign = stream(schema, 0, 50, random);
  foreign.client = ClientId("acme2");
  ASSERT_TRUE(raw->write(std::array{block_of(foreign)}).ok());

  for (int i = 0; i < 200; ++i) {
    RawQuery query{.client = acme};
    if (random.one_in(2)) query.domain = random.one_in(2) ? "things" : "other";
    if (random.one_in(2)) {
      const EventBatch& batch = all[random.below(all.size())];
      for (uint64_t keys = 1 + random.below(3); keys > 0; --keys)
        query.keys.insert(batch.row_key(random.below(batch.rows())));
    }
    if (random.one_in(2)) query.after = Position{1, random.below(1'000), 0, 0};
    if (random.one_in(2)) query.up_to = Position{1, random.below(1'000), 0, 0};
    if (random.one_in(2)) query.from_micros = static_cast<int64_t>(random.below(1'100'000));
    if (random.one_in(2)) query.to_micros = static_cast<int64_t>(random.below(1'100'000));
    std::multiset<std::string> expected;
    auto in_time = [&](int64_t micros) {
      return (!query.from_micros || micros >= *query.from_micros) && (!query.to_micros || micros < *query.to_micros);
    };
    auto is_newer = [&](const Position& position) {
      return (!query.after || position > *query.after) && (!query.up_to || position <= *query.up_to);
    };
    for (const EventBatch& batch : all) {
      if (!query.domain.empty() && batch.domain != query.domain) continue;
      for (size_t row = 0; row < batch.rows(); ++row) {
        if (in_time(batch.commit_micros[row]) && is_newer(batch.positions[row]) &&
            (query.keys.empty() || query.keys.contains(batch.row_key(row)))) {
          expected.insert(describe(batch, row));
        }
      }
      for (const RangeFact& range : batch.ranges) {
        if (in_time(range.commit_micros) && is_newer(range.position))
          expected.insert(fmt::format("range t {} ..", range.position.to_string()));
      }
    }
    ASSERT_EQ(describe_all(*raw.raw, query), expected) << "query " << i;
  }
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

TEST(EmbeddedRaw, VisitStopsWhenToldTo) {
  TemporaryDirectory directory;
  RandomBatch random(8);
  SchemaPtr schema = random.schema("t");
  OpenRaw raw(directory.path(), {schema});
  for (uint64_t i = 0; i < 5; ++i)
    ASSERT_TRUE(raw->write(std::array{block_of(stream(schema, i * 10, 10, random))}).ok());
  int visits = 0;
  ASSERT_TRUE(raw->read({.client = acme}, [&](const EventBatch&) { return ++visits < 2; }).ok());
  EXPECT_EQ(visits, 2);
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
