#include "sql/duckdb_engine.h"

#include <gtest/gtest.h>

#include <thread>

#include "sql/duckdb_api.h"

namespace tributary {
namespace {

Column texts(std::vector<std::string> values, TypeId type = TypeId::kText) {
  Column column(LogicalType{type});
  for (const std::string& value : values) column.append_bytes(value);
  return column;
}
template <typename T>
Column numbers(LogicalType type, std::vector<T> values) {
  Column column(type);
  for (T value : values) column.append_fixed<T>(value);
  return column;
}

std::string cell(const Column& column, size_t row) {
  if (column.state(row) == CellState::kNull) return "NULL";
  if (column.state(row) == CellState::kText) return "text:" + std::string(column.text(row));
  switch (column.type().id) {
    case TypeId::kBool: return column.fixed<uint8_t>(row) ? "true" : "false";
    case TypeId::kInt16: return std::to_string(column.fixed<int16_t>(row));
    case TypeId::kInt32: return std::to_string(column.fixed<int32_t>(row));
    case TypeId::kInt64: return std::to_string(column.fixed<int64_t>(row));
    case TypeId::kUInt64: return std::to_string(column.fixed<uint64_t>(row));
    case TypeId::kFloat32: return fmt::format("{}", column.fixed<float>(row));
    case TypeId::kFloat64: return fmt::format("{}", column.fixed<double>(row));
    case TypeId::kDecimal: return decimal_to_string(column.fixed<Int128>(row), column.type().scale);
    case TypeId::kDate: return date_to_string(column.fixed<int32_t>(row));
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return timestamp_to_string(column.fixed<int64_t>(row));
    case TypeId::kUuid: {
      std::string out;
      for (unsigned char c : column.bytes(row)) out += fmt::format("{:02x}", c);
      return out;
    }
    default: return std::string(column.bytes(row));
  }
}

class DuckDbEngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto opened = DuckDbEngine::open();
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    engine = std::move(opened).value().release();
  }
  static void TearDownTestSuite() { delete engine; }

  // "type value" of a constant expression.
  static std::string constant(const std::string& expression) {
    auto program = engine->prepare({}, {expression});
    if (!program.ok()) return "ERROR " + program.error().message;
    auto output = (*program)->run({}, 1, {});
    if (!output.ok()) return "ERROR " + output.error().message;
    if (!output->errors.empty()) return "ROW " + output->errors[0].message;
    return (*program)->types()[0].to_string() + " " + cell(output->columns[0], 0);
  }

  static DuckDbEngine* engine;
};
DuckDbEngine* DuckDbEngineTest::engine = nullptr;

TEST_F(DuckDbEngineTest, LoadsThePinnedVersion) {
  EXPECT_EQ(duckdb_version(), "v1.5.6");
  EXPECT_EQ(duckdb_vector_size(), 2048u);
}

