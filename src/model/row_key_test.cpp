#include "model/row_key.h"

#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <limits>

namespace tributary {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

template <typename T>
std::string fixed_key(LogicalType type, T value) {
  Column column(type);
  column.append_fixed(value);
  std::string key;
  append_key_part(key, column, 0);
  return key;
}

std::string bytes_key(LogicalType type, std::string_view value) {
  Column column(type);
  column.append_bytes(value);
  std::string key;
  append_key_part(key, column, 0);
  return key;
}

TEST(RowKey, EqualNumbersAreOneKeyHoweverManyZerosTheyShow) {
  LogicalType free{TypeId::kDecimal, 38, 18};
  constexpr auto two = Int128{2'000'000'000'000'000'000};
  Column shown(free);
  shown.append_decimal(two, 0);
  std::string key;
  append_key_part(key, shown, 0);
  EXPECT_EQ(hex(key), hex(fixed_key<Int128>(free, two)));

  auto held = [&](std::string_view text) {
    Column column(free);
    column.append_text(text);
    std::string part;
    append_key_part(part, column, 0);
    return part;
  };
  std::string huge = "1" + std::string(40, '0');
  EXPECT_EQ(hex(held(huge)), hex(held(huge + ".00")));
  EXPECT_NE(hex(held(huge)), hex(held(huge + "0")));
  EXPECT_NE(hex(held("NaN")), hex(held("Infinity")));
}

// tests/formats/row-keys-1.txt: "hex  what": the examples of docs/formats/row-key.md.
TEST(RowKey, StoredBytesAreWrittenTheSame) {
  Column null(LogicalType{TypeId::kInt32});
  null.append_null();
  std::string null_key;
  append_key_part(null_key, null, 0);
  Column nan(LogicalType{TypeId::kDecimal, 12, 2});
  nan.append_text("NaN");
  std::string text_key;
  append_key_part(text_key, nan, 0);

  std::vector<std::pair<std::string, std::string>> keys = {
      {null_key, "null"},
      {fixed_key<int64_t>({TypeId::kInt64}, 7), "int64 7"},
      {fixed_key<int16_t>({TypeId::kInt16}, -1), "int16 -1"},
      {fixed_key<uint64_t>({TypeId::kUInt64}, UINT64_MAX), "uint64 18446744073709551615"},
      {fixed_key<uint8_t>({TypeId::kBool}, 1), "bool true"},
      {fixed_key<double>({TypeId::kFloat64}, 1.5), "float64 1.5"},
      {fixed_key<double>({TypeId::kFloat64}, -0.0), "float64 -0"},
      {fixed_key<Int128>({TypeId::kDecimal, 12, 3}, 1500), "decimal 1.500"},
      {fixed_key<int32_t>({TypeId::kDate}, 19782), "date 2024-02-29"},
      {fixed_key<int64_t>({TypeId::kTimestamp}, 1'000'000), "timestamp 1970-01-01 00:00:01"},
      {fixed_key<int64_t>({TypeId::kTimestampTz}, 1'000'000), "timestamptz 1970-01-01 00:00:01+00"},
      {bytes_key({TypeId::kUuid}, std::string("\x12\x3E\x45\x67\xE8\x9B\x12\xD3\xA4\x56\x42\x66\x14\x17\x40\x00", 16)),
       "uuid 123e4567-e89b-12d3-a456-426614174000"},
      {bytes_key({TypeId::kText}, "eu"), "text eu"},
      {bytes_key({TypeId::kBytes}, std::string("\0\x01", 2)), "bytes 0001"},
      {text_key, "held as text NaN"},
      {fixed_key<int32_t>({TypeId::kInt32}, 42) + bytes_key({TypeId::kText}, "eu"), "(int32 42, text eu)"},
  };
  std::string now;
  for (const auto& [key, what] : keys) now += hex(key) + "  " + what + "\n";
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/row-keys-1.txt");
  std::string golden{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(now, golden);
}

TEST(RowKey, EqualValuesOfDifferentTypesAreOneKey) {
  EXPECT_EQ(fixed_key<int16_t>({TypeId::kInt16}, 5), fixed_key<int64_t>({TypeId::kInt64}, 5));
  EXPECT_EQ(fixed_key<uint64_t>({TypeId::kUInt64}, 5), fixed_key<int32_t>({TypeId::kInt32}, 5));
  EXPECT_EQ(fixed_key<float>({TypeId::kFloat32}, 0.5F), fixed_key<double>({TypeId::kFloat64}, 0.5));
  EXPECT_EQ(fixed_key<double>({TypeId::kFloat64}, -0.0), fixed_key<double>({TypeId::kFloat64}, 0.0));
  EXPECT_EQ(fixed_key<double>({TypeId::kFloat64}, std::bit_cast<double>(0xFFF8000000000123U)),
            fixed_key<double>({TypeId::kFloat64}, std::numeric_limits<double>::quiet_NaN()));
  EXPECT_EQ(fixed_key<Int128>({TypeId::kDecimal, 12, 3}, 1500), fixed_key<Int128>({TypeId::kDecimal, 12, 1}, 15));
  EXPECT_EQ(fixed_key<Int128>({TypeId::kDecimal, 12, 3}, -1500), bytes_key({TypeId::kBigDecimal, 60, 5}, "-1.50000"));
  EXPECT_EQ(fixed_key<Int128>({TypeId::kDecimal, 12, 3}, 0), bytes_key({TypeId::kBigDecimal, 60, 5}, "-0.00"));
}

TEST(RowKey, OrdersAsItsValues) {
  std::vector<int64_t> integers = {INT64_MIN, -70000, -1, 0, 1, 255, 256, INT64_MAX};
  for (size_t i = 1; i < integers.size(); ++i) {
    EXPECT_LT(fixed_key<int64_t>({TypeId::kInt64}, integers[i - 1]), fixed_key<int64_t>({TypeId::kInt64}, integers[i]));
  }
  EXPECT_LT(fixed_key<int64_t>({TypeId::kInt64}, INT64_MAX), fixed_key<uint64_t>({TypeId::kUInt64}, UINT64_MAX));
  std::vector<double> doubles = {-std::numeric_limits<double>::infinity(),
                                 -1e300,
                                 -1,
                                 -1e-300,
                                 0,
                                 1e-300,
                                 1,
                                 std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  for (size_t i = 1; i < doubles.size(); ++i) {
    EXPECT_LT(fixed_key<double>({TypeId::kFloat64}, doubles[i - 1]), fixed_key<double>({TypeId::kFloat64}, doubles[i]));
  }
  std::vector<std::string> texts = {"",
                                    std::string("\0", 1),
                                    std::string("\0\0", 2),
                                    std::string("\0a", 2),
                                    "a",
                                    std::string("a\0", 2),
                                    "a\x01",
                                    "aa",
                                    "b",
                                    "\xFF"};
  for (size_t i = 1; i < texts.size(); ++i) {
    EXPECT_LT(bytes_key({TypeId::kText}, texts[i - 1]), bytes_key({TypeId::kText}, texts[i])) << i;
  }
}

TEST(RowKey, NoPartRunsIntoTheNext) {
  auto pair = [](std::string_view a, std::string_view b) {
    return bytes_key({TypeId::kText}, a) + bytes_key({TypeId::kText}, b);
  };
  EXPECT_NE(pair("a", "bc"), pair("ab", "c"));
  EXPECT_NE(pair("", "a"), pair("a", ""));
  EXPECT_NE(pair(std::string("\0", 1), ""), pair("", std::string("\0", 1)));
}

TEST(RowKey, IsReadableForPeople) {
  EXPECT_EQ(row_key_to_string(fixed_key<int32_t>({TypeId::kInt32}, -42) + bytes_key({TypeId::kText}, "eu")),
            "(-42, 'eu')");
  EXPECT_EQ(row_key_to_string("\xAB\xCD"), "x'abcd'");
}

}  // namespace
}  // namespace tributary
