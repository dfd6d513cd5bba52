#include "codec/debezium.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "codec/debezium_values.h"
#include "codec/json_text.h"
#include "model/cells.h"

namespace tributary {
namespace {

template <typename Number>
void put_number(std::string& out, Number value) {
  fmt::format_int text(value);
  out.append(text.data(), text.size());
}

// "…_ms":…,"…_us":…,"…_ns":… of one moment. Debezium truncates toward minus infinity.
int64_t to_millis(int64_t micros) { return micros / 1000 - (micros % 1000 < 0); }

void put_nanos(std::string& out, int64_t micros) {
  put_number(out, micros);
  if (micros != 0) out += "000";
}

}  // namespace

DebeziumWriter::DebeziumWriter(const EventBatch& batch, const DebeziumSource& source)
    : batch_(batch), processed_micros_(source.processed_micros) {
  for (const ColumnSchema& column : batch.schema->columns) {
    std::string& name = names_.emplace_back(names_.empty() ? "{" : ",");
    put_json_string(name, column.name);
    name.push_back(':');
  }
  std::string_view table = batch.schema->table;
  size_t dot = table.find('.');
  std::string_view schema_name = dot == std::string_view::npos ? "" : table.substr(0, dot);
  if (dot != std::string_view::npos) table.remove_prefix(dot + 1);
  source_begin_ = fmt::format("\"source\":{{\"version\":\"{}\",\"connector\":\"{}\",\"name\":", debezium_version,
                              debezium_connector);
  put_json_string(source_begin_, source.name);
  source_begin_ += ",\"ts_ms\":";
  source_middle_ = "\",\"db\":";
  put_json_string(source_middle_, source.database);
  source_middle_ += ",\"sequence\":\"[\\\"";
  source_end_ = ",\"schema\":";
  put_json_string(source_end_, schema_name);
  source_end_ += ",\"table\":";
  put_json_string(source_end_, table);
  source_end_ += ",\"txId\":";
}

bool DebeziumWriter::has_before(size_t row) const {
  return std::any_of(batch_.before.begin(), batch_.before.end(),
                     [&](const Column& column) { return column.state(row) != CellState::kAbsent; });
}

bool DebeziumWriter::only_key(size_t row) const {
  for (size_t i = 0; i < batch_.columns.size(); ++i) {
    if (!batch_.schema->columns[i].key && batch_.columns[i].state(row) != CellState::kAbsent) return false;
  }
  return true;
}

// A cell of which the envelope does not tell all.
void DebeziumWriter::note(size_t image, size_t column, size_t row) {
  if (exact_ == nullptr) return;
  if (exact_->empty()) {
    put_u8(*exact_, debezium_exact_version);
    put_u8(*exact_, 0);
  }
  put_u8(*exact_, static_cast<uint8_t>(image));
  put_varint(*exact_, column);
  const Column& cells = image == kImageRow ? batch_.columns[column] : batch_.before[column];
  if (cells.state(row) == CellState::kAbsent) {
    put_u8(*exact_, static_cast<uint8_t>(CellState::kAbsent));
    return;
  }
  append_cell(*exact_, cells, row);
  if (cells.is_value(row) && cells.type().id == TypeId::kDecimal) put_u16(*exact_, cells.shown_scale(row));
}

// What concerns the row as a whole, and a before image that the envelope has no place for.
void DebeziumWriter::begin_exact(size_t row, bool before_is_told) {
  if (exact_ == nullptr) return;
  exact_->clear();
  const std::string* moved = batch_.moved_key(row);
  rest_absent_ = batch_.ops[row] == Op::kDelete && only_key(row);
  if (moved != nullptr || rest_absent_) {
    put_u8(*exact_, debezium_exact_version);
    put_u8(*exact_, static_cast<uint8_t>((rest_absent_ ? kExactRestAbsent : 0) | (moved != nullptr ? kExactMoved : 0)));
    if (moved != nullptr) put_string(*exact_, *moved);
  }
  if (before_is_told) return;
  for (size_t i = 0; i < batch_.before.size(); ++i) {
    if (batch_.before[i].state(row) != CellState::kAbsent) note(kImageBefore, i, row);
  }
}

// The object of `row`. A cell that is absent is looked up in the row before where `filled`, then written as `absent` says.
void DebeziumWriter::put_row(std::string& out, const std::vector<Column>& columns, size_t row, Absent absent,
                             bool filled) {
  size_t image = &columns == &batch_.columns ? kImageRow : kImageBefore;
  if (columns.empty()) out.push_back('{');
  for (size_t i = 0; i < columns.size(); ++i) {
    out += names_[i];
    const ColumnSchema& schema = batch_.schema->columns[i];
    const Column* column = &columns[i];
    bool told = true;
    CellState state = column->state(row);
    if (state == CellState::kAbsent && filled) {
      column = &batch_.before[i];
      told = column->state(row) == CellState::kAbsent;
    }
    switch (column->state(row)) {
      case CellState::kValue: told = put_debezium_value(out, schema, *column, row) && told; break;
      case CellState::kNull: out += "null"; break;
      case CellState::kText:
        put_debezium_text(out, *column, column->text(row));
        told = false;
        break;
      case CellState::kAbsent:
        if (absent == Absent::kNull) {
          out += "null";
          told = rest_absent_ && image == kImageRow;
        } else {
          put_debezium_unavailable(out, *column);
        }
        break;
    }
    if (!told) note(image, i, row);
  }
  out.push_back('}');
}

// What is the same of many facts, around the two places of the LSN.
void DebeziumWriter::begin_tail(const Fact& fact) {
  tail_of_ = fact;
  std::string& begin = tail_begin_;
  begin = source_begin_;
  put_number(begin, to_millis(fact.commit_micros));
  begin += ",\"snapshot\":\"";
  begin += fact.op == 'r' ? "true" : "false";
  begin += source_middle_;
  put_number(begin, fact.position.commit);
  begin += "\\\",\\\"";
  std::string& middle = tail_middle_;
  middle = "\\\"]\",\"ts_us\":";
  put_number(middle, fact.commit_micros);
  middle += ",\"ts_ns\":";
  put_nanos(middle, fact.commit_micros);
  middle += source_end_;
  put_number(middle, fact.transaction);
  middle += ",\"lsn\":";
  std::string& end = tail_end_;
  end = ",\"xmin\":null},\"transaction\":null,\"op\":\"";
  end.push_back(fact.op);
  int64_t processed = processed_micros_ != 0 ? processed_micros_ : fact.commit_micros;
  end += "\",\"ts_ms\":";
  put_number(end, to_millis(processed));
  end += ",\"ts_us\":";
  put_number(end, processed);
  end += ",\"ts_ns\":";
  put_nanos(end, processed);
  end.push_back('}');
}

void DebeziumWriter::put_tail(std::string& out, const Fact& fact) {
  if (!tail_of_.same_tail(fact)) begin_tail(fact);
  // A snapshot's rows have no record in the log of their own.
  bool own_record = fact.position.change != 0 && fact.position.change != UINT64_MAX;
  fmt::format_int lsn(own_record ? fact.position.change : fact.position.commit);
  std::string_view digits(lsn.data(), lsn.size());
  out += tail_begin_;
  out += digits;
  out += tail_middle_;
  out += digits;
  out += tail_end_;
}

void DebeziumWriter::put_envelope(std::string& out, size_t row, std::string* exact) {
  CHECK(row < batch_.rows());
  Op op = batch_.ops[row];
  bool full = op != Op::kDelete && has_before(row);
  exact_ = exact;
  rest_absent_ = false;
  begin_exact(row, full);
  out += "{\"before\":";
  if (op == Op::kDelete) {
    put_row(out, batch_.columns, row, Absent::kNull, false);
  } else if (full) {
    put_row(out, batch_.before, row, Absent::kNull, false);
  } else {
    out += "null";
  }
  out += ",\"after\":";
  if (op == Op::kDelete) {
    out += "null";
  } else {
    // Under REPLICA IDENTITY FULL an unchanged value stands in the old row only.
    put_row(out, batch_.columns, row, Absent::kUnavailable, full);
  }
  out.push_back(',');
  put_tail(out, {batch_.positions[row], batch_.commit_micros[row], batch_.transactions[row], static_cast<char>(op)});
  exact_ = nullptr;
}

void DebeziumWriter::put_key(std::string& out, size_t row, bool with_client) const {
  CHECK(row < batch_.rows());
  out.push_back('{');
  bool first = true;
  if (with_client) {
    out += "\"client_id\":";
    put_json_string(out, batch_.client.value);
    first = false;
  }
  for (uint32_t index : batch_.schema->key_columns) {
    const Column& column = batch_.columns[index];
    const ColumnSchema& schema = batch_.schema->columns[index];
    if (!first) out.push_back(',');
    first = false;
    if (with_client && schema.name == "client_id") {
      out += "\"client_id_\":";
    } else {
      out.append(names_[index], 1);
    }
    switch (column.state(row)) {
      case CellState::kValue: put_debezium_value(out, schema, column, row); break;
      case CellState::kText: put_debezium_text(out, column, column.text(row)); break;
      default: out += "null"; break;
    }
  }
  out.push_back('}');
}

void DebeziumWriter::put_truncate(std::string& out, size_t range) {
  const RangeFact& fact = batch_.ranges.at(range);
  if (fact.kind != RangeKind::kTruncate) return;
  out += "{\"before\":null,\"after\":null,";
  put_tail(out, {fact.position, fact.commit_micros, fact.transaction, 't'});
}

std::string debezium_envelope(const EventBatch& batch, size_t row, const DebeziumSource& source) {
  std::string out;
  DebeziumWriter(batch, source).put_envelope(out, row);
  return out;
}

std::string debezium_key(const EventBatch& batch, size_t row) {
  std::string out;
  DebeziumWriter(batch, {}).put_key(out, row);
  return out;
}

std::string debezium_truncate(const EventBatch& batch, size_t range, const DebeziumSource& source) {
  std::string out;
  DebeziumWriter(batch, source).put_truncate(out, range);
  return out;
}

}  // namespace tributary