TEST_F(DuckDbEngineTest, ResultTypes) {
  EXPECT_EQ(constant("true"), "bool true");
  EXPECT_EQ(constant("NULL"), "int32 NULL");
  EXPECT_EQ(constant("7::TINYINT"), "int16 7");
  EXPECT_EQ(constant("7::UTINYINT"), "int16 7");
  EXPECT_EQ(constant("7::SMALLINT"), "int16 7");
  EXPECT_EQ(constant("65535::USMALLINT"), "int32 65535");
  EXPECT_EQ(constant("-7"), "int32 -7");
  EXPECT_EQ(constant("4294967295::UINTEGER"), "int64 4294967295");
  EXPECT_EQ(constant("9223372036854775807"), "int64 9223372036854775807");
  EXPECT_EQ(constant("18446744073709551615::UBIGINT"), "uint64 18446744073709551615");
  EXPECT_EQ(constant("170141183460469231::HUGEINT"), "decimal(38,0) 170141183460469231");
  EXPECT_EQ(constant("170141183460469231731687303715884105727::HUGEINT").substr(0, 21), "ROW Conversion Error:");
  EXPECT_EQ(constant("1.5::FLOAT"), "float32 1.5");
  EXPECT_EQ(constant("1.5::DOUBLE"), "float64 1.5");
  EXPECT_EQ(constant("'nan'::DOUBLE"), "float64 nan");
  EXPECT_EQ(constant("-0.05"), "decimal(3,2) -0.05");
  EXPECT_EQ(constant("-123456.789::DECIMAL(9,3)"), "decimal(9,3) -123456.789");
  EXPECT_EQ(constant("-123456.789::DECIMAL(18,3)"), "decimal(18,3) -123456.789");
  EXPECT_EQ(constant("-99999999999999999999999999999999999.999::DECIMAL(38,3)"),
            "decimal(38,3) -99999999999999999999999999999999999.999");
  EXPECT_EQ(constant("DATE '2024-02-29'"), "date 2024-02-29");
  EXPECT_EQ(constant("DATE 'infinity'"), "date text:infinity");
  EXPECT_EQ(constant("TIMESTAMP '2024-02-29 23:59:59.000001'"), "timestamp 2024-02-29 23:59:59.000001");
  EXPECT_EQ(constant("TIMESTAMP '-infinity'"), "timestamp text:-infinity");
  EXPECT_EQ(constant("TIMESTAMPTZ '2024-02-29 23:59:59+02'"), "timestamptz 2024-02-29 21:59:59");
  EXPECT_EQ(constant("TIMESTAMP '2024-07-01 12:00:00' AT TIME ZONE 'Europe/Berlin'"),
            "timestamptz 2024-07-01 10:00:00");
  EXPECT_EQ(constant("'2024-07-01 12:00:00'::TIMESTAMPTZ::TIMESTAMP"), "timestamp 2024-07-01 12:00:00");
  EXPECT_EQ(constant("'f47ac10b-58cc-4372-a567-0e02b2c3d479'::UUID"), "uuid f47ac10b58cc4372a5670e02b2c3d479");
  EXPECT_EQ(constant("'a longer text than twelve'"), "text a longer text than twelve");
  EXPECT_EQ(constant("'ab'::BLOB"), "bytes ab");
  EXPECT_EQ(constant("'{\"a\": [1]}'::JSON"), "json {\"a\": [1]}");
  EXPECT_EQ(constant("json_extract('{\"a\": [1]}', '$.a')"), "json [1]");
  EXPECT_EQ(constant("TIME '12:34:56'"), "text 12:34:56");
  EXPECT_EQ(constant("INTERVAL 90 MINUTE"), "text 01:30:00");
  EXPECT_EQ(constant("[1, NULL]"), "text [1, NULL]");
  EXPECT_EQ(constant("{'a': 1}"), "text {'a': 1}");
}

TEST_F(DuckDbEngineTest, EveryTypeGoesThroughUnchanged) {
  std::vector<Column> columns;
  columns.push_back(numbers<uint8_t>({TypeId::kBool}, {1, 0}));
  columns.push_back(numbers<int16_t>({TypeId::kInt16}, {INT16_MIN, INT16_MAX}));
  columns.push_back(numbers<int32_t>({TypeId::kInt32}, {INT32_MIN, INT32_MAX}));
  columns.push_back(numbers<int64_t>({TypeId::kInt64}, {INT64_MIN, INT64_MAX}));
  columns.push_back(numbers<uint64_t>({TypeId::kUInt64}, {0, UINT64_MAX}));
  columns.push_back(numbers<float>({TypeId::kFloat32}, {-1.5f, 3e38f}));
  columns.push_back(numbers<double>({TypeId::kFloat64}, {-1.5, 1e308}));
  for (uint8_t precision : {4, 9, 18, 38}) {
    columns.push_back(numbers<Int128>({TypeId::kDecimal, precision, 2}, {-9999, 1}));
  }
  columns.push_back(numbers<int32_t>({TypeId::kDate}, {-719528, 2932896}));
  columns.push_back(numbers<int64_t>({TypeId::kTimestamp}, {-1, 253402300799999999}));
  columns.push_back(numbers<int64_t>({TypeId::kTimestampTz}, {-1, 253402300799999999}));
  columns.push_back(texts(
      {std::string("\0\1\2\3\4\5\6\7\x80\x81\x82\x83\x84\x85\x86\x87", 16), std::string(16, '\xFF')}, TypeId::kUuid));
  columns.push_back(texts({"", "twelve bytes, and then some: \xC3\xA9"}));
  columns.push_back(texts({std::string("\0\xFF", 2), "b"}, TypeId::kBytes));
  columns.push_back(texts({"{\"a\":1}", "null"}, TypeId::kJson));
  columns.push_back(texts({"1", "12345678901234567890123456789012345678901234567890.5"}, TypeId::kBigDecimal));

  std::vector<InputColumn> inputs;
  std::vector<std::string> expressions;
  std::vector<const Column*> pointers;
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i].append_null();
    inputs.push_back({fmt::format("c{}", i), columns[i].type()});
    expressions.push_back(fmt::format("CASE WHEN c0 IS NULL THEN NULL ELSE c{} END", i));
    pointers.push_back(&columns[i]);
  }
  auto program = engine->prepare(inputs, expressions);
  ASSERT_TRUE(program.ok()) << program.error().message;
  auto output = (*program)->run(pointers, 3, {});
  ASSERT_TRUE(output.ok()) << output.error().message;
  EXPECT_TRUE(output->errors.empty());
  for (size_t i = 0; i < columns.size(); ++i) {
    bool big = columns[i].type().id == TypeId::kBigDecimal;  // expressions see its text
    if (!big) {
      EXPECT_EQ(output->columns[i].type(), columns[i].type()) << i;
    }
    for (size_t row = 0; row < 3; ++row) {
      if (big) {
        EXPECT_EQ(cell(output->columns[i], row), cell(columns[i], row));
      } else {
        EXPECT_TRUE(columns[i].same_cell(row, output->columns[i], row)) << i << " row " << row;
      }
    }
  }
}

