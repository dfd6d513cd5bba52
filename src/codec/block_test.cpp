#include "codec/block.h"

#define XXH_INLINE_ALL
#include <gtest/gtest.h>
#include <xxhash.h>

#include <fstream>
#include <sstream>

#include "base/bytes.h"
#include "model/random_batch.h"

namespace tributary {
namespace {

constexpr std::array compressions = {BlockCompression::kNone, BlockCompression::kLz4, BlockCompression::kZstd};

// Makes a changed block pass its checksum, so that the checks behind it are reached.
void fix_checksum(std::string& bytes) {
  uint64_t seed;
  std::memcpy(&seed, bytes.data() + 4, 8);
  uint64_t checksum = XXH3_64bits_withSeed(bytes.data() + 20, bytes.size() - 20, seed);
  std::memcpy(bytes.data() + 12, &checksum, 8);
}

// The batch of docs/formats/log-block.md, "Example".
EventBatch example() {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.orders";
  schema->version = 3;
  schema->columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                     {"total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", false, false},
                     {"note", {TypeId::kText}, "text", false, true}};
  schema->key_columns = {0};
  EventBatch batch(ClientId("acme"), "orders", schema);
  auto add = [&](Op op, Position position, int64_t id) {
    batch.ops.push_back(op);
    batch.positions.push_back(position);
    batch.commit_micros.push_back(1'700'000'000'000'000);
    batch.transactions.push_back(742);
    batch.columns[0].append_fixed<int64_t>(id);
  };
  add(Op::kCreate, {1, 0x1A2B3C8, 0x1A2B300, 0}, 7);
  batch.columns[1].append_fixed<Int128>(1250);
  batch.columns[2].append_bytes("first");
  add(Op::kUpdate, {1, 0x1A2B3C8, 0x1A2B300, 1}, 7);
  batch.columns[1].append_text("NaN");
  batch.columns[2].append_absent();
  add(Op::kDelete, {1, 0x1A2B3C8, 0x1A2B380, 0}, 8);
  batch.columns[1].append_absent();
  batch.columns[2].append_null();
  batch.moved.push_back({2, std::string("\x02\x80\0\0\0\0\0\0\x09", 9)});  // id = 9
  batch.ranges.push_back({RangeKind::kTruncate, {1, 0x1A2B400, 0x1A2B3F0, 0}, "", "", 1'700'000'000'500'000, 743});
  return batch;
}

std::string read_golden(const std::string& name) {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/" + name, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

TEST(Block, StoredBytesStayReadableAndAreWrittenTheSame) {
  std::string golden = read_golden("log-block-1.bin");
  EventBatch batch = example();
  std::string now = encode_block(batch, BlockCompression::kNone);
  if (now != golden) std::ofstream("log-block-1.bin.new", std::ios::binary) << now;
  EXPECT_EQ(now, golden) << "the format changed: a new version is needed (log-block-1.bin.new holds the new bytes)";
  Result<EventBatch> decoded = decode_block(golden, batch.schema);
  ASSERT_TRUE(decoded.ok()) << decoded.error().to_string();
  EXPECT_TRUE(same_events(*decoded, batch));
}

// Two numerics without a declared scale, "2" and "2.50", and one that shows its type's scale.
EventBatch example_of_format_2() {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.rates";
  schema->version = 1;
  schema->columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                     {"rate", {TypeId::kDecimal, 38, 18}, "numeric", false, true}};
  schema->key_columns = {0};
  EventBatch batch(ClientId("acme"), "rates", schema);
  constexpr auto one = Int128{1'000'000'000'000'000'000};
  for (auto [value, scale] : {std::pair{one * 2, uint16_t{0}}, {one * 5 / 2, 2}, {one, 18}}) {
    batch.columns[0].append_fixed<int64_t>(static_cast<int64_t>(batch.rows()));
    batch.columns[1].append_decimal(value, scale);
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, 0x1A2B3C8, 0x1A2B300, 0});
    batch.commit_micros.push_back(1'700'000'000'000'000);
    batch.transactions.push_back(742);
  }
  return batch;
}

TEST(Block, StoredBytesOfFormat2StayReadable) {
  std::string golden = read_golden("log-block-2.bin");
  EventBatch batch = example_of_format_2();
  std::string now = encode_block(batch, BlockCompression::kNone);
  if (now != golden) std::ofstream("log-block-2.bin.new", std::ios::binary) << now;
  EXPECT_EQ(now, golden) << "the format changed: a new version is needed (log-block-2.bin.new holds the new bytes)";
  Result<EventBatch> decoded = decode_block(golden, batch.schema);
  ASSERT_TRUE(decoded.ok()) << decoded.error().to_string();
  EXPECT_TRUE(same_events(*decoded, batch));
  EXPECT_EQ(decoded->columns[1].shown_scale(0), 0);
  EXPECT_EQ(decoded->columns[1].shown_scale(1), 2);
  EXPECT_EQ(decoded->columns[1].shown_scale(2), 18);
}

TEST(Block, HeaderSaysWhatIsInside) {
  Result<BlockHeader> header = read_block_header(encode_block(example(), BlockCompression::kLz4));
  ASSERT_TRUE(header.ok()) << header.error().to_string();
  EXPECT_EQ(header->client.value, "acme");
  EXPECT_EQ(header->domain, "orders");
  EXPECT_EQ(header->table, "public.orders");
  EXPECT_EQ(header->schema_version, 3U);
  EXPECT_EQ(header->rows, 3U);
  EXPECT_EQ(header->ranges, 1U);
  EXPECT_EQ(header->events(), 4U);
  EXPECT_EQ(header->op_mask, block_has_created | block_has_updated | block_has_deleted | block_has_range);
  EXPECT_EQ(header->min_commit_micros, 1'700'000'000'000'000);
  EXPECT_EQ(header->max_commit_micros, 1'700'000'000'500'000);
  EXPECT_EQ(header->min_position, (Position{1, 0x1A2B3C8, 0x1A2B300, 0}));
  EXPECT_EQ(header->max_position, (Position{1, 0x1A2B400, 0x1A2B3F0, 0}));
}

TEST(Block, RandomBatchesComeBackBitForBit) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("public.things", 1 + static_cast<uint32_t>(seed));
    EventBatch batch = random.batch(ClientId("acme"), "things", schema, random.below(200));
    if (batch.empty()) continue;
    for (BlockCompression compression : compressions) {
      std::string bytes = encode_block(batch, compression);
      Result<EventBatch> decoded = decode_block(bytes, schema);
      ASSERT_TRUE(decoded.ok()) << "seed=" << seed << " " << decoded.error().to_string();
      ASSERT_TRUE(same_events(*decoded, batch)) << "seed=" << seed << " compression=" << static_cast<int>(compression);
      EXPECT_EQ(decoded->schema, schema);
    }
  }
}

TEST(Block, ColumnsOfOneStateTakeNoRoom) {
  RandomBatch random(1);
  SchemaPtr schema = random.schema("t");
  EventBatch batch(ClientId("acme"), "t", schema);
  for (int row = 0; row < 10'000; ++row) {
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, 5, 6, static_cast<uint32_t>(row)});
    batch.commit_micros.push_back(1);
    batch.transactions.push_back(1);
    batch.columns[0].append_fixed<int64_t>(row);
    for (size_t i = 1; i < batch.columns.size(); ++i)
      i % 2 == 0 ? batch.columns[i].append_null() : batch.columns[i].append_absent();
  }
  std::string bytes = encode_block(batch, BlockCompression::kNone);
  EXPECT_LT(bytes.size(), 10'000 * (8 + 7));
  Result<EventBatch> decoded = decode_block(bytes, schema);
  ASSERT_TRUE(decoded.ok()) << decoded.error().to_string();
  EXPECT_TRUE(same_events(*decoded, batch));
}

TEST(Block, EveryFlippedByteIsNoticed) {
  EventBatch batch = example();
  std::string good = encode_block(batch, BlockCompression::kLz4);
  for (size_t at = 0; at < good.size(); ++at) {
    for (uint8_t mask : {0x01, 0x80}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ mask);
      Result<EventBatch> decoded = decode_block(bytes, batch.schema);
      ASSERT_FALSE(decoded.ok()) << "byte " << at;
      EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt) << "byte " << at << ": " << decoded.error().to_string();
    }
  }
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(read_block_header(good.substr(0, size)).ok());
}

