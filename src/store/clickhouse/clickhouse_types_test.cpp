// Every type through encode, INSERT and SELECT of the real engine; what a type cannot hold is NULL with its text beside.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/temporary_engine.h"
#include "store/clickhouse/big_decimal.h"
#include "store/clickhouse/clickhouse_store.h"
#include "store/clickhouse/clickhouse_types.h"

namespace tributary {
namespace {

struct Case {
  const char* name;
  LogicalType type;
  bool nullable;
  std::function<void(Column&)> append;
  const char* expected;  // toString of the cell; "NULL"
  const char* lost;  // _unrepresentable's text; "" without
};

LogicalType decimal(int precision, int scale) {
  return {precision <= 38 ? TypeId::kDecimal : TypeId::kBigDecimal, static_cast<uint8_t>(precision),
          static_cast<uint8_t>(scale)};
}

template <typename T>
std::function<void(Column&)> fixed(T value) {
  return [value](Column& column) { column.append_fixed<T>(value); };
}
std::function<void(Column&)> bytes(std::string value) {
  return [value](Column& column) { column.append_bytes(value); };
}
std::function<void(Column&)> text(std::string value) {
  return [value](Column& column) { column.append_text(value); };
}
void null(Column& column) { column.append_null(); }

Int128 big_number() {  // 38 nines
  Int128 value = 0;
  for (int i = 0; i < 38; ++i) value = value * 10 + 9;
  return value;
}

std::vector<Case> cases() {
  using L = std::numeric_limits<int64_t>;
  constexpr int64_t day = 86'400'000'000;
  std::string nines(76, '9');
  return {
      {"bool", {TypeId::kBool}, true, fixed<uint8_t>(1), "true", ""},
      {"bool_null", {TypeId::kBool}, true, null, "NULL", ""},
      {"int16", {TypeId::kInt16}, false, fixed<int16_t>(-32768), "-32768", ""},
      {"int32", {TypeId::kInt32}, true, fixed<int32_t>(2147483647), "2147483647", ""},
      {"int64", {TypeId::kInt64}, true, fixed<int64_t>(L::min()), "-9223372036854775808", ""},
      {"uint64", {TypeId::kUInt64}, true, fixed<uint64_t>(UINT64_MAX), "18446744073709551615", ""},
      {"float32", {TypeId::kFloat32}, true, fixed<float>(0.1F), "0.1", ""},
      {"float64", {TypeId::kFloat64}, true, fixed<double>(1e300), "1e300", ""},
      {"float_nan", {TypeId::kFloat64}, true, fixed<double>(std::nan("")), "nan", ""},
      {"float_inf", {TypeId::kFloat64}, true, fixed<double>(-INFINITY), "-inf", ""},
      {"float_minus_zero", {TypeId::kFloat64}, true, fixed<double>(-0.0), "-0", ""},
      {"decimal9", decimal(9, 2), true, fixed<Int128>(-123456789), "-1234567.89", ""},
      {"decimal9_over", decimal(9, 2), true, fixed<Int128>(1'000'000'000), "NULL", "10000000.00"},
      {"decimal18", decimal(18, 6), false, fixed<Int128>(1), "0.000001", ""},
      {"decimal38", decimal(38, 0), true, fixed<Int128>(big_number()), std::string(38, '9').c_str(), ""},
      {"decimal_nan", decimal(18, 6), true, text("NaN"), "NULL", "NaN"},
      {"decimal_nan_zero", decimal(18, 6), false, text("Infinity"), "0", "Infinity"},
      {"big", decimal(76, 0), true, bytes(nines), nullptr, ""},
      {"big_negative", decimal(50, 3), true, bytes("-12345678901234567890123456789012345678901234567.8"),
       "-12345678901234567890123456789012345678901234567.8", ""},
      {"big_over", decimal(40, 2), true, bytes("1.001"), "NULL", "1.001"},
      {"date", {TypeId::kDate}, true, fixed<int32_t>(19782), "2024-02-29", ""},
      {"date_min", {TypeId::kDate}, true, fixed<int32_t>(clickhouse_day_min), "1900-01-01", ""},
      {"date_max", {TypeId::kDate}, true, fixed<int32_t>(clickhouse_day_max), "2299-12-31", ""},
      {"date_before", {TypeId::kDate}, true, fixed<int32_t>(clickhouse_day_min - 1), "NULL", "1899-12-31"},
      {"date_after", {TypeId::kDate}, false, fixed<int32_t>(clickhouse_day_max + 1), "1970-01-01", "2300-01-01"},
      {"date_infinite", {TypeId::kDate}, true, text("infinity"), "NULL", "infinity"},
      {"timestamp", {TypeId::kTimestamp}, true, fixed<int64_t>(1), "1970-01-01 00:00:00.000001", ""},
      {"timestamp_min",
       {TypeId::kTimestamp},
       true,
       fixed<int64_t>(clickhouse_day_min * day),
       "1900-01-01 00:00:00.000000",
       ""},
      {"timestamp_max",
       {TypeId::kTimestamp},
       true,
       fixed<int64_t>((clickhouse_day_max + 1) * day - 1),
       "2299-12-31 23:59:59.999999",
       ""},
      {"timestamp_after",
       {TypeId::kTimestamp},
       true,
       fixed<int64_t>((clickhouse_day_max + 1) * day),
       "NULL",
       "2300-01-01 00:00:00"},
      {"timestamptz", {TypeId::kTimestampTz}, true, fixed<int64_t>(-1), "1969-12-31 23:59:59.999999", ""},
      {"timestamptz_before",
       {TypeId::kTimestampTz},
       true,
       fixed<int64_t>(clickhouse_day_min * day - 1),
       "NULL",
       "1899-12-31 23:59:59.999999+00"},
      {"uuid",
       {TypeId::kUuid},
       true,
       bytes(std::string("\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10", 16)),
       "01234567-89ab-cdef-fedc-ba9876543210",
       ""},
      {"text", {TypeId::kText}, true, bytes("grüß 'quoted'"), "grüß 'quoted'", ""},
      {"text_empty", {TypeId::kText}, true, bytes(""), "", ""},
      {"text_null", {TypeId::kText}, true, null, "NULL", ""},
      {"bytes", {TypeId::kBytes}, false, bytes(std::string("\x01\xff", 2)), "\x01\xff", ""},
      {"json", {TypeId::kJson}, true, bytes(R"({"a": 12345678901234567890})"), R"({"a": 12345678901234567890})", ""},
  };
}

TEST(ClickHouseTypes, EveryTypeSurvivesTheWay) {
  ClickHouseStore store({.socket = TemporaryEngine::shared().socket()});
  TableDefinition table{.name = "types"};
  OutputBatch batch;
  batch.clients = {ClientId("acme")};
  std::vector<Case> all = cases();
  for (const Case& one : all) {
    table.columns.push_back({one.name, one.type, one.nullable});
    Column column(one.type);
    one.append(column);
    batch.columns.push_back(std::move(column));
  }
  batch.client_of_row = {0};
  batch.keys = {"k"};
  batch.versions = {Version::of_checkpoint(1, 1)};
  batch.deleted = {0};

  ASSERT_TRUE(store.prepare({&table, 1}, batch.clients).ok());
  auto encoded = store.encode(table, batch);
  ASSERT_TRUE(encoded.ok()) << encoded.error().to_string();
  std::string_view one_batch = *encoded;
  auto inserted = store.insert("types", {&one_batch, 1});
  ASSERT_TRUE(inserted.ok()) << inserted.error().to_string();

  for (const Case& one : all) {
    auto got = store.execute(
        fmt::format("SELECT ifNull(toString(`{0}`), 'NULL'), _unrepresentable['{0}'] FROM acme.types", one.name),
        "TabSeparatedRaw");
    ASSERT_TRUE(got.ok()) << one.name << ": " << got.error().to_string();
    std::string expected = one.expected != nullptr ? one.expected : std::string(76, '9');
    if (std::string_view(one.name) == "decimal38") expected = std::string(38, '9');
    EXPECT_EQ(*got, expected + "\t" + one.lost + "\n") << one.name;
  }
  auto lost = store.execute("SELECT length(mapKeys(_unrepresentable)) FROM acme.types");
  EXPECT_EQ(*lost, "9\n");
}

TEST(ClickHouseTypes, WrongShapesAreRefused) {
  ClickHouseStore store({.socket = "/nowhere"});
  TableDefinition table{.name = "t", .columns = {{"a", {TypeId::kInt32}, true}}};
  OutputBatch batch{.clients = {ClientId("acme")}, .client_of_row = {0}};
  batch.columns.emplace_back(LogicalType{TypeId::kInt64});
  batch.columns[0].append_fixed<int64_t>(1);
  batch.keys = {"k"};
  batch.versions = {Version{}};
  batch.deleted = {0};
  auto other_type = store.encode(table, batch);
  ASSERT_FALSE(other_type.ok());
  EXPECT_EQ(other_type.error().code, ErrorCode::kInvalidInput);

  batch.columns[0] = Column(LogicalType{TypeId::kInt32});
  batch.columns[0].append_absent();
  auto absent = store.encode(table, batch);
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, ErrorCode::kInternal);
}

TEST(ClickHouseTypes, CommonTypes) {
  EXPECT_EQ(clickhouse_common_type("Int32", "Int64"), "Int64");
  EXPECT_EQ(clickhouse_common_type("Nullable(Int64)", "Int32"), "Nullable(Int64)");
  EXPECT_EQ(clickhouse_common_type("Int32", "Nullable(Int32)"), "Nullable(Int32)");
  EXPECT_EQ(clickhouse_common_type("Decimal(9, 2)", "Decimal(18, 4)"), "Decimal(18, 4)");
  EXPECT_EQ(clickhouse_common_type("Decimal(12, 2)", "Int64"), "Decimal(21, 2)");
  EXPECT_EQ(clickhouse_common_type("Date32", "DateTime64(6, 'UTC')"), "DateTime64(6, 'UTC')");
  EXPECT_EQ(clickhouse_common_type("String", "Int32"), std::nullopt);
  EXPECT_EQ(clickhouse_common_type("Int64", "Float64"), std::nullopt);
}

TEST(BigDecimal, Limits) {
  EXPECT_EQ((*parse_big_decimal("-1", 40, 0)), (std::array<uint64_t, 4>{~0ULL, ~0ULL, ~0ULL, ~0ULL}));
  EXPECT_EQ((*parse_big_decimal("18446744073709551616", 40, 0)), (std::array<uint64_t, 4>{0, 1, 0, 0}));
  EXPECT_EQ((*parse_big_decimal("1.50", 40, 2)), (std::array<uint64_t, 4>{150, 0, 0, 0}));
  EXPECT_EQ((*parse_big_decimal("0001.500", 40, 2)), (std::array<uint64_t, 4>{150, 0, 0, 0}));
  EXPECT_FALSE(parse_big_decimal("1.505", 40, 2));
  EXPECT_FALSE(parse_big_decimal(std::string(39, '9'), 40, 2));
  for (const char* bad : {"", "-", ".", "NaN", "1e5", "1.2.3", " 1"})
    EXPECT_FALSE(parse_big_decimal(bad, 40, 2)) << bad;
}

}  // namespace
}  // namespace tributary
