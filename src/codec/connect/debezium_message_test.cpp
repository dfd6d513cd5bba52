// Messages that the real connector wrote (tests/data/debezium), read back as what PostgreSQL's own text of the rows is.
#include "codec/connect/debezium_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "codec/postgres/text_values.h"
#include "model/cells.h"
#include "model/row_key.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Record {
  std::string topic;
  std::string key;
  std::string value;
  std::string changed_key;
};

std::vector<Record> recorded(const std::string& name) {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/data/debezium/" + name + ".jsonl");
  std::vector<Record> records;
  for (std::string line; std::getline(file, line);) {
    auto json = nlohmann::json::parse(line);
    Record record{.topic = json["topic"]};
    if (json["key"].is_string()) record.key = json["key"];
    if (json["value"].is_string()) record.value = json["value"];
    for (const auto& header : json["headers"]) {
      if (header[0] == "__debezium.newkey" || header[0] == "__debezium.oldkey") record.changed_key = header[1];
    }
    records.push_back(std::move(record));
  }
  EXPECT_FALSE(records.empty()) << name;
  return records;
}

// The same value in the column's type as PostgreSQL's text gives it.
std::string shown(const Column& column, size_t row) {
  switch (column.state(row)) {
    case CellState::kNull: return "NULL";
    case CellState::kAbsent: return "ABSENT";
    case CellState::kText: return "text " + std::string(column.text(row));
    case CellState::kValue: break;
  }
  switch (column.type().id) {
    case TypeId::kBool: return column.fixed<uint8_t>(row) != 0 ? "t" : "f";
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
      std::string text;
      append_uuid_text(text, column.bytes(row));
      return text;
    }
    case TypeId::kBytes: {
      std::string text = "\\x";
      for (char c : column.bytes(row)) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
      return text;
    }
    default: return std::string(column.bytes(row));
  }
}

// A table's rows as they come, by column.
class Rows {
 public:
  explicit Rows(const ConnectModes& modes, std::vector<ConnectField> declared = {})
      : reader_(modes), declared_(std::move(declared)) {}

  Status take(const Record& record, OldImage old_image = OldImage::kKey) {
    ASSIGN_OR_RETURN(const DebeziumEvent* event, reader_.open(record.value));
    last = *event;
    if (event->kind != DebeziumKind::kRow) return {};
    std::vector<ConnectField> fields = declared_;
    if (!event->schema.empty()) {
      ASSIGN_OR_RETURN(fields, connect_row_fields(event->schema));
    }
    ASSIGN_OR_RETURN(std::vector<std::string> key, debezium_key_names(record.key));
    ASSIGN_OR_RETURN(TableSchema schema, debezium_table(event->table, fields, key, old_image));
    batch = EventBatch(ClientId{"acme"}, "items", std::make_shared<TableSchema>(schema));
    RETURN_IF_ERROR(reader_.append_row(batch, fields, {record.changed_key}));
    return batch.validate();
  }

  std::map<std::string, std::string> row() const {
    std::map<std::string, std::string> cells;
    for (size_t i = 0; i < batch.columns.size(); ++i) cells[batch.schema->columns[i].name] = shown(batch.columns[i], 0);
    return cells;
  }
  std::string type_of(const std::string& column) const {
    return batch.schema->columns[*batch.schema->find(column)].type.to_string();
  }

  EventBatch batch;
  DebeziumEvent last;

 private:
  DebeziumReader reader_;
  std::vector<ConnectField> declared_;
};

