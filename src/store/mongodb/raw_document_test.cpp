#include "store/mongodb/raw_document.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "model/gather.h"
#include "model/random_batch.h"
#include "store/mongodb/bson_decimal.h"
#include "store/mongodb/bson_json.h"

namespace tributary {
namespace {

const ClientId acme("acme");

EventBatch there_and_back(const EventBatch& batch, RawDocumentOptions options) {
  RawDocumentWriter writer(batch, options);
  RawDocumentReader reader(batch.schema);
  EventBatch back(batch.client, batch.domain, batch.schema);
  for (size_t index = 0; index < batch.rows() + batch.ranges.size(); ++index) {
    Bson document;
    if (index < batch.rows()) {
      writer.write_row(document.get(), index);
    } else {
      writer.write_range(document.get(), index - batch.rows());
    }
    EXPECT_TRUE(bson_validate(document.get(), BSON_VALIDATE_UTF8, nullptr));
    auto head = read_head(*document);
    EXPECT_TRUE(head.ok());
    EXPECT_EQ(head->table, batch.schema->table);
    EXPECT_EQ(head->range, index >= batch.rows());
    if (head->has_before && back.before.empty()) {
      for (const ColumnSchema& column : batch.schema->columns) back.before.emplace_back(column.type);
    }
    Status appended = reader.append(back, *document);
    EXPECT_TRUE(appended.ok()) << appended.error().to_string();
  }
  return back;
}

TEST(RawDocument, AnyEventComesBackExactly) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    RandomBatch random(seed);
    SchemaPtr schema = random.schema("public.things", 1 + static_cast<uint32_t>(seed % 5));
    EventBatch batch = random.batch(acme, "things", schema, 1 + random.below(30));
    for (bool decimal128 : {true, false}) {
      EXPECT_TRUE(same_events(there_and_back(batch, {.decimal128 = decimal128}), batch)) << "seed=" << seed;
    }
  }
}

// A schema with one value column beside the key.
SchemaPtr schema_with(LogicalType type, const std::string& name = "v") {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.things";
  schema->version = 1;
  schema->columns.push_back({"id", {TypeId::kInt64}, "bigint", true, false});
  schema->columns.push_back({name, type, type.to_string(), false, false});
  schema->key_columns = {0};
  return schema;
}

EventBatch one_row(const SchemaPtr& schema) {
  EventBatch batch(acme, "things", schema);
  batch.ops.push_back(Op::kCreate);
  batch.positions.push_back({1, 2, 3, 4});
  batch.commit_micros.push_back(1'700'000'000'123'456);
  batch.transactions.push_back(742);
  batch.columns[0].append_fixed<int64_t>(7);
  return batch;
}

std::string text_of(const EventBatch& batch, RawDocumentOptions options = {}) {
  Bson document;
  RawDocumentWriter(batch, options).write_row(document.get(), 0);
  char* text = bson_as_canonical_extended_json(document.get(), nullptr);
  std::string out = text;
  bson_free(text);
  return out;
}

TEST(RawDocument, JsonKeepsItsTextWhateverItIs) {
  SchemaPtr schema = schema_with({TypeId::kJson});
  std::string deep;
  for (int i = 0; i < 60; ++i) deep += "[";
  deep += std::string(60, ']');
  for (std::string json : {R"({"a": 1, "b": [true, null, "x"], "c": {"d": 1.50}})",
                           R"({"a":1})",
                           R"({"a": 1, "a": 2})",
                           "null",
                           "7",
                           "-0",
                           "1.0",
                           "1e5",
                           "1e-7",
                           "123456789012345678901234567890.12345678901234567890",
                           "9223372036854775808",
                           "0.10",
                           R"("text")",
                           R"({"$ref": 1})",
                           R"({"a.b": 1})",
                           R"({"": 1})",
                           R"("\u0000")",
                           R"({"k\u0000": "\ud83d\ude00"})",
                           R"([1,2])",
                           R"([1, 2])",
                           "[]",
                           "{}",
                           " {} ",
                           "1, 2",
                           "broken {",
                           "",
                           R"("tab\tquote\"slash/")",
                           R"("é\u00e9")"}) {
    for (bool decimal128 : {true, false}) {
      EventBatch batch = one_row(schema);
      batch.columns[1].append_bytes(json);
      EXPECT_TRUE(same_events(there_and_back(batch, {.decimal128 = decimal128}), batch)) << json;
    }
  }
  EventBatch batch = one_row(schema);
  batch.columns[1].append_bytes(deep);
  EXPECT_TRUE(same_events(there_and_back(batch, {}), batch));
  batch = one_row(schema);
  batch.columns[1].append_bytes(R"({"a": 1, "b": [true, null], "c": 1.50})");
  EXPECT_EQ(text_of(batch).find("_exact"), std::string::npos) << "jsonb needs nothing beside it: " << text_of(batch);
}

