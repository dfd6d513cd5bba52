#include "codec/debezium.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "codec/json_text.h"

namespace tributary {
namespace {

// PostgreSQL's JDBC driver's numbers for infinite timestamps, which Debezium passes on.
constexpr int64_t timestamp_infinity = 9223372036825200000;
constexpr int64_t timestamp_minus_infinity = -9223372036832400000;
constexpr int millisecond_digits_max = 3;

template <typename Number>
void put_float(std::string& out, Number value) {
  if (std::isnan(value)) {
    out += "\"NaN\"";
  } else if (std::isinf(value)) {
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    size_t at = out.size();
    fmt::format_to(std::back_inserter(out), "{}", value);  // the shortest text that reads back as the same number
    if (out.find_first_of(".e", at) == std::string::npos) out += ".0";
  }
}

void put_uuid(std::string& out, std::string_view bytes) {
  out.push_back('"');
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<uint8_t>(bytes[i]));
  }
  out.push_back('"');
}

// Java's ISO_OFFSET_DATE_TIME: "2024-02-29T23:59:59.5Z", as few digits of the fraction as are needed, a sign before years
// of more than four digits.
void put_zoned_timestamp(std::string& out, int64_t micros) {
  constexpr int64_t day_micros = 86'400'000'000;
  int64_t days = micros / day_micros - (micros % day_micros < 0);
  int64_t rest = micros - days * day_micros;
  CivilDate date = civil_from_days(days);
  out.push_back('"');
  if (date.year < 0) out.push_back('-');
  if (date.year > 9999) out.push_back('+');
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", std::abs(date.year), date.month,
                 date.day, rest / 3'600'000'000, rest / 60'000'000 % 60, rest / 1'000'000 % 60);
  if (int64_t fraction = rest % 1'000'000; fraction != 0) {
    fmt::format_to(std::back_inserter(out), ".{:06}", fraction);
    out.erase(out.find_last_not_of('0') + 1);
  }
  out += "Z\"";
}

// "timestamp(3) without time zone" → 3; without digits PostgreSQL's precision is 6.
int timestamp_digits(std::string_view source_type) {
  size_t at = source_type.find('(');
  if (at == std::string_view::npos || at + 1 >= source_type.size()) return 6;
  char digit = source_type[at + 1];
  return digit >= '0' && digit <= '6' ? digit - '0' : 6;
}

// time.precision.mode=adaptive: the unit depends on the column's precision.
void put_timestamp(std::string& out, const ColumnSchema& schema, int64_t micros) {
  bool millis = timestamp_digits(schema.source_type) <= millisecond_digits_max;
  int64_t value = millis ? micros / 1000 - (micros % 1000 < 0) : micros;
  fmt::format_to(std::back_inserter(out), "{}", value);
}

void put_value(std::string& out, const ColumnSchema& schema, const Column& column, size_t row) {
  auto put_number = [&](auto value) { fmt::format_to(std::back_inserter(out), "{}", value); };
  switch (column.type().id) {
    case TypeId::kBool: out += column.fixed<uint8_t>(row) != 0 ? "true" : "false"; return;
    case TypeId::kInt16: put_number(column.fixed<int16_t>(row)); return;
    case TypeId::kInt32: put_number(column.fixed<int32_t>(row)); return;
    case TypeId::kInt64: put_number(column.fixed<int64_t>(row)); return;
    case TypeId::kUInt64: put_number(column.fixed<uint64_t>(row)); return;
    case TypeId::kFloat32: put_float(out, column.fixed<float>(row)); return;
    case TypeId::kFloat64: put_float(out, column.fixed<double>(row)); return;
    case TypeId::kDecimal:
      out.push_back('"');
      out += decimal_to_string(column.fixed<Int128>(row), column.type().scale, column.shown_scale(row));
      out.push_back('"');
      return;
    case TypeId::kDate: put_number(column.fixed<int32_t>(row)); return;
    case TypeId::kTimestamp: put_timestamp(out, schema, column.fixed<int64_t>(row)); return;
    case TypeId::kTimestampTz: put_zoned_timestamp(out, column.fixed<int64_t>(row)); return;
    case TypeId::kUuid: put_uuid(out, column.bytes(row)); return;
    case TypeId::kBytes:
      out.push_back('"');
      put_base64(out, column.bytes(row));
      out.push_back('"');
      return;
    case TypeId::kText:
    case TypeId::kJson:
    case TypeId::kBigDecimal: put_json_string(out, column.bytes(row)); return;
  }
}

// A value that the column's type cannot hold, in the source's text form.
void put_held_as_text(std::string& out, const Column& column, std::string_view text) {
  bool infinity = text == "infinity" || text == "-infinity";
  if (column.type().id == TypeId::kTimestamp && infinity) {
    fmt::format_to(std::back_inserter(out), "{}", text[0] == '-' ? timestamp_minus_infinity : timestamp_infinity);
  } else {
    put_json_string(out, text);
  }
}

void put_unavailable(std::string& out, const Column& column) {
  out.push_back('"');
  if (column.type().id == TypeId::kBytes) {
    put_base64(out, debezium_unavailable_value);
  } else {
    out += debezium_unavailable_value;
  }
  out.push_back('"');
}

enum class Absent { kNull, kUnavailable };