// Row 0 of tables.sql as psql shows it under our settings, and the type that native capture gives the column.
struct Expected {
  const char* column;
  const char* type;
  const char* text;
};
const std::vector<Expected> ordinary = {
    {"c_boolean", "bool", "t"},
    {"c_smallint", "int16", "7"},
    {"c_integer", "int32", "42"},
    {"c_bigint", "int64", "4200000000"},
    {"c_real", "float32", "1.5"},
    {"c_double", "float64", "2.25"},
    {"c_numeric", "decimal(38,18)", "12345.678900000000000000"},
    {"c_numeric_12_4", "decimal(12,4)", "12.3400"},
    {"c_numeric_negative", "decimal(7,0)", "1200"},
    {"c_numeric_38", "decimal(38,0)", "12345678901234567890123456789012345678"},
    {"c_money", "decimal(19,2)", "1234.56"},
    {"c_price", "decimal(10,2)", "9.99"},
    {"c_text", "text", "text é 漢 \"quoted\" \\ and /"},
    {"c_varchar", "text", "varchar"},
    {"c_char", "text", "char    "},
    {"c_citext", "text", "CiText"},
    {"c_xml", "text", "<a>1</a>"},
    {"c_ltree", "text", "top.sub.leaf"},
    {"c_bytea", "bytes", "\\x00ff10fe"},
    {"c_bit8", "text", "10100101"},
    {"c_date", "date", "2026-01-02"},
    {"c_time", "text", "03:04:05.678901"},
    {"c_time_3", "text", "03:04:05.678"},
    {"c_timestamp", "timestamp", "2026-01-02 03:04:05.678901"},
    {"c_timestamp_3", "timestamp", "2026-01-02 03:04:05.678000"},
    {"c_timestamp_0", "timestamp", "2026-01-02 03:04:05"},
    {"c_timestamptz", "timestamptz", "2026-01-02 01:04:05.678901"},
    {"c_uuid", "uuid", "01234567-89ab-cdef-0123-456789abcdef"},
    {"c_json", "json", "{\"a\": 1,  \"b\": [true, null, \"x\"], \"a\": 2}"},
    {"c_jsonb", "json", "{\"a\": 12345678901234567890.5, \"b\": [true, null, \"x\"]}"},
    {"c_mood", "text", "glad"},
    {"c_inet", "text", "192.168.0.1/24"},
    {"c_cidr", "text", "10.0.0.0/8"},
    {"c_macaddr", "text", "08:00:2b:01:02:03"},
    {"c_int8range", "text", "[1,6)"},
    {"c_tstzrange", "text", "[\"2026-01-01 00:00:00+00\",)"},
    {"c_point", "text", "(1.5,-2)"},
    {"c_tsvector", "text", "'a' 'cat' 'fat'"},
    {"c_oid", "int64", "4294967295"},
    {"c_integers", "text", "{1,2,NULL}"},
    {"c_texts", "text", "{a,NULL,\"b,c\"}"},
    {"c_numerics", "text", "{1.5000,NULL}"},
    {"c_timestamptzs", "text", "{\"2026-01-02 03:04:05.678901+00\",NULL}"},
    {"c_dates", "text", "{2026-01-02}"},
    {"c_jsonbs", "text", "{\"{\\\"a\\\": 1}\",NULL}"},
    {"c_uuids", "text", "{01234567-89ab-cdef-0123-456789abcdef}"},
    {"c_byteas", "text", "{\"\\\\x00ff\",NULL}"},
    {"c_moods", "text", "{sad,glad}"},
};

struct Mode {
  const char* file;
  std::vector<std::pair<std::string, std::string>> settings;
  std::map<std::string, std::string> differs;  // column → what is lost, or told otherwise
};
const std::vector<Mode> modes = {
    {"types_1", {}, {}},
    {"types_2",
     {{"decimal.handling.mode", "double"},
      {"time.precision.mode", "adaptive_time_microseconds"},
      {"binary.handling.mode", "base64"},
      {"hstore.handling.mode", "map"}},
     {{"c_numeric_38", "12345678901234568000000000000000000000"}, {"c_numerics", "{1.5,NULL}"}}},
    {"types_3",
     {{"decimal.handling.mode", "string"},
      {"time.precision.mode", "connect"},
      {"binary.handling.mode", "base64-url-safe"}},
     {
         {"c_time", "03:04:05.678"}, {"c_timestamp", "2026-01-02 03:04:05.678000"},
         // The connector encodes arrays of bytea in plain base64 whatever the mode; it shows where both alphabets differ.
     }},
    {"types_4",
     {{"time.precision.mode", "isostring"}, {"binary.handling.mode", "hex"}, {"hstore.handling.mode", "map"}},
     {}},
    {"types_5",
     {{"decimal.handling.mode", "double"}, {"time.precision.mode", "microseconds"}},
     {{"c_numeric_38", "12345678901234568000000000000000000000"}, {"c_numerics", "{1.5,NULL}"}}},
    {"types_6",
     {{"decimal.handling.mode", "string"}, {"time.precision.mode", "nanoseconds"}, {"binary.handling.mode", "base64"}},
     {}},
};

