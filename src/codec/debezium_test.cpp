#include "codec/debezium.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "codec/json_text.h"
#include "codec/postgres/text_values.h"
#include "model/random_batch.h"

namespace tributary {
namespace {

using nlohmann::json;

const DebeziumSource source{.name = "shop.acme", .database = "shop", .processed_micros = 1'700'000'001'500'250};

struct Table {
  std::shared_ptr<TableSchema> schema = std::make_shared<TableSchema>();
  EventBatch batch;

  explicit Table(std::vector<ColumnSchema> columns) {
    schema->table = "public.orders";
    schema->version = 1;
    schema->columns = std::move(columns);
    schema->key_columns = {0};
    batch = EventBatch(ClientId("acme"), "orders", schema);
  }
  void add(Op op) {
    batch.ops.push_back(op);
    batch.positions.push_back({1, 0x1A2B3C8, 0x1A2B300, 2});
    batch.commit_micros.push_back(1'700'000'000'123'456);
    batch.transactions.push_back(742);
  }
};

Table orders() {
  return Table({{"id", {TypeId::kInt64}, "bigint", true, false},
                {"total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", false, true},
                {"note", {TypeId::kText}, "text", false, true},
                {"photo", {TypeId::kBytes}, "bytea", false, true}});
}

TEST(Debezium, CreateIsAsTheConnectorWritesIt) {
  Table table = orders();
  table.add(Op::kCreate);
  table.batch.columns[0].append_fixed<int64_t>(7);
  table.batch.columns[1].append_fixed<Int128>(1250);
  table.batch.columns[2].append_bytes("a \"note\"\n");
  table.batch.columns[3].append_bytes("\x01\x02");
  // docs/formats/event.md shows this very text.
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/event-1.json");
  std::string golden;
  std::getline(file, golden);
  EXPECT_EQ(debezium_envelope(table.batch, 0, source), golden);
  EXPECT_EQ(debezium_key(table.batch, 0), R"({"id":7})");
}

TEST(Debezium, NumericWithoutAScaleShowsItsOwnDigits) {
  Table table({{"id", {TypeId::kInt64}, "bigint", true, false}, {"rate", {TypeId::kDecimal, 38, 18}, "numeric"}});
  for (std::string_view text : {"2", "2.50", "-0.00", "1.000000000000000000000", "100"}) {
    table.add(Op::kCreate);
    table.batch.columns[0].append_fixed<int64_t>(1);
    append_postgres_text(table.batch.columns[1], text);
    EXPECT_TRUE(table.batch.columns[1].is_value(table.batch.rows() - 1)) << text;
  }
  // PostgreSQL has no negative zero: "-0.00" is nothing that it writes.
  std::vector<std::string> shown = {"2", "2.50", "0.00", "1.000000000000000000000", "100"};
  for (size_t row = 0; row < shown.size(); ++row) {
    EXPECT_EQ(json::parse(debezium_envelope(table.batch, row, source))["after"]["rate"], shown[row]);
  }
}

TEST(Debezium, UpdateShowsWhatTheSourceDidNotSend) {
  Table table = orders();
  table.add(Op::kUpdate);
  table.batch.columns[0].append_fixed<int64_t>(7);
  table.batch.columns[1].append_text("NaN");
  table.batch.columns[2].append_absent();
  table.batch.columns[3].append_absent();
  json envelope = json::parse(debezium_envelope(table.batch, 0, source));
  EXPECT_EQ(envelope["op"], "u");
  EXPECT_TRUE(envelope["before"].is_null());
  EXPECT_EQ(envelope["after"], (json{{"id", 7},
                                     {"total", "NaN"},
                                     {"note", "__debezium_unavailable_value"},
                                     {"photo", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}}));
}

TEST(Debezium, FullReplicaIdentityHasBeforeAndFillsAfter) {
  Table table = orders();
  table.add(Op::kUpdate);
  for (const ColumnSchema& column : table.schema->columns) table.batch.before.emplace_back(column.type);
  table.batch.columns[0].append_fixed<int64_t>(7);
  table.batch.columns[1].append_fixed<Int128>(-5);
  table.batch.columns[2].append_absent();
  table.batch.columns[3].append_null();
  table.batch.before[0].append_fixed<int64_t>(7);
  table.batch.before[1].append_fixed<Int128>(0);
  table.batch.before[2].append_bytes("long");
  table.batch.before[3].append_null();
  json envelope = json::parse(debezium_envelope(table.batch, 0, source));
  EXPECT_EQ(envelope["before"], (json{{"id", 7}, {"total", "0.00"}, {"note", "long"}, {"photo", nullptr}}));
  EXPECT_EQ(envelope["after"], (json{{"id", 7}, {"total", "-0.05"}, {"note", "long"}, {"photo", nullptr}}));
}

TEST(Debezium, DeleteHasTheKeyBeforeAndNothingAfter) {
  Table table = orders();
  table.add(Op::kDelete);
  table.batch.columns[0].append_fixed<int64_t>(8);
  for (int i = 1; i < 4; ++i) table.batch.columns[static_cast<size_t>(i)].append_absent();
  json envelope = json::parse(debezium_envelope(table.batch, 0, source));
  EXPECT_EQ(envelope["op"], "d");
  EXPECT_EQ(envelope["before"], (json{{"id", 8}, {"total", nullptr}, {"note", nullptr}, {"photo", nullptr}}));
  EXPECT_TRUE(envelope["after"].is_null());
  EXPECT_EQ(debezium_key(table.batch, 0), R"({"id":8})");
}

TEST(Debezium, TruncateAndSnapshot) {
  Table table = orders();
  table.batch.ranges.push_back({RangeKind::kTruncate, {1, 500, 400, 0}, "", "", 1'700'000'000'000'000, 9});
  table.batch.ranges.push_back({RangeKind::kAbsence, {1, 500, 400, 0}, "", "", 1'700'000'000'000'000, 9});
  json truncate = json::parse(debezium_truncate(table.batch, 0, source));
  EXPECT_EQ(truncate["op"], "t");
  EXPECT_TRUE(truncate["before"].is_null());
  EXPECT_TRUE(truncate["after"].is_null());
  EXPECT_EQ(truncate["source"]["lsn"], 400);
  EXPECT_EQ(debezium_truncate(table.batch, 1, source), "");

  table.add(Op::kSnapshot);
  table.batch.positions[0] = Position::end_of_commit(1, 500);
  table.batch.columns[0].append_fixed<int64_t>(1);
  for (size_t i = 1; i < 4; ++i) table.batch.columns[i].append_null();
  json read = json::parse(debezium_envelope(table.batch, 0, source));
  EXPECT_EQ(read["op"], "r");
  EXPECT_EQ(read["source"]["snapshot"], "true");
  EXPECT_EQ(read["source"]["lsn"], 500);
}

TEST(Debezium, EveryType) {
  Table table({{"id", {TypeId::kInt16}, "smallint", true, false},
               {"b", {TypeId::kBool}, "boolean", false, false},
               {"u", {TypeId::kUInt64}, "oid", false, false},
               {"f4", {TypeId::kFloat32}, "real", false, false},
               {"f8", {TypeId::kFloat64}, "double precision", false, false},
               {"big", {TypeId::kBigDecimal, 60, 2}, "numeric(60,2)", false, false},
               {"d", {TypeId::kDate}, "date", false, false},
               {"ts3", {TypeId::kTimestamp}, "timestamp(3) without time zone", false, false},
               {"ts", {TypeId::kTimestamp}, "timestamp without time zone", false, false},
               {"tz", {TypeId::kTimestampTz}, "timestamp with time zone", false, false},
               {"uuid", {TypeId::kUuid}, "uuid", false, false},
               {"j", {TypeId::kJson}, "jsonb", false, false}});
  auto row = [&](float f4, double f8, int64_t ts, int64_t tz) {
    table.add(Op::kCreate);
    std::vector<Column>& c = table.batch.columns;
    c[0].append_fixed<int16_t>(-3);
    c[1].append_fixed<uint8_t>(1);
    c[2].append_fixed<uint64_t>(UINT64_MAX);
    c[3].append_fixed(f4);
    c[4].append_fixed(f8);
    c[5].append_bytes("123456789012345678901234567890123456789012345678.50");
    c[6].append_fixed<int32_t>(-1);
    c[7].append_fixed(ts);
    c[8].append_fixed(ts);
    c[9].append_fixed(tz);
    c[10].append_bytes(std::string("\x12\x3E\x45\x67\xE8\x9B\x12\xD3\xA4\x56\x42\x66\x14\x17\x40\x00", 16));
    c[11].append_bytes(R"({"a": 1})");
  };
  row(0.1F, 1e300, 1'700'000'000'123'456, 1'709'251'199'500'000);
  row(std::numeric_limits<float>::quiet_NaN(), -0.0, -1, days_from_civil(-43, 3, 15) * int64_t{86'400'000'000});
  row(2, -std::numeric_limits<double>::infinity(), 0, days_from_civil(12345, 1, 1) * int64_t{86'400'000'000} + 1);
  json first = json::parse(debezium_envelope(table.batch, 0, source))["after"];
  EXPECT_EQ(first["id"], -3);
  EXPECT_EQ(first["b"], true);
  EXPECT_EQ(first["u"], UINT64_MAX);
  EXPECT_EQ(first["f4"].get<float>(), 0.1F);
  EXPECT_EQ(first["f8"], 1e300);
  EXPECT_EQ(first["big"], "123456789012345678901234567890123456789012345678.50");
  EXPECT_EQ(first["d"], -1);
  EXPECT_EQ(first["ts3"], 1'700'000'000'123);
  EXPECT_EQ(first["ts"], 1'700'000'000'123'456);
  EXPECT_EQ(first["tz"], "2024-02-29T23:59:59.500000Z");
  EXPECT_EQ(first["uuid"], "123e4567-e89b-12d3-a456-426614174000");
  EXPECT_EQ(first["j"], R"({"a": 1})");
  std::string second = debezium_envelope(table.batch, 1, source);
  EXPECT_NE(second.find(R"("f4":"NaN","f8":-0.0,)"), std::string::npos) << second;
  EXPECT_NE(second.find(R"("ts3":-1,"ts":-1,"tz":"-0043-03-15T00:00:00.000000Z")"), std::string::npos) << second;
  std::string third = debezium_envelope(table.batch, 2, source);
  EXPECT_NE(third.find(R"("f4":2.0,"f8":"-Infinity",)"), std::string::npos) << third;
  EXPECT_NE(third.find(R"("tz":"+12345-01-01T00:00:00.000001Z")"), std::string::npos) << third;
}

TEST(Debezium, AnyBatchIsValidJson) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("odd\"schema.tab\\le");
    EventBatch batch = random.batch(ClientId("acme"), "things", schema, 30);
    for (size_t row = 0; row < batch.rows(); ++row) {
      json envelope = json::parse(debezium_envelope(batch, row, source), nullptr, false);
      ASSERT_FALSE(envelope.is_discarded()) << "seed=" << seed << " row=" << row;
      EXPECT_EQ(envelope["source"]["table"], "tab\\le");
      EXPECT_EQ(json::parse(debezium_key(batch, row))["id"], batch.columns[0].fixed<int64_t>(row));
    }
  }
}

// As many digits of the fraction as the column has, all six where the value has more.
TEST(Debezium, AZonedTimestampShowsTheColumnsDigits) {
  Table table({{"id", {TypeId::kInt16}, "smallint", true, false},
               {"tz0", {TypeId::kTimestampTz}, "timestamp(0) with time zone", false, false},
               {"tz3", {TypeId::kTimestampTz}, "timestamp(3) with time zone", false, false}});
  auto text = [&](int64_t micros) {
    table.add(Op::kCreate);
    table.batch.columns[0].append_fixed<int16_t>(1);
    table.batch.columns[1].append_fixed(micros);
    table.batch.columns[2].append_fixed(micros);
    json after = json::parse(debezium_envelope(table.batch, table.batch.rows() - 1, source))["after"];
    return after["tz0"].get<std::string>() + " " + after["tz3"].get<std::string>();
  };
  EXPECT_EQ(text(0), "1970-01-01T00:00:00Z 1970-01-01T00:00:00.000Z");
  EXPECT_EQ(text(-1), "1969-12-31T23:59:59.999999Z 1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(text(36'000'250'000), "1970-01-01T10:00:00.250000Z 1970-01-01T10:00:00.250Z");
  EXPECT_EQ(text(days_from_civil(-12345, 1, 1) * int64_t{86'400'000'000}),
            "-12345-01-01T00:00:00Z -12345-01-01T00:00:00.000Z");
}

// What the facts of a transaction share is written once; each still tells of itself.
TEST(Debezium, FactsOfManyTransactionsTellOfTheirOwn) {
  RandomBatch random(7);
  EventBatch batch = random.batch(ClientId("acme"), "things", random.schema("public.things"), 30);
  std::fill(batch.commit_micros.begin(), batch.commit_micros.end(), 5);  // tells no two of them apart
  std::fill(batch.transactions.begin(), batch.transactions.end(), 9);
  DebeziumWriter writer(batch, source);
  for (size_t row = 0; row < batch.rows(); ++row) {
    std::string together;
    writer.put_envelope(together, row);
    EXPECT_EQ(together, debezium_envelope(batch, row, source));
  }
}

std::string json_string(std::string_view text) {
  std::string out;
  put_json_string(out, text);
  return out;
}

TEST(JsonText, InvalidUtf8IsReplaced) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(json_string("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80"), "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\"");
  EXPECT_EQ(json_string("\xC3"), "\"" + bad + "\"");
  EXPECT_EQ(json_string("\xC0\x80"), "\"" + bad + bad + "\"");                  // overlong
  EXPECT_EQ(json_string("\xED\xA0\x80"), "\"" + bad + bad + bad + "\"");        // surrogate
  EXPECT_EQ(json_string("\xF0\x9F\x98x"), "\"" + bad + "x\"");                  // truncated: one character
  EXPECT_EQ(json_string("\xF4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");
  EXPECT_EQ(json_string(std::string("\0\x1F\x7F", 3)), "\"\\u0000\\u001f\x7F\"");
}

TEST(JsonText, EveryByteIsWrittenTheSameWhereverItStands) {
  for (int byte = 0; byte < 0x80; ++byte) {
    std::string one(1, static_cast<char>(byte));
    std::string alone = json_string(one);
    std::string inner = alone.substr(1, alone.size() - 2);
    for (size_t before = 0; before < 18; ++before) {
      std::string front(before, 'x');
      for (const std::string& back : {std::string(), std::string("~ zyxwvutsrqponm"), std::string(9, '!')}) {
        EXPECT_EQ(json_string(front + one + back), "\"" + front + inner + back + "\"") << byte << " behind " << before;
      }
    }
  }
}

TEST(JsonText, Base64) {
  auto base64 = [](std::string_view bytes) {
    std::string out;
    put_base64(out, bytes);
    return out;
  };
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("\xFB\xFF\xFE"), "+//+");
}

}  // namespace
}  // namespace tributary