// The object of `row`. A cell absent in `columns` is looked up in `older`, where given, then written as `absent` says.
void put_row(std::string& out, const TableSchema& schema, const std::vector<Column>& columns,
             const std::vector<Column>* older, size_t row, Absent absent) {
  out.push_back('{');
  for (size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) out.push_back(',');
    put_json_string(out, schema.columns[i].name);
    out.push_back(':');
    const Column* column = &columns[i];
    if (column->state(row) == CellState::kAbsent && older != nullptr) column = &(*older)[i];
    switch (column->state(row)) {
      case CellState::kValue: put_value(out, schema.columns[i], *column, row); break;
      case CellState::kNull: out += "null"; break;
      case CellState::kText: put_held_as_text(out, *column, column->text(row)); break;
      case CellState::kAbsent:
        if (absent == Absent::kNull) {
          out += "null";
        } else {
          put_unavailable(out, *column);
        }
        break;
    }
  }
  out.push_back('}');
}

bool has_before(const EventBatch& batch, size_t row) {
  for (const Column& column : batch.before) {
    if (column.state(row) != CellState::kAbsent) return true;
  }
  return false;
}

// "…_ms":…,"…_us":…,"…_ns":… of one moment. Debezium truncates toward minus infinity.
int64_t to_millis(int64_t micros) { return micros / 1000 - (micros % 1000 < 0); }

struct Fact {
  Position position;
  int64_t commit_micros;
  uint64_t transaction;
  char op;
};

void put_source(std::string& out, const EventBatch& batch, const Fact& fact, const DebeziumSource& source) {
  std::string_view table = batch.schema->table;
  size_t dot = table.find('.');
  std::string_view schema_name = dot == std::string_view::npos ? "" : table.substr(0, dot);
  if (dot != std::string_view::npos) table.remove_prefix(dot + 1);
  // A snapshot's rows have no record in the log of their own.
  bool own_record = fact.position.change != 0 && fact.position.change != UINT64_MAX;
  uint64_t lsn = own_record ? fact.position.change : fact.position.commit;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "\"source\":{{\"version\":\"{}\",\"connector\":\"{}\",\"name\":", debezium_version,
                 debezium_connector);
  put_json_string(out, source.name);
  fmt::format_to(to, ",\"ts_ms\":{},\"snapshot\":\"{}\",\"db\":", to_millis(fact.commit_micros),
                 fact.op == 'r' ? "true" : "false");
  put_json_string(out, source.database);
  fmt::format_to(to, ",\"sequence\":\"[\\\"{}\\\",\\\"{}\\\"]\",\"ts_us\":{},\"ts_ns\":{},\"schema\":",
                 fact.position.commit, lsn, fact.commit_micros, static_cast<Int128>(fact.commit_micros) * 1000);
  put_json_string(out, schema_name);
  out += ",\"table\":";
  put_json_string(out, table);
  fmt::format_to(to, ",\"txId\":{},\"lsn\":{},\"xmin\":null}}", fact.transaction, lsn);
}

void put_tail(std::string& out, const EventBatch& batch, const Fact& fact, const DebeziumSource& source) {
  put_source(out, batch, fact, source);
  int64_t processed = source.processed_micros != 0 ? source.processed_micros : fact.commit_micros;
  fmt::format_to(std::back_inserter(out),
                 ",\"transaction\":null,\"op\":\"{}\",\"ts_ms\":{},\"ts_us\":{},\"ts_ns\":{}}}", fact.op,
                 to_millis(processed), processed, static_cast<Int128>(processed) * 1000);
}

}  // namespace

std::string debezium_envelope(const EventBatch& batch, size_t row, const DebeziumSource& source) {
  CHECK(row < batch.rows());
  Op op = batch.ops[row];
  bool full = has_before(batch, row);
  std::string out = "{\"before\":";
  if (op == Op::kDelete) {
    put_row(out, *batch.schema, batch.columns, nullptr, row, Absent::kNull);
  } else if (full) {
    put_row(out, *batch.schema, batch.before, nullptr, row, Absent::kNull);
  } else {
    out += "null";
  }
  out += ",\"after\":";
  if (op == Op::kDelete) {
    out += "null";
  } else {
    // Under REPLICA IDENTITY FULL an unchanged value stands in the old row only.
    put_row(out, *batch.schema, batch.columns, full ? &batch.before : nullptr, row, Absent::kUnavailable);
  }
  out.push_back(',');
  put_tail(out, batch, {batch.positions[row], batch.commit_micros[row], batch.transactions[row], static_cast<char>(op)},
           source);
  return out;
}

std::string debezium_key(const EventBatch& batch, size_t row) {
  CHECK(row < batch.rows());
  TableSchema key_schema;
  std::vector<Column> key_columns;
  for (uint32_t index : batch.schema->key_columns) {
    key_schema.columns.push_back(batch.schema->columns[index]);
    Column& cell = key_columns.emplace_back(batch.columns[index].type());
    cell.append_from(batch.columns[index], row);
  }
  std::string out;
  put_row(out, key_schema, key_columns, nullptr, 0, Absent::kNull);
  return out;
}

std::string debezium_truncate(const EventBatch& batch, size_t range, const DebeziumSource& source) {
  const RangeFact& fact = batch.ranges.at(range);
  if (fact.kind != RangeKind::kTruncate) return {};
  std::string out = "{\"before\":null,\"after\":null,";
  put_tail(out, batch, {fact.position, fact.commit_micros, fact.transaction, 't'}, source);
  return out;
}

}  // namespace tributary