ConnectModes modes_of(const Mode& mode) {
  ConnectModes result;
  for (const auto& [name, value] : mode.settings) EXPECT_TRUE(result.set(name, value).ok()) << name;
  return result;
}

// The columns' types as tables.sql declares them.
std::map<std::string, std::string> declared_types() {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/data/debezium/tables.sql");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  size_t begin = text.find("CREATE TABLE every_type (") + 25;
  text = text.substr(begin, text.find("\n);", begin) - begin);
  std::map<std::string, std::string> types;
  int depth = 0;
  std::string entry;
  for (char c : text + ",") {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c != ',' || depth != 0) {
      entry.push_back(c == '\n' ? ' ' : c);
      continue;
    }
    entry.erase(0, entry.find_first_not_of(' '));
    size_t space = entry.find(' ');
    std::string type = entry.substr(space + 1);
    if (type.ends_with("PRIMARY KEY")) type = "int";
    if (type == "price") type = "numeric(10, 2)";
    types[entry.substr(0, space)] = type;
    entry.clear();
  }
  return types;
}

TEST(DebeziumMessageTest, ValuesOfEveryModeWithDeclaredTypesAreThoseOfPostgres) {
  auto types = declared_types();
  for (const Mode& mode : modes) {
    SCOPED_TRACE(mode.file);
    ConnectModes of = modes_of(mode);
    size_t read = 0;
    for (const Record& record : recorded(mode.file)) {
      if (!record.topic.ends_with("every_type")) continue;
      auto names = debezium_row_names(record.value);
      ASSERT_TRUE(names.ok());
      std::vector<ConnectField> fields;
      for (const std::string& name : *names) fields.push_back({name, declared_form(types.at(name), of)});
      Rows rows(of, fields);
      Status taken = rows.take(record);
      ASSERT_TRUE(taken.ok()) << taken.error().to_string();
      auto row = rows.row();
      if (row["id"] != "0" && row["id"] != "100") continue;
      ++read;
      for (const Expected& expected : ordinary) {
        auto differs = mode.differs.find(expected.column);
        EXPECT_EQ(row[expected.column], differs == mode.differs.end() ? expected.text : differs->second)
            << expected.column;
        EXPECT_EQ(rows.type_of(expected.column), expected.type) << expected.column;
      }
    }
    EXPECT_EQ(read, 2u) << "by snapshot and by stream";
  }
}

TEST(DebeziumMessageTest, SchemasTellWhatNeedsNoDeclaration) {
  for (const Mode& mode : modes) {
    SCOPED_TRACE(mode.file);
    Rows rows(modes_of(mode));
    size_t read = 0;
    for (const Record& record : recorded(std::string(mode.file) + "_schemas")) {
      if (!record.topic.ends_with("every_type")) continue;
      Status taken = rows.take(record);
      ASSERT_TRUE(taken.ok()) << taken.error().to_string();
      auto row = rows.row();
      if (row["id"] != "0") continue;
      ++read;
      for (const Expected& expected : ordinary) {
        // Such values come as plain texts or doubles, and their schema says no more.
        std::string column = expected.column;
        std::string type = rows.type_of(column);
        bool finer = type == expected.type;
        bool decimal = std::string_view(expected.type).starts_with("decimal");
        bool binary = column == "c_bytea" || column == "c_byteas";
        if (!finer) {
          EXPECT_TRUE(decimal ? type == "float64" || type == "text" : binary && type == "text")
              << column << " " << type;
          continue;
        }
        auto differs = mode.differs.find(column);
        if (column == "c_byteas" && mode.differs.empty() && std::string(mode.file) != "types_1") continue;
        if (binary && std::string(mode.file) != "types_1" && std::string(mode.file) != "types_5") continue;
        EXPECT_EQ(row[column], differs == mode.differs.end() ? expected.text : differs->second) << column;
      }
    }
    EXPECT_EQ(read, 1u);
  }
}

