#include "codec/event_record.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "model/random_batch.h"

namespace tributary {
namespace {

using nlohmann::json;

const DebeziumSource source{.name = "shop.acme", .database = "shop"};

// Every event of `batch` as a record, and the records as a batch again.
Result<EventBatch> there_and_back(const EventBatch& batch, bool schemas) {
  EventBatch out(batch.client, batch.domain, batch.schema);
  EventRecordWriter writer(batch, "thing", source, schemas);
  EventRecordReader reader;
  EventRecord record;
  auto read = [&]() -> Status {
    EventRecordHeaders headers{batch.client.value,      record.event,   record.position,
                               writer.schema_version(), writer.table(), record.exact};
    ASSIGN_OR_RETURN(EventRecordTable table, EventRecordReader::table_of(headers));
    EXPECT_EQ(table, (EventRecordTable{batch.client.value, batch.schema->table, batch.schema->version}));
    return reader.append(out, headers, record.value);
  };
  for (size_t row = 0; row < batch.rows(); ++row) {
    writer.write_row(record, row);
    RETURN_IF_ERROR(read());
  }
  for (size_t range = 0; range < batch.ranges.size(); ++range) {
    writer.write_range(record, range);
    RETURN_IF_ERROR(read());
  }
  RETURN_IF_ERROR(out.validate());
  return out;
}

TEST(EventRecord, AnyBatchComesBackTheSame) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("odd\"schema.tab\\le", 7);
    EventBatch batch = random.batch(ClientId("acme"), "things", schema, 60);
    Result<EventBatch> back = there_and_back(batch, seed % 2 == 0);
    ASSERT_TRUE(back.ok()) << "seed=" << seed << " " << back.error().to_string();
    if (back->before.empty()) batch.before.clear();  // of absent cells only
    ASSERT_TRUE(same_events(*back, batch)) << "seed=" << seed;
  }
}

struct Orders {
  SchemaPtr schema = [] {
    TableSchema orders;
    orders.table = "public.orders";
    orders.version = 3;
    orders.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                      {"total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", false, false},
                      {"note", {TypeId::kText}, "text", false, true}};
    orders.key_columns = {0};
    return std::make_shared<const TableSchema>(orders);
  }();
  EventBatch batch{ClientId("acme"), "orders", schema};

  void add(Op op, int64_t id) {
    batch.ops.push_back(op);
    batch.positions.push_back({1, 0x1A2B3C8, 0x1A2B300, 0});
    batch.commit_micros.push_back(1'700'000'000'123'456);
    batch.transactions.push_back(742);
    batch.columns[0].append_fixed<int64_t>(id);
  }
};

TEST(EventRecord, KeyNamesTheClientAndHeadersTheEvent) {
  Orders orders;
  orders.add(Op::kCreate, 7);
  orders.batch.columns[1].append_fixed<Int128>(1250);
  orders.batch.columns[2].append_bytes("x");
  EventRecordWriter writer(orders.batch, "order", source);
  EventRecord record;
  writer.write_row(record, 0);
  EXPECT_EQ(record.key, R"({"client_id":"acme","id":7})");
  EXPECT_EQ(record.event, "order.created");
  EXPECT_EQ(record.position, "000000010000000001a2b3c80000000001a2b30000000000");
  EXPECT_EQ(position_from_hex(record.position), orders.batch.positions[0]);
  EXPECT_EQ(record.exact, "") << "JSON tells all of it";
  EXPECT_EQ(writer.schema_version(), "3");
  EXPECT_EQ(json::parse(record.value), json::parse(debezium_envelope(orders.batch, 0, source)));
}

TEST(EventRecord, DeleteOfAKeyTellsTheRestInTwoBytes) {
  Orders orders;
  orders.add(Op::kDelete, 7);
  orders.batch.columns[1].append_absent();
  orders.batch.columns[2].append_absent();
  EventRecordWriter writer(orders.batch, "order", source);
  EventRecord record;
  writer.write_row(record, 0);
  EXPECT_EQ(record.exact.size(), 2U);
  EXPECT_TRUE(same_events(*there_and_back(orders.batch, true), orders.batch));
}

// Of each kind of event one, with what JSON does not tell of it.
EventBatch one_of_each() {
  Orders orders;
  EventBatch& batch = orders.batch;
  auto add = [&](Op op, int64_t id, uint32_t ordinal) {
    orders.add(op, id);
    batch.positions.back().ordinal = ordinal;
  };
  add(Op::kCreate, 7, 0);
  batch.columns[1].append_fixed<Int128>(1250);
  batch.columns[2].append_bytes("x");
  add(Op::kUpdate, 7, 1);
  batch.columns[1].append_fixed<Int128>(1);
  batch.columns[2].append_absent();
  add(Op::kDelete, 8, 2);
  batch.columns[1].append_absent();
  batch.columns[2].append_absent();
  batch.moved.push_back({2, std::string("\x02\x80\0\0\0\0\0\0\x07", 9)});
  add(Op::kSnapshot, 9, 3);
  batch.columns[1].append_null();
  batch.columns[2].append_bytes("\xff");
  std::string key("\x02\x80\0\0\0\0\0\0\x07", 9);
  batch.ranges.push_back({RangeKind::kTruncate, {1, 2, 3, 4}, key, "", 5, 6});
  batch.ranges.push_back({RangeKind::kAbsence, {1, 2, 3, 5}, "", key, 5, 6});
  return batch;
}

