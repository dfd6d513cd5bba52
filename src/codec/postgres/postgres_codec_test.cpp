#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"
#include "codec/postgres/copy_text.h"
#include "codec/postgres/pgoutput.h"
#include "codec/postgres/row_facts.h"
#include "codec/postgres/text_values.h"

namespace tributary {
namespace {

// "42", "text:NaN": a cell as a person would write it, with how it is held.
std::string cell(LogicalType type, std::string_view text) {
  Column column(type);
  append_postgres_text(column, text);
  if (column.state(0) == CellState::kText) return "text:" + std::string(column.text(0));
  switch (type.id) {
    case TypeId::kBool: return column.fixed<uint8_t>(0) != 0 ? "true" : "false";
    case TypeId::kInt16: return std::to_string(column.fixed<int16_t>(0));
    case TypeId::kInt32: return std::to_string(column.fixed<int32_t>(0));
    case TypeId::kInt64: return std::to_string(column.fixed<int64_t>(0));
    case TypeId::kFloat32: return fmt::format("{}", column.fixed<float>(0));
    case TypeId::kFloat64: return fmt::format("{}", column.fixed<double>(0));
    case TypeId::kDecimal: return decimal_to_string(column.fixed<Int128>(0), type.scale);
    case TypeId::kDate: return date_to_string(column.fixed<int32_t>(0));
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return timestamp_to_string(column.fixed<int64_t>(0));
    default: return std::string(column.bytes(0));
  }
}

TEST(PostgresTextValues, NumbersKeepTheirValueOrStayText) {
  EXPECT_EQ(cell({TypeId::kBool}, "t"), "true");
  EXPECT_EQ(cell({TypeId::kBool}, "yes"), "text:yes");
  EXPECT_EQ(cell({TypeId::kInt16}, "-32768"), "-32768");
  EXPECT_EQ(cell({TypeId::kInt16}, "32768"), "text:32768");
  EXPECT_EQ(cell({TypeId::kInt64}, "-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(cell({TypeId::kInt64}, "4294967295"), "4294967295");
  EXPECT_EQ(cell({TypeId::kFloat64}, "NaN"), "nan");
  EXPECT_EQ(cell({TypeId::kFloat64}, "-Infinity"), "-inf");
  EXPECT_EQ(cell({TypeId::kFloat64}, "-0"), "-0");
  EXPECT_EQ(cell({TypeId::kFloat64}, "1e+308"), "1e+308");
  EXPECT_EQ(cell({TypeId::kFloat32}, "0.1"), "0.1");
  EXPECT_EQ(cell({TypeId::kFloat64}, "1.5x"), "text:1.5x");
}

TEST(PostgresTextValues, DecimalsAreExact) {
  LogicalType price{TypeId::kDecimal, 12, 2};
  EXPECT_EQ(cell(price, "1234567890.12"), "1234567890.12");
  EXPECT_EQ(cell(price, "-0.05"), "-0.05");
  EXPECT_EQ(cell(price, "7"), "7.00");
  EXPECT_EQ(cell(price, "0.005"), "text:0.005");
  EXPECT_EQ(cell(price, "12345678901.00"), "text:12345678901.00");
  EXPECT_EQ(cell(price, "NaN"), "text:NaN");
  EXPECT_EQ(cell(price, ""), "text:");
  LogicalType wide{TypeId::kDecimal, 38, 18};
  EXPECT_EQ(cell(wide, "99999999999999999999.999999999999999999"), "99999999999999999999.999999999999999999");
  EXPECT_EQ(cell(wide, "-12345678901234567890.5"), "-12345678901234567890.500000000000000000");
  EXPECT_EQ(cell(wide, "100000000000000000000"), "text:100000000000000000000");
  LogicalType money{TypeId::kDecimal, 19, 2};
  EXPECT_EQ(cell(money, "-$92,233,720,368,547,758.08"), "-92233720368547758.08");
  EXPECT_EQ(cell(money, "$1.50"), "1.50");
  LogicalType big{TypeId::kBigDecimal, 50, 10};
  EXPECT_EQ(cell(big, "1234567890123456789012345678901234567890.0123456789"),
            "1234567890123456789012345678901234567890.0123456789");
  EXPECT_EQ(cell(big, "Infinity"), "text:Infinity");
}

TEST(PostgresTextValues, DatesAndTimesFromBcToFarYears) {
  EXPECT_EQ(cell({TypeId::kDate}, "2024-02-29"), "2024-02-29");
  EXPECT_EQ(cell({TypeId::kDate}, "0044-03-15 BC"), "-0043-03-15");
  EXPECT_EQ(cell({TypeId::kDate}, "0001-12-31 BC"), "0000-12-31");
  EXPECT_EQ(cell({TypeId::kDate}, "5874897-12-31"), "5874897-12-31");
  EXPECT_EQ(cell({TypeId::kDate}, "-infinity"), "text:-infinity");
  EXPECT_EQ(cell({TypeId::kTimestamp}, "2024-02-29 23:59:59.000001"), "2024-02-29 23:59:59.000001");
  EXPECT_EQ(cell({TypeId::kTimestamp}, "2024-02-29 23:59:59.5"), "2024-02-29 23:59:59.500000");
  EXPECT_EQ(cell({TypeId::kTimestamp}, "0044-03-15 12:00:00 BC"), "-0043-03-15 12:00:00");
  EXPECT_EQ(cell({TypeId::kTimestamp}, "infinity"), "text:infinity");
  EXPECT_EQ(cell({TypeId::kTimestamp}, "294276-12-31 23:59:59"), "text:294276-12-31 23:59:59");
  EXPECT_EQ(cell({TypeId::kTimestamp}, "294246-12-31 23:59:59"), "294246-12-31 23:59:59");
  EXPECT_EQ(cell({TypeId::kTimestampTz}, "2024-02-29 23:59:59+00"), "2024-02-29 23:59:59");
  EXPECT_EQ(cell({TypeId::kTimestampTz}, "0044-03-15 12:00:00+00 BC"), "-0043-03-15 12:00:00");
  EXPECT_EQ(cell({TypeId::kTimestampTz}, "2024-02-29 23:59:59+01"), "text:2024-02-29 23:59:59+01");
}

TEST(PostgresTextValues, BytesAndUuids) {
  EXPECT_EQ(cell({TypeId::kBytes}, "\\x00ff41"), std::string("\0\xff"
                                                             "A",
                                                             3));
  EXPECT_EQ(cell({TypeId::kBytes}, "\\x0"), "text:\\x0");
  EXPECT_EQ(cell({TypeId::kUuid}, "00112233-4455-6677-8899-aabbccddeeff").size(), 16u);
  EXPECT_EQ(cell({TypeId::kUuid}, "00112233-4455-6677-8899-aabbccddeef"), "text:00112233-4455-6677-8899-aabbccddeef");
}

TEST(PostgresLogicalType, NumericModifiers) {
  auto modifier = [](int precision, int scale) { return ((precision << 16) | (scale & 0x7FF)) + 4; };
  EXPECT_EQ(postgres_logical_type(1700, -1).to_string(), "decimal(38,18)");
  EXPECT_EQ(postgres_logical_type(1700, modifier(12, 2)).to_string(), "decimal(12,2)");
  EXPECT_EQ(postgres_logical_type(1700, modifier(50, 10)).to_string(), "bigdecimal(50,10)");
  EXPECT_EQ(postgres_logical_type(1700, modifier(100, 10)).to_string(), "text");
  EXPECT_EQ(postgres_logical_type(1700, modifier(5, -3)).to_string(), "decimal(8,0)");
  EXPECT_EQ(postgres_logical_type(1700, modifier(2, 5)).to_string(), "decimal(5,5)");
  EXPECT_EQ(postgres_logical_type(790, -1).to_string(), "decimal(19,2)");
  EXPECT_EQ(postgres_logical_type(1007, -1).to_string(), "text");  // int4[]
}

TEST(CopyText, SplitsAndUnescapes) {
  std::vector<PgCell> cells;
  std::string scratch;
  ASSERT_TRUE(split_copy_line("1\t\\N\ta\\tb\\\\N\\nc\t\n", 4, cells, scratch).ok());
  EXPECT_EQ(cells[0].text, "1");
  EXPECT_EQ(cells[1].kind, PgCell::Kind::kNull);
  EXPECT_EQ(cells[2].text, "a\tb\\N\nc");
  EXPECT_EQ(cells[3].text, "");
  EXPECT_EQ(cells[3].kind, PgCell::Kind::kText);
  EXPECT_FALSE(split_copy_line("1\t2\n", 3, cells, scratch).ok());
}

std::string tuple(std::initializer_list<const char*> values) {  // nullptr: NULL, "~": unchanged
  std::string out;
  put_u16_big(out, static_cast<uint16_t>(values.size()));
  for (const char* value : values) {
    if (value == nullptr) {
      out += 'n';
    } else if (std::string_view(value) == "~") {
      out += 'u';
    } else {
      out += 't';
      put_u32_big(out, static_cast<uint32_t>(std::strlen(value)));
      out += value;
    }
  }
  return out;
}

std::string with_oid(char type, uint32_t oid, const std::string& rest) {
  std::string out(1, type);
  put_u32_big(out, oid);
  return out + rest;
}

SchemaPtr orders_schema() {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.orders";
  schema->version = 1;
  schema->columns = {{"id", {TypeId::kInt64}, "bigint", true, false}, {"note", {TypeId::kText}, "text", false, true}};
  schema->key_columns = {0};
  return schema;
}

TEST(RowFacts, AKeyChangeIsADeleteAndACreateThatNameEachOther) {
  ServerText text;
  RowFacts facts(ClientId("acme"), text);
  TableTarget target{orders_schema(), "orders"};
  std::string bytes = with_oid('U', 7, "K" + tuple({"1", nullptr}) + "N" + tuple({"2", "~"}));
  PgMessage message;
  ASSERT_TRUE(decode_pgoutput(bytes, false, message).ok());
  ASSERT_TRUE(
      facts.add_update(target, {{1, 10, 5, 0}, 99, 7}, message.old_image, message.old_cells, message.new_cells).ok());
  std::vector<EventBatch> batches = facts.take();
  ASSERT_EQ(batches.size(), 1u);
  const EventBatch& batch = batches[0];
  ASSERT_TRUE(batch.validate().ok());
  ASSERT_EQ(batch.rows(), 2u);
  EXPECT_EQ(batch.ops[0], Op::kDelete);
  EXPECT_EQ(batch.ops[1], Op::kCreate);
  EXPECT_EQ(batch.positions[0], batch.positions[1]);
  EXPECT_EQ(*batch.moved_key(0), batch.row_key(1));
  EXPECT_EQ(*batch.moved_key(1), batch.row_key(0));
  EXPECT_EQ(batch.columns[1].state(0), CellState::kAbsent);
  EXPECT_EQ(batch.columns[1].state(1), CellState::kAbsent);
}

TEST(RowFacts, UnderFullTheOldRowFillsWhatTheNewOneLeavesOut) {
  ServerText text;
  RowFacts facts(ClientId("acme"), text);
  TableTarget target{orders_schema(), "orders"};
  std::string bytes = with_oid('U', 7, "O" + tuple({"1", "long"}) + "N" + tuple({"1", "~"}));
  PgMessage message;
  ASSERT_TRUE(decode_pgoutput(bytes, false, message).ok());
  ASSERT_TRUE(facts.add_update(target, {}, message.old_image, message.old_cells, message.new_cells).ok());
  EventBatch batch = facts.take()[0];
  ASSERT_EQ(batch.rows(), 1u);
  EXPECT_EQ(batch.ops[0], Op::kUpdate);
  EXPECT_EQ(batch.columns[1].bytes(0), "long");
  EXPECT_EQ(batch.before[1].bytes(0), "long");
}

TEST(RowFacts, RowsWithoutTheirKeyAreRefused) {
  ServerText text;
  RowFacts facts(ClientId("acme"), text);
  TableTarget target{orders_schema(), "orders"};
  std::vector<PgCell> row = {{PgCell::Kind::kUnchanged, {}}, {PgCell::Kind::kNull, {}}};
  EXPECT_FALSE(facts.add_update(target, {}, 0, {}, row).ok());
  row.pop_back();
  EXPECT_FALSE(facts.add_insert(target, {}, row).ok());
  EXPECT_TRUE(facts.empty());
}

std::vector<std::string> sample_messages() {
  std::string begin = "B";
  put_u64_big(begin, 100);
  put_u64_big(begin, 1);
  put_u32_big(begin, 700);
  std::string commit("C\0", 2);
  for (uint64_t value : {100, 120, 1}) put_u64_big(commit, value);
  std::string columns;
  put_u16_big(columns, 1);
  columns += std::string("\1id\0", 4);
  put_u32_big(columns, 20);
  put_u32_big(columns, 0xFFFFFFFF);
  std::string relation = with_oid('R', 7, std::string("public\0orders\0d", 15) + columns);
  std::string truncate = "T";
  put_u32_big(truncate, 1);
  truncate += std::string("\0", 1);
  put_u32_big(truncate, 7);
  return {begin,
          commit,
          relation,
          truncate,
          with_oid('I', 7, "N" + tuple({"1", nullptr})),
          with_oid('U', 7, "K" + tuple({"1"}) + "N" + tuple({"2"})),
          with_oid('D', 7, "O" + tuple({"1"}))};
}

TEST(Pgoutput, EveryTruncationIsRefused) {
  PgMessage message;
  for (const std::string& sample : sample_messages()) {
    EXPECT_TRUE(decode_pgoutput(sample, false, message).ok()) << sample;
    for (size_t size = 0; size < sample.size(); ++size) {
      EXPECT_FALSE(decode_pgoutput(std::string_view(sample).substr(0, size), false, message).ok()) << sample[0] << size;
    }
    EXPECT_FALSE(decode_pgoutput(sample + "x", false, message).ok()) << sample[0];
  }
}

TEST(Pgoutput, GarbageIsRefusedOrReadAndNeverCrashes) {
  constexpr uint64_t seed = 20260101;
  std::mt19937_64 random(seed);
  std::vector<std::string> samples = sample_messages();
  PgMessage message;
  ServerText text;
  RowFacts facts(ClientId("acme"), text);
  TableTarget target{orders_schema(), "orders"};
  for (int round = 0; round < 200'000; ++round) {
    std::string bytes = samples[random() % samples.size()];
    for (uint64_t n = random() % 4 + 1; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 1));
    if (!decode_pgoutput(bytes, random() % 4 == 0, message).ok()) continue;
    if (message.kind == PgMessageKind::kInsert) (void)facts.add_insert(target, {}, message.new_cells);
    if (message.kind == PgMessageKind::kUpdate) {
      (void)facts.add_update(target, {}, message.old_image, message.old_cells, message.new_cells);
    }
    if (message.kind == PgMessageKind::kDelete)
      (void)facts.add_delete(target, {}, message.old_image, message.old_cells);
    if (facts.facts() > 1000) {
      for (const EventBatch& batch : facts.take()) ASSERT_TRUE(batch.validate().ok()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tributary