TEST(DebeziumMessageTest, EdgesOfEveryTypeAreValuesOrText) {
  Rows rows{ConnectModes{}};
  bool seen = false;
  for (const Record& record : recorded("types_1_schemas")) {
    if (!record.topic.ends_with("every_type")) continue;
    Status taken = rows.take(record);
    ASSERT_TRUE(taken.ok()) << taken.error().to_string();
    auto row = rows.row();
    if (row["id"] != "103") continue;
    seen = true;
    EXPECT_EQ(row["c_numeric"], "text 9" + std::string(80, '0'));
    EXPECT_EQ(row["c_numeric_38"], std::string(38, '9'));
    EXPECT_EQ(row["c_numeric_negative"], "99900");
    EXPECT_EQ(row["c_money"], "92233720368547758.07");
    EXPECT_EQ(row["c_time"], "24:00:00");
    EXPECT_EQ(row["c_timetz"].substr(0, 6), "15:59:") << "the zone is lost, not the moment";
    EXPECT_EQ(row["c_timestamptz"], "9999-12-31 23:59:59.999999");
    EXPECT_EQ(row["c_texts"], "{\"NULL\",NULL,\"\"}");
    EXPECT_EQ(row["c_json"], "18446744073709551616");
  }
  EXPECT_TRUE(seen);
}

TEST(DebeziumMessageTest, EveryKindOfChangeIsReadAsWhatItIs) {
  for (const char* file : {"changes_schemas", "changes_all"}) {
    SCOPED_TRACE(file);
    ConnectModes modes;
    std::vector<ConnectField> declared;
    for (auto [name, type] : {std::pair{"id", "integer"},
                              {"part", "text"},
                              {"name", "text"},
                              {"amount", "numeric(12,2)"},
                              {"body", "text"}})
      declared.push_back({name, declared_form(type, modes)});
    Rows rows(modes, declared);
    std::string ops;
    std::vector<std::string> moved;
    std::string toast;
    Position last;
    for (const Record& record : recorded(file)) {
      if (!record.topic.ends_with(".items")) continue;
      if (record.value.find("\"added\"") != std::string::npos && std::string(file) == "changes_all") continue;
      Status taken = rows.take(record);
      ASSERT_TRUE(taken.ok()) << taken.error().to_string() << record.value;
      if (rows.last.kind == DebeziumKind::kTruncate) ops += "t";
      if (rows.last.kind != DebeziumKind::kRow) continue;
      ops.push_back(static_cast<char>(rows.last.op));
      EXPECT_EQ(rows.last.table, "public.items");
      EXPECT_GE(rows.last.position, last) << "a partition's order is the positions'";
      last = rows.last.position;
      for (const auto& change : rows.batch.moved) moved.push_back(row_key_to_string(change.key));
      if (rows.row()["name"] == "toast unchanged") toast += rows.row()["body"] + " ";
      if (rows.last.op == Op::kDelete) {
        EXPECT_EQ(rows.row()["name"], "ABSENT");
      }
    }
    EXPECT_THAT(ops, HasSubstr("rrccucudcuudcd"));
    EXPECT_THAT(moved, ElementsAre("(4, 'c')", "(3, 'c')"));
    EXPECT_EQ(toast, "ABSENT ABSENT ");
  }
}