TEST_F(DuckDbEngineTest, KeepsTheOrderOfManyRows) {
  constexpr size_t rows = 10'000;
  Column ids(LogicalType{TypeId::kInt64});
  Column names(LogicalType{TypeId::kText});
  for (size_t i = 0; i < rows; ++i) {
    ids.append_fixed<int64_t>(static_cast<int64_t>(i));
    if (i % 3 == 0) {
      names.append_null();
    } else {
      names.append_bytes(fmt::format("Name number {}", i));
    }
  }
  auto program = engine->prepare({{"id", {TypeId::kInt64}}, {"name", {TypeId::kText}}}, {"id + 1", "upper(name)"});
  ASSERT_TRUE(program.ok());
  for (int round = 0; round < 2; ++round) {
    auto output = (*program)->run(std::vector<const Column*>{&ids, &names}, rows, {});
    ASSERT_TRUE(output.ok());
    for (size_t i = 0; i < rows; ++i) {
      ASSERT_EQ(output->columns[0].fixed<int64_t>(i), static_cast<int64_t>(i) + 1);
      ASSERT_EQ(cell(output->columns[1], i), i % 3 == 0 ? "NULL" : fmt::format("NAME NUMBER {}", i));
    }
  }
}

TEST_F(DuckDbEngineTest, BadRowsFailAlone) {
  std::vector<std::string> values;
  std::vector<uint32_t> groups;
  for (int i = 0; i < 5000; ++i) {
    values.push_back(i == 17 || i == 4000 || i == 4001 ? "x" + std::to_string(i) : std::to_string(i));
    groups.push_back(static_cast<uint32_t>(i % 7));
  }
  Column input = texts(values);
  auto program = engine->prepare({{"a", {TypeId::kText}}}, {"CAST(a AS INTEGER)", "length(a)"});
  ASSERT_TRUE(program.ok());
  auto output = (*program)->run(std::vector<const Column*>{&input}, 5000, groups);
  ASSERT_TRUE(output.ok());
  ASSERT_EQ(output->errors.size(), 3u);
  EXPECT_EQ(output->errors[0].row, 17u);
  EXPECT_EQ(output->errors[0].message,
            "Conversion Error: Could not convert string 'x17' to INT32 when casting from source column a");
  EXPECT_EQ(output->errors[2].row, 4001u);
  EXPECT_EQ(cell(output->columns[0], 17), "NULL");
  EXPECT_EQ(cell(output->columns[1], 17), "NULL");
  EXPECT_EQ(cell(output->columns[0], 18), "18");
  EXPECT_EQ(cell(output->columns[0], 4999), "4999");
}

