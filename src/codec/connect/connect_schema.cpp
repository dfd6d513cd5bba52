#include "codec/connect/connect_schema.h"

#include "codec/debezium_values.h"
#include "codec/json_text.h"

namespace tributary {
namespace {

struct ConnectType {
  std::string_view type;
  std::string_view name;  // semantic; empty: none
};

// As put_debezium_value() writes it.
ConnectType connect_type(const ColumnSchema& column) {
  switch (column.type.id) {
    case TypeId::kBool: return {"boolean", ""};
    case TypeId::kInt16: return {"int16", ""};
    case TypeId::kInt32: return {"int32", ""};
    case TypeId::kInt64:
    case TypeId::kUInt64: return {"int64", ""};
    case TypeId::kFloat32: return {"float", ""};
    case TypeId::kFloat64: return {"double", ""};
    case TypeId::kDate: return {"int32", "io.debezium.time.Date"};
    case TypeId::kTimestamp:
      return {"int64", debezium_in_millis(column) ? "io.debezium.time.Timestamp" : "io.debezium.time.MicroTimestamp"};
    case TypeId::kTimestampTz: return {"string", "io.debezium.time.ZonedTimestamp"};
    case TypeId::kUuid: return {"string", "io.debezium.data.Uuid"};
    case TypeId::kJson: return {"string", "io.debezium.data.Json"};
    case TypeId::kBytes: return {"bytes", ""};
    case TypeId::kDecimal:
    case TypeId::kBigDecimal:
    case TypeId::kText: return {"string", ""};
  }
  return {"string", ""};
}

void put_field(std::string& out, ConnectType type, bool optional, std::string_view field) {
  out += "{\"type\":\"";
  out += type.type;
  out += optional ? "\",\"optional\":true" : "\",\"optional\":false";
  if (!type.name.empty()) {
    out += ",\"name\":\"";
    out += type.name;
    out += "\",\"version\":1";
  }
  out += ",\"field\":";
  put_json_string(out, field);
  out.push_back('}');
}

void put_row(std::string& out, const TableSchema& table, const std::string& name, std::string_view field) {
  out += "{\"type\":\"struct\",\"fields\":[";
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (i != 0) out.push_back(',');
    put_field(out, connect_type(table.columns[i]), !table.columns[i].key, table.columns[i].name);
  }
  out += "],\"optional\":true,\"name\":";
  put_json_string(out, name + ".Value");
  out += ",\"field\":\"";
  out += field;
  out += "\"}";
}

void put_source(std::string& out) {
  constexpr ConnectType text{"string", ""};
  constexpr ConnectType number{"int64", ""};
  struct Field {
    std::string_view name;
    ConnectType type;
    bool optional;
  };
  constexpr Field fields[] = {{"version", text, false}, {"connector", text, false}, {"name", text, false},
                              {"ts_ms", number, false}, {"snapshot", text, true},   {"db", text, false},
                              {"sequence", text, true}, {"ts_us", number, true},    {"ts_ns", number, true},
                              {"schema", text, false},  {"table", text, false},     {"txId", number, true},
                              {"lsn", number, true},    {"xmin", number, true}};
  out += "{\"type\":\"struct\",\"fields\":[";
  for (const Field& field : fields) {
    if (&field != fields) out.push_back(',');
    put_field(out, field.type, field.optional, field.name);
  }
  out += "],\"optional\":false,\"name\":\"io.debezium.connector.postgresql.Source\",\"field\":\"source\"}";
}

}  // namespace

std::string connect_key_schema(const TableSchema& table, std::string_view name) {
  std::string out = "{\"type\":\"struct\",\"fields\":[";
  put_field(out, {"string", ""}, false, "client_id");
  for (uint32_t index : table.key_columns) {
    const ColumnSchema& column = table.columns[index];
    out.push_back(',');
    put_field(out, connect_type(column), false, column.name == "client_id" ? "client_id_" : column.name);
  }
  out += "],\"optional\":false,\"name\":";
  put_json_string(out, std::string(name) + "." + table.table + ".Key");
  out.push_back('}');
  return out;
}

std::string connect_envelope_schema(const TableSchema& table, std::string_view name) {
  std::string of = std::string(name) + "." + table.table;
  std::string out = "{\"type\":\"struct\",\"fields\":[";
  put_row(out, table, of, "before");
  out.push_back(',');
  put_row(out, table, of, "after");
  out.push_back(',');
  put_source(out);
  out +=
      ",{\"type\":\"struct\",\"fields\":[{\"type\":\"string\",\"optional\":false,\"field\":\"id\"},"
      "{\"type\":\"int64\",\"optional\":false,\"field\":\"total_order\"},"
      "{\"type\":\"int64\",\"optional\":false,\"field\":\"data_collection_order\"}],\"optional\":true,"
      "\"name\":\"event.block\",\"version\":1,\"field\":\"transaction\"},"
      "{\"type\":\"string\",\"optional\":false,\"field\":\"op\"}";
  for (std::string_view time : {"ts_ms", "ts_us", "ts_ns"}) {
    out.push_back(',');
    put_field(out, {"int64", ""}, true, time);
  }
  out += "],\"optional\":false,\"name\":";
  put_json_string(out, of + ".Envelope");
  out += ",\"version\":2}";
  return out;
}

}  // namespace tributary