TEST(RawDocument, WhatBsonHasNoRoomForIsTextWithItsType) {
  SchemaPtr schema = schema_with({TypeId::kDecimal, 38, 0});
  EventBatch batch = one_row(schema);
  batch.columns[1].append_fixed<Int128>(*parse_decimal("12345678901234567890123456789012345678", 38, 0));
  EXPECT_NE(text_of(batch).find(R"("v" : "12345678901234567890123456789012345678")"), std::string::npos);
  EXPECT_NE(text_of(batch).find(R"x("row_exact" : { "v" : "decimal(38,0)" })x"), std::string::npos) << text_of(batch);
  EXPECT_TRUE(same_events(there_and_back(batch, {}), batch));
  batch = one_row(schema);
  batch.columns[1].append_text("NaN");
  EXPECT_NE(text_of(batch).find(R"x("row_text" : { "v" : "decimal(38,0)" })x"), std::string::npos) << text_of(batch);

  batch = one_row(schema_with({TypeId::kDate}));
  batch.columns[1].append_fixed<int32_t>(days_from_civil(20'000, 1, 1));
  EXPECT_NE(text_of(batch).find("20000-01-01"), std::string::npos) << text_of(batch);
  EXPECT_TRUE(same_events(there_and_back(batch, {}), batch));
}

TEST(RawDocument, NumbersKeepTheZerosThatTheSourceShowed) {
  SchemaPtr schema = schema_with({TypeId::kDecimal, 20, 4});
  for (Int128 value : {Int128{0}, Int128{10'000}, Int128{-25'000}, Int128{1}, Int128{1'234'567'890}}) {
    for (int shown = 0; shown < 60; ++shown) {
      EventBatch batch = one_row(schema);
      batch.columns[1].append_decimal(value, static_cast<uint16_t>(shown));
      for (bool decimal128 : {true, false})
        EXPECT_TRUE(same_events(there_and_back(batch, {.decimal128 = decimal128}), batch)) << shown;
    }
  }
  EventBatch batch = one_row(schema);
  batch.columns[1].append_decimal(25'000, 2);
  EXPECT_NE(text_of(batch).find(R"("$numberDecimal" : "2.50")"), std::string::npos) << text_of(batch);
}

TEST(RawDocument, NamesThatAServerMayRefuseAreWrittenOtherwise) {
  auto schema = std::make_shared<TableSchema>(*schema_with({TypeId::kText}, "$a.b"));
  schema->columns.push_back({"\uFF04a\uFF0Eb", {TypeId::kText}, "text", false, false});
  schema->columns.push_back({"_id", {TypeId::kText}, "text", false, false});
  EXPECT_EQ(document_field_names(*schema),
            (std::vector<std::string>{"id", "\uFF04a\uFF0Eb", "\uFF04a\uFF0Eb_", "_id"}));
  EventBatch batch = one_row(schema);
  batch.columns[1].append_bytes("x");
  batch.columns[2].append_bytes("y");
  batch.columns[3].append_bytes("z");
  EXPECT_TRUE(same_events(there_and_back(batch, {}), batch));
}

TEST(RawDocument, AnEventHasOneIdAndTheyOrderByPosition) {
  EventBatch batch = one_row(schema_with({TypeId::kText}));
  batch.columns[1].append_null();
  Bson document;
  RawDocumentWriter(batch, {}).write_row(document.get(), 0);
  auto head = read_head(*document);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->id, "acme:000000010000000000000002000000000000000300000004:c:028000000000000007");
  EXPECT_GT(head->id, document_id_prefix(acme));
  EXPECT_LT(head->id, document_id_behind(acme, {1, 2, 3, 4}));
  EXPECT_GT(head->id, document_id_behind(acme, {1, 2, 3, 3}));
  EXPECT_LT(head->id, document_id_end(acme));
  EXPECT_EQ(document_key(std::string(200, 'a')).size(), 400U);
  EXPECT_EQ(document_key(std::string(201, 'a')).size(), 33U);
  EXPECT_NE(document_key(std::string(201, 'a')), document_key(std::string(202, 'a')));
}

// docs/formats/raw-document.md: the stored bytes are what is written today, and are read.
TEST(RawDocument, StoredBytesStayReadable) {
  auto schema = std::make_shared<TableSchema>();
  schema->table = "public.orders";
  schema->version = 3;
  auto column = [&](const char* name, LogicalType type, const char* source_type) {
    schema->columns.push_back({name, type, source_type, schema->columns.empty(), type.is_variable()});
  };
  column("id", {TypeId::kInt64}, "bigint");
  column("total", {TypeId::kDecimal, 12, 2}, "numeric(12,2)");
  column("placed_at", {TypeId::kTimestamp}, "timestamp without time zone");
  column("day", {TypeId::kDate}, "date");
  column("tags", {TypeId::kJson}, "jsonb");
  column("token", {TypeId::kUuid}, "uuid");
  column("photo", {TypeId::kBytes}, "bytea");
  column("note", {TypeId::kText}, "text");
  column("weight", {TypeId::kFloat32}, "real");
  schema->key_columns = {0};
  EventBatch batch(acme, "orders", schema);
  auto add = [&](Op op, uint32_t ordinal) {
    batch.ops.push_back(op);
    batch.positions.push_back({1, 0x1A2B3C8, 0x1A2B300, ordinal});
    batch.commit_micros.push_back(1'700'000'000'123'456);
    batch.transactions.push_back(742);
    for (size_t i = 1; i < batch.columns.size(); ++i) {
      while (batch.columns[i].rows() + 1 < batch.rows()) batch.columns[i].append_absent();
    }
    batch.columns[0].append_fixed<int64_t>(7 + ordinal);
  };
  add(Op::kCreate, 0);
  batch.columns[1].append_fixed<Int128>(1250);
  batch.columns[2].append_fixed<int64_t>(1'709'251'199'000'001);
  batch.columns[3].append_fixed<int32_t>(19'782);
  batch.columns[4].append_bytes(R"({"a": [1, true], "b": 1.50})");
  batch.columns[5].append_bytes("0123456789abcdef");
  batch.columns[6].append_bytes(std::string_view("\0\xff", 2));
  batch.columns[7].append_null();
  batch.columns[8].append_fixed<float>(1.5F);
  add(Op::kUpdate, 1);
  batch.columns[1].append_text("NaN");
  batch.columns[4].append_bytes(R"({"a":1})");
  add(Op::kDelete, 2);
  batch.moved.push_back({2, "\x02\x80\x09"});
  for (size_t i = 1; i < batch.columns.size(); ++i) {
    while (batch.columns[i].rows() < batch.rows()) batch.columns[i].append_absent();
  }
  batch.ranges.push_back({RangeKind::kTruncate, {1, 0x1A2B3C8, 0x1A2B300, 3}, "", "\x02", 1'700'000'000'123'456, 742});
  ASSERT_TRUE(batch.validate().ok());

  std::ifstream file(TRIBUTARY_SOURCE_DIR "/tests/formats/raw-document-1.txt");
  EventBatch stored(acme, "orders", schema);
  RawDocumentWriter writer(batch, {});
  RawDocumentReader reader(schema);
  for (size_t index = 0; index < 4; ++index) {
    Bson document;
    if (index < batch.rows()) {
      writer.write_row(document.get(), index);
    } else {
      writer.write_range(document.get(), 0);
    }
    std::string hex;
    for (uint32_t i = 0; i < document.get()->len; ++i) hex += fmt::format("{:02x}", bson_get_data(document.get())[i]);
    std::string line;
    std::getline(file, line);
    EXPECT_EQ(hex, line);
    std::string bytes;
    for (size_t i = 0; i + 1 < line.size(); i += 2)
      bytes.push_back(static_cast<char>(std::stoi(line.substr(i, 2), nullptr, 16)));
    bson_t read;
    ASSERT_TRUE(bson_init_static(&read, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
    ASSERT_TRUE(reader.append(stored, read).ok());
  }
  EXPECT_TRUE(same_events(stored, batch));
}

TEST(RawDocument, DamageIsAnError) {
  RandomBatch random(7);
  SchemaPtr schema = random.schema("public.things");
  EventBatch batch = random.batch(acme, "things", schema, 20);
  RawDocumentWriter writer(batch, {});
  RawDocumentReader reader(schema);
  for (size_t row = 0; row < batch.rows(); ++row) {
    Bson document;
    writer.write_row(document.get(), row);
    for (const char* field : {"kind", "position", "micros", "transaction"}) {
      Bson cut;
      bson_copy_to_excluding_noinit(document.get(), cut.get(), field, nullptr);
      EventBatch back(acme, "things", schema);
      EXPECT_FALSE(reader.append(back, *cut).ok()) << field;
    }
  }
  Bson empty;
  EXPECT_FALSE(read_head(*empty).ok());
}

TEST(BsonDecimal, IsExactOrNothing) {
  for (const char* text : {"0", "0.00", "-12.50", "1", "0.0001", "9999999999999999999999999999999999",
                           "0.1234567890123456789012345678901234", "-0.5"}) {
    auto plain = parse_plain(text);
    ASSERT_TRUE(plain.has_value()) << text;
    auto decimal = to_decimal128(*plain);
    ASSERT_TRUE(decimal.has_value()) << text;
    auto back = from_decimal128(*decimal);
    ASSERT_TRUE(back.has_value()) << text;
    EXPECT_EQ(plain_text(*back), text);
    // As the driver's own functions read and write it.
    bson_decimal128_t parsed;
    ASSERT_TRUE(bson_decimal128_from_string(text, &parsed));
    EXPECT_EQ(parsed.high, decimal->high) << text;
    EXPECT_EQ(parsed.low, decimal->low) << text;
  }
  for (const char* text : {"-0", "007", "1.", ".5", "1e5", "", "-", "10000000000000000000000000000000000", "1.2.3"})
    EXPECT_FALSE(parse_plain(text) && to_decimal128(*parse_plain(text))) << text;
}

}  // namespace
}  // namespace tributary
