#include "store/clickhouse/native_encoder.h"

#include <gtest/gtest.h>

#include <random>

namespace tributary {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

// The bytes wait in the outbox of a data directory: they must stay readable (docs/formats/analytics-insert.md).
TEST(NativeEncoder, BytesArePinned) {
  TableDefinition table{
      .name = "t",
      .columns = {{"a", {TypeId::kInt32}, false}, {"b", {TypeId::kDate}, true}, {"c", {TypeId::kText}, true}}};
  OutputBatch batch{.clients = {ClientId("acme")}, .client_of_row = {0, 0}};
  for (const OutputColumn& column : table.columns) batch.columns.emplace_back(column.type);
  batch.columns[0].append_fixed<int32_t>(1);
  batch.columns[0].append_fixed<int32_t>(-1);
  batch.columns[1].append_fixed<int32_t>(200000);  // 2517-08-01
  batch.columns[1].append_null();
  batch.columns[2].append_bytes("hi");
  batch.columns[2].append_text("\xff");
  batch.keys = {"k", "l"};
  batch.versions = {Version::of_checkpoint(1, 2), Version{}};
  batch.deleted = {0, 1};
  auto encoded = encode_rows(table, batch);
  ASSERT_TRUE(encoded.ok());
  std::string expected =
      "01"
      "08"
      "09636c69656e745f6964"
      "0161"
      "0162"
      "0163"
      "045f6b6579"
      "085f76657273696f6e"
      "085f64656c65746564"
      "105f756e726570726573656e7461626c65"
      "08"
      "02"
      "09636c69656e745f6964"
      "06537472696e67"
      "0461636d65"
      "0461636d65"
      "0161"
      "05496e743332"
      "01000000"
      "ffffffff"
      "0162"
      "104e756c6c61626c6528446174653332"
      "29"
      "0101"
      "00000000"
      "00000000"
      "0163"
      "104e756c6c61626c6528537472696e67"
      "29"
      "0001"
      "026869"
      "00"
      "045f6b6579"
      "06537472696e67"
      "016b"
      "016c"
      "085f76657273696f6e"
      "0755496e74323536"
      "0000000000000000"
      "0200000000000000"
      "0100000000000000"
      "0000000000000000"
      "0000000000000000"
      "0000000000000000"
      "0000000000000000"
      "0000000000000000"
      "085f64656c65746564"
      "0555496e7438"
      "0001"
      "105f756e726570726573656e7461626c65"
      "134d617028537472696e672c20537472696e6729"
      "0100000000000000"
      "0200000000000000"
      "0162"
      "0163"
      "0a323531372d30382d3031"
      "01ff";
  EXPECT_EQ(hex(*encoded), expected);

  auto opened = open_encoded(*encoded);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->column_names(),
            (std::vector<std::string>{"client_id", "a", "b", "c", "_key", "_version", "_deleted", "_unrepresentable"}));
  EXPECT_EQ(hex(opened->block).substr(0, 4), "0802");
}

TEST(NativeEncoder, OtherBytesAreRefused) {
  EXPECT_EQ(open_encoded("").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(open_encoded("\x02").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(open_encoded("\x01\x05\x03"
                         "ab")
                .error()
                .code,
            ErrorCode::kCorrupt);
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (!bytes.empty()) bytes[0] = 1;
    (void)open_encoded(bytes).ok();  // any answer, no crash
  }
}

}  // namespace
}  // namespace tributary
