#include "model/schema.h"

#include <gtest/gtest.h>

#include <fstream>

#include "model/random_batch.h"

namespace tributary {
namespace {

// The example of docs/formats/schema.md.
TableSchema example() {
  TableSchema schema;
  schema.table = "public.orders";
  schema.version = 3;
  schema.old_image = OldImage::kFull;
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                    {"region", {TypeId::kText}, "text", true, true},
                    {"total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", false, true}};
  schema.key_columns = {1, 0};
  return schema;
}

TEST(TableSchema, StoredBytesStayReadableAndAreWrittenTheSame) {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/schema-1.bin", std::ios::binary);
  std::string golden{std::istreambuf_iterator<char>(file), {}};
  std::string now = example().encode();
  if (now != golden) std::ofstream("schema-1.bin.new", std::ios::binary) << now;
  EXPECT_EQ(now, golden) << "the format changed: a new version is needed (schema-1.bin.new holds the new bytes)";
  Result<TableSchema> decoded = TableSchema::decode(golden);
  ASSERT_TRUE(decoded.ok()) << decoded.error().to_string();
  EXPECT_TRUE(decoded->same_content(example()));
  EXPECT_EQ(decoded->version, 3U);
}

TEST(TableSchema, CutOrChangedBytesNeverCrash) {
  std::string good = example().encode();
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(TableSchema::decode(good.substr(0, size)).ok());
  RandomBatch random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (uint64_t j = 0; j <= random.below(3); ++j)
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    Result<TableSchema> decoded = TableSchema::decode(bytes);
    if (!decoded.ok()) continue;
    for (uint32_t index : decoded->key_columns) ASSERT_LT(index, decoded->columns.size());
  }
}

}  // namespace
}  // namespace tributary