// tests/formats/kafka-record-1.txt: a line a record: event, position, key, `exact` in hex, value, with tabs between; "-" is
// nothing. A value that is no JSON is in hex.
TEST(EventRecord, StoredRecordsStayReadableAndAreWrittenTheSame) {
  std::ifstream file(TRIBUTARY_SOURCE_DIR "/tests/formats/kafka-record-1.txt");
  EventBatch batch = one_of_each();
  EventBatch read(batch.client, batch.domain, batch.schema);
  EventRecordWriter writer(batch, "order", source);
  EventRecordReader reader;
  EventRecord record;
  std::string written;
  auto dashed = [](std::string text) { return text.empty() ? "-" : text; };
  auto check = [&] {
    std::string text = record.value.starts_with("{") ? record.value : to_hex(record.value);
    written += record.event + "\t" + record.position + "\t" + dashed(record.key) + "\t" + dashed(to_hex(record.exact)) +
               "\t" + text + "\n";
    std::string event, position, key, exact, value;
    std::getline(std::getline(std::getline(file, event, '\t'), position, '\t'), key, '\t');
    std::getline(std::getline(file, exact, '\t'), value);
    EXPECT_EQ(record.event, event);
    EXPECT_EQ(record.position, position);
    EXPECT_EQ(dashed(record.key), key);
    EXPECT_EQ(dashed(to_hex(record.exact)), exact);
    if (value.starts_with("{")) {
      json now = json::parse(record.value);
      json then = json::parse(value);
      now["source"].erase("version");  // the program's
      then["source"].erase("version");
      EXPECT_EQ(now, then);
    } else {
      EXPECT_EQ(text, value);
      value = *from_hex(value);
    }
    std::string exact_bytes = exact == "-" ? "" : *from_hex(exact);
    Status done = reader.append(read, {"acme", event, position, "3", "public.orders", exact_bytes}, value);
    EXPECT_TRUE(done.ok()) << done.error().message;
  };
  for (size_t row = 0; row < batch.rows(); ++row) {
    writer.write_row(record, row);
    check();
  }
  for (size_t range = 0; range < batch.ranges.size(); ++range) {
    writer.write_range(record, range);
    check();
  }
  EXPECT_TRUE(same_events(read, batch));
  if (HasFailure()) std::ofstream("kafka-record-1.txt.new") << written;
}

TEST(EventRecord, StrangersAreRefusedAndLeaveNothingBehind) {
  Orders orders;
  EventBatch& batch = orders.batch;
  EventRecordReader reader;
  std::string position = position_to_hex({1, 2, 3, 4});
  EventRecordHeaders good{"acme", "order.created", position, "3", "public.orders", ""};
  auto append = [&](EventRecordHeaders headers, std::string_view value) {
    Status status = reader.append(batch, headers, value);
    EXPECT_TRUE(batch.validate().ok());
    return status.ok() ? "" : status.error().message;
  };
  const std::string tail = R"(,"source":{"ts_us":1,"txId":2}})";
  EXPECT_EQ(append(good, R"({"before":null,"after":{"id":1,"total":"1.00","note":null})" + tail), "");
  EXPECT_EQ(append(good, R"({"source":{"ts_us":1,"txId":2},"after":null})"), "its value has no row");
  for (std::string_view value : {"", "null", "[1]", "{", "{\"before\":", "no", "{\"after\":{\"id\":1}}",
                                 "{\"after\":{\"id\":1,\"id\":1,\"note\":1}}", "{\"after\":{\"id\":\"\\u12\"}}"}) {
    EXPECT_NE(append(good, value), "") << value;
  }
  EXPECT_NE(append(good, R"({"after":{"id":1,"total":"1.00","note":null,"more":1})" + tail), "");
  EXPECT_NE(append(good, R"({"after":{"id":1,"total":"1.00","note":[1]})" + tail), "");
  EXPECT_NE(append(good, R"({"after":{"id":9223372036854775808,"total":"1.00","note":"x"})" + tail), "");
  EventRecordHeaders bad = good;
  bad.position = "00";
  EXPECT_EQ(append(bad, "{}"), "its header position is none");
  bad = good;
  bad.event = "order.upserted";
  EXPECT_EQ(append(bad, "{}"), "there is no event order.upserted");
  bad = good;
  bad.exact = std::string_view("\x02\x00", 2);
  EXPECT_EQ(append(bad, "{}"), "its header exact is of a newer program");
  bad.exact = std::string_view("\x01\x00\x00\x09\x01", 5);
  EXPECT_EQ(append(bad, "{}"), "its header exact does not fit the table's columns");
  EXPECT_EQ(batch.rows(), 1U);
  good.schema_version = "x";
  EXPECT_FALSE(EventRecordReader::table_of(good).ok());
}

TEST(EventRecord, AnyBytesGiveAnAnswer) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("public.things");
    EventBatch batch = random.batch(ClientId("acme"), "things", schema, 4);
    EventRecordWriter writer(batch, "thing", source);
    EventRecordReader reader;
    EventRecord record;
    EventBatch out(batch.client, batch.domain, schema);
    for (size_t row = 0; row < batch.rows(); ++row) {
      for (int damage = 0; damage < 20; ++damage) {
        writer.write_row(record, row);
        std::string& at = random.one_in(3) && !record.exact.empty() ? record.exact : record.value;
        at[random.below(at.size())] = static_cast<char>(random.next());
        if (random.one_in(4)) at.resize(random.below(at.size()));
        (void)reader.append(
            out, {"acme", record.event, record.position, writer.schema_version(), writer.table(), record.exact},
            record.value);
        ASSERT_TRUE(out.validate().ok()) << "seed=" << seed << ": " << out.validate().error().message;
      }
    }
  }
}

}  // namespace
}  // namespace tributary