// Mutations that carry a right checksum: nothing may crash, whatever is made of them must be valid.
TEST(Block, ForgedBytesNeverCrash) {
  int decoded_count = 0;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("t");
    EventBatch batch = random.batch(ClientId("acme"), "t", schema, 1 + random.below(30));
    std::string bytes = encode_block(batch, compressions[random.below(3)]);
    for (uint64_t i = 0; i <= random.below(4); ++i) {
      size_t at = 20 + random.below(bytes.size() - 20);
      if (random.one_in(8)) bytes.resize(std::max<size_t>(at, 21));
      if (at < bytes.size()) bytes[at] = static_cast<char>(random.next());
    }
    fix_checksum(bytes);
    Result<EventBatch> decoded = decode_block(bytes, schema);
    if (decoded.ok()) {
      ++decoded_count;
      EXPECT_TRUE(decoded->validate().ok());
      for (const Column& column : decoded->columns) {
        for (CellState state : column.states()) ASSERT_LE(state, CellState::kText) << "seed=" << seed;
      }
    }
  }
  EXPECT_GT(decoded_count, 20);  // changed values still decode: the checks behind the checksum were reached
}

TEST(Block, RefusesWhatItDoesNotKnow) {
  EventBatch batch = example();
  std::string newer = encode_block(batch, BlockCompression::kNone);
  newer[4] = 3;
  fix_checksum(newer);
  EXPECT_EQ(read_block_header(newer).error().code, ErrorCode::kUnsupported);

  std::string encrypted = encode_block(batch, BlockCompression::kNone);
  encrypted[8] = 7;
  fix_checksum(encrypted);
  EXPECT_EQ(read_block_header(encrypted)->encryption_key, 7U);
  EXPECT_EQ(decode_block(encrypted, batch.schema).error().code, ErrorCode::kUnsupported);

  auto other = std::make_shared<TableSchema>(*batch.schema);
  other->version = 4;
  EXPECT_EQ(decode_block(encode_block(batch, BlockCompression::kNone), other).error().code, ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace tributary