TEST(DebeziumMessageTest, FullIdentityHasTheRowBefore) {
  Rows rows{ConnectModes{}};
  size_t updates = 0;
  for (const Record& record : recorded("changes_schemas")) {
    if (!record.topic.ends_with("full_items")) continue;
    ASSERT_TRUE(rows.take(record, OldImage::kFull).ok());
    if (rows.last.kind != DebeziumKind::kRow) continue;
    if (rows.last.op == Op::kUpdate) {
      ASSERT_FALSE(rows.batch.before.empty());
      EXPECT_THAT(shown(rows.batch.before[2], 0), testing::AnyOf("one", "long"));
      ++updates;
    }
    if (rows.last.op == Op::kDelete) {
      EXPECT_EQ(rows.row()["name"], "uno");
    }
  }
  EXPECT_EQ(updates, 2u);
}

TEST(DebeziumMessageTest, WhatIsNoRowIsNothing) {
  DebeziumReader reader{ConnectModes{}};
  size_t others = 0;
  for (const Record& record : recorded("changes_all")) {
    bool of_table = record.topic.find(".public.") != std::string::npos;
    auto event = reader.open(record.value);
    ASSERT_TRUE(event.ok()) << event.error().to_string() << record.value;
    if (of_table && !record.value.empty()) continue;
    EXPECT_NE((*event)->kind, DebeziumKind::kRow) << record.value;
    EXPECT_NE((*event)->kind, DebeziumKind::kTruncate) << record.value;
    ++others;
  }
  EXPECT_GT(others, 40u);
}

TEST(DebeziumMessageTest, TablesWithoutAKeyAreRefusedWithWhatToDo) {
  auto fields = std::vector<ConnectField>{{"id", declared_form("int", {})}};
  auto table = debezium_table("public.keyless", fields, {}, OldImage::kFull);
  ASSERT_FALSE(table.ok());
  EXPECT_THAT(table.error().message, HasSubstr("message.key.columns"));
}

TEST(DebeziumMessageTest, MalformedMessagesAreErrorsAndAppendNothing) {
  ConnectModes modes;
  std::vector<ConnectField> fields = {{"id", declared_form("int", modes)}, {"name", declared_form("text", modes)}};
  auto schema = std::make_shared<TableSchema>(*debezium_table("public.items", fields, {"id"}, OldImage::kKey));
  const std::string source =
      R"("source":{"connector":"postgresql","name":"p","ts_ms":1,"db":"d","schema":"public","table":"items","lsn":5},)";
  for (const std::string& value : std::vector<std::string>{
           std::string("{"),
           std::string("[]"),
           std::string("7"),
           std::string("{\"op\":\"c\"}"),
           "{\"after\":{\"id\":1,\"name\":\"x\"}," + source + "\"op\":\"x\"}",
           "{\"after\":null," + source + "\"op\":\"c\"}",
           "{\"after\":{\"id\":1}," + source + "\"op\":\"c\"}",
           "{\"after\":{\"id\":\"x\",\"name\":\"x\"}," + source + "\"op\":\"c\"}",
           "{\"after\":{\"id\":1,\"name\":\"x\",\"more\":1}," + source + "\"op\":\"c\"}",
           "{\"after\":{\"id\":1,\"id\":1}," + source + "\"op\":\"c\"}",
           "{\"after\":{\"id\":null,\"name\":{}}," + source + "\"op\":\"c\"}",
           "{\"after\":{\"id\":1,\"name\":\"x\"},\"source\":{\"connector\":\"mysql\"},\"op\":\"c\"}",
           "{\"after\":{\"id\":1,\"name\":\"x\"},\"source\":{\"connector\":\"postgresql\",\"table\":\"items\"},\"op\":"
           "\"c\"}",
       }) {
    DebeziumReader reader(modes);
    EventBatch batch(ClientId{"acme"}, "items", schema);
    auto event = reader.open(value);
    Status read = event.ok() ? Status() : Status(event.error());
    if (event.ok() && (*event)->kind == DebeziumKind::kRow) read = reader.append_row(batch, fields, {});
    EXPECT_FALSE(read.ok()) << value;
    EXPECT_EQ(batch.rows(), 0u) << value;
    EXPECT_EQ(batch.columns[0].rows(), 0u) << value;
    EXPECT_EQ(batch.columns[1].rows(), 0u) << value;
  }
}

}  // namespace
}  // namespace tributary