TEST_F(DuckDbEngineTest, AllRowsBadStaysBounded) {
  Column input = texts(std::vector<std::string>(20'000, "no number"));
  auto program = engine->prepare({{"a", {TypeId::kText}}}, {"CAST(a AS INTEGER)"});
  auto output = (*program)->run(std::vector<const Column*>{&input}, 20'000, {});
  ASSERT_TRUE(output.ok());
  ASSERT_EQ(output->errors.size(), 20'000u);
  EXPECT_EQ(output->errors[19'999].message.substr(0, 30), "fails like other rows of its b");
}

// … so not in expressions without any column, beside which they pass through.
TEST_F(DuckDbEngineTest, TextHeldCellsDoNotFailConstants) {
  Column amount(LogicalType{TypeId::kDecimal, 12, 2});
  amount.append_text("NaN");
  Column flag(LogicalType{TypeId::kBool});
  flag.append_fixed<uint8_t>(1);
  for (const char* constant : {"1", "CAST(NULL AS SMALLINT)", "'a' || 'b'"}) {
    auto program = engine->prepare({{"amount", amount.type()}, {"flag", flag.type()}}, {constant});
    auto output = (*program)->run(std::vector<const Column*>{&amount, &flag}, 1, {});
    ASSERT_TRUE(output.ok());
    EXPECT_EQ(output->errors.size(), 0u) << constant;
  }
}

TEST_F(DuckDbEngineTest, TextHeldCellsFailWhereTheyAreUsed) {
  Column amount(LogicalType{TypeId::kDecimal, 12, 2});
  amount.append_fixed<Int128>(100);
  amount.append_text("NaN");
  amount.append_null();
  Column other = texts({"a", "b", "\xFFz"});
  std::vector<InputColumn> inputs = {{"amount", amount.type()}, {"other", {TypeId::kText}}};
  std::vector<const Column*> columns = {&amount, &other};

  auto uses = engine->prepare(inputs, {"amount * 2"});
  auto output = (*uses)->run(columns, 3, {});
  ASSERT_TRUE(output.ok());
  ASSERT_EQ(output->errors.size(), 1u);  // `other` is not used, so its bad bytes do not matter
  EXPECT_EQ(output->errors[0].row, 1u);
  EXPECT_NE(output->errors[0].message.find("column \"amount\" is 'NaN'"), std::string::npos);
  EXPECT_EQ(cell(output->columns[0], 0), "2.00");

  auto spares = engine->prepare(inputs, {"upper(other)"});
  output = (*spares)->run(columns, 3, {});
  ASSERT_EQ(output->errors.size(), 1u);
  EXPECT_EQ(output->errors[0].row, 2u);
  EXPECT_EQ(output->errors[0].message, "column \"other\" is not UTF-8");
}

TEST_F(DuckDbEngineTest, RefusesWhatDoesNotCompile) {
  auto program = engine->prepare({{"a", {TypeId::kInt32}}}, {"a + b"});
  ASSERT_FALSE(program.ok());
  EXPECT_EQ(program.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(program.error().message.substr(0, 61), "Binder Error: Referenced column \"b\" not found in FROM clause!");
  EXPECT_FALSE(engine->prepare({}, {"1; SELECT 2"}).ok());
}

TEST_F(DuckDbEngineTest, ReachesNothing) {
  EXPECT_EQ(constant("(SELECT count(*) FROM read_text('/etc/hostname'))").substr(0, 23), "ERROR Permission Error:");
  EXPECT_EQ(constant("getenv('HOME')").substr(0, 6), "ERROR ");
  EXPECT_EQ(constant("current_setting('TimeZone')"), "text UTC");
}

TEST_F(DuckDbEngineTest, ColumnNamesThatDifferInCaseOnly) {
  Column one = texts({"one"});
  Column two = texts({"two"});
  auto program = engine->prepare({{"Id", {TypeId::kText}}, {"id", {TypeId::kText}}, {"client.plan", {TypeId::kText}}},
                                 {"upper(\"client.plan\")"});
  ASSERT_TRUE(program.ok()) << program.error().message;
  auto output = (*program)->run(std::vector<const Column*>{&one, &two, &two}, 1, {});
  EXPECT_EQ(cell(output->columns[0], 0), "TWO");
}

TEST_F(DuckDbEngineTest, ProgramsRunInThreads) {
  std::vector<std::thread> threads;
  std::vector<int> right(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        auto program = engine->prepare({{"a", {TypeId::kInt64}}}, {fmt::format("a * {}", t)});
        if (!program.ok()) continue;
        Column input = numbers<int64_t>({TypeId::kInt64}, std::vector<int64_t>(3000, i));
        auto output = (*program)->run(std::vector<const Column*>{&input}, 3000, {});
        if (output.ok() && output->columns[0].fixed<int64_t>(2999) == t * i) ++right[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(4, 20));
}

TEST_F(DuckDbEngineTest, NothingToCompute) {
  auto program = engine->prepare({{"a", {TypeId::kInt64}}}, {});
  ASSERT_TRUE(program.ok());
  Column input = numbers<int64_t>({TypeId::kInt64}, {1});
  EXPECT_TRUE((*program)->run(std::vector<const Column*>{&input}, 1, {}).ok());
}

}  // namespace
}  // namespace tributary
