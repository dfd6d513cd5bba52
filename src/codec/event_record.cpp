#include "codec/event_record.h"

#include <fmt/format.h>

#include <charconv>

#include "base/bytes.h"
#include "base/hex.h"
#include "codec/block.h"
#include "codec/connect/connect_schema.h"
#include "codec/debezium_values.h"
#include "codec/json_text.h"
#include "model/cells.h"

namespace tributary {
namespace {

const std::string with_schema = "{\"schema\":";
const std::string payload = ",\"payload\":";

Error bad(std::string what) { return {ErrorCode::kInvalidInput, std::move(what)}; }

// "order.created" → "created".
std::string_view last_part(std::string_view event) {
  size_t dot = event.rfind('.');
  return dot == std::string_view::npos ? event : event.substr(dot + 1);
}

std::optional<Op> op_of(std::string_view event) {
  for (Op op : {Op::kCreate, Op::kUpdate, Op::kDelete, Op::kSnapshot}) {
    if (event == op_event_name(op)) return op;
  }
  return std::nullopt;
}

// What of a row was appended is taken back.
void truncate(EventBatch& batch, size_t rows) {
  batch.ops.resize(std::min(rows, batch.ops.size()));
  batch.positions.resize(std::min(rows, batch.positions.size()));
  batch.commit_micros.resize(std::min(rows, batch.commit_micros.size()));
  batch.transactions.resize(std::min(rows, batch.transactions.size()));
  for (auto* image : {&batch.columns, &batch.before}) {
    for (Column& column : *image) {
      if (column.rows() > rows) column.truncate(rows);
    }
  }
}

// Before images of a batch that has had none: absent of the rows that there are.
void begin_before(EventBatch& batch, size_t rows) {
  if (!batch.before.empty()) return;
  for (const ColumnSchema& column : batch.schema->columns) {
    Column& cells = batch.before.emplace_back(column.type);
    for (size_t i = 0; i < rows; ++i) cells.append_absent();
  }
}

bool is(simdjson::ondemand::field& field, std::string_view name_and_quote) {
  return std::string_view(field.key().raw(), name_and_quote.size()) == name_and_quote;
}

}  // namespace

void put_position_hex(std::string& out, const Position& position) {
  constexpr std::string_view digits = "0123456789abcdef";
  auto put = [&](auto part) {
    for (int shift = sizeof part * 8 - 4; shift >= 0; shift -= 4) out.push_back(digits[part >> shift & 15]);
  };
  put(position.epoch);
  put(position.commit);
  put(position.change);
  put(position.ordinal);
}

std::string position_to_hex(const Position& position) {
  std::string out;
  put_position_hex(out, position);
  return out;
}

std::optional<Position> position_from_hex(std::string_view text) {
  auto bytes = from_hex(text);
  if (!bytes || bytes->size() != Position::encoded_bytes) return std::nullopt;
  return Position::decode(*bytes);
}

// ---- writing ----

EventRecordWriter::EventRecordWriter(const EventBatch& batch, std::string_view event, const DebeziumSource& source,
                                     bool schemas)
    : batch_(batch),
      debezium_(batch, source),
      event_(fmt::format("{}.", event)),
      schema_version_(std::to_string(batch.schema->version)) {
  if (!schemas) return;
  key_begin_ = with_schema + connect_key_schema(*batch.schema, source.name) + payload;
  value_begin_ = with_schema + connect_envelope_schema(*batch.schema, source.name) + payload;
}

void EventRecordWriter::write_row(EventRecord& record, size_t row) {
  record.key = key_begin_;
  record.value = value_begin_;
  debezium_.put_key(record.key, row, true);
  debezium_.put_envelope(record.value, row, &record.exact);
  if (!value_begin_.empty()) {
    record.key.push_back('}');
    record.value.push_back('}');
  }
  record.event = event_;
  record.event += op_event_name(batch_.ops[row]);
  record.position.clear();
  put_position_hex(record.position, batch_.positions[row]);
}

void EventRecordWriter::write_range(EventRecord& record, size_t range) {
  const RangeFact& fact = batch_.ranges[range];
  record.key.clear();
  record.value.clear();
  record.exact.clear();
  bool truncated = fact.kind == RangeKind::kTruncate;
  record.event = event_;
  record.event += truncated ? truncated_event : absent_event;
  record.position = position_to_hex(fact.position);
  if (truncated) {
    record.value = value_begin_;
    debezium_.put_truncate(record.value, range);
    if (!value_begin_.empty()) record.value.push_back('}');
    if (fact.low.empty() && fact.high.empty()) return;
    put_u8(record.exact, debezium_exact_version);
    put_string(record.exact, fact.low);
    put_string(record.exact, fact.high);
    return;
  }
  EventBatch alone(batch_.client, batch_.domain, batch_.schema);
  alone.ranges.push_back(fact);
  record.value = encode_block(alone, BlockCompression::kNone);
}

// ---- reading ----

Result<EventRecordTable> EventRecordReader::table_of(const EventRecordHeaders& headers) {
  EventRecordTable table{headers.client, headers.table, 0};
  const std::string_view& version = headers.schema_version;
  auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), table.schema_version);
  if (headers.client.empty() || headers.table.empty() || headers.event.empty() || version.empty() ||
      error != std::errc{} || end != version.data() + version.size()) {
    return bad("its headers client_id, event, table and schema_version are not those of Tributary's events");
  }
  return table;
}

Status EventRecordReader::append(EventBatch& batch, const EventRecordHeaders& headers, std::string_view value) {
  std::string_view kind = last_part(headers.event);
  if (auto op = op_of(kind)) return append_row(batch, *op, headers, value);
  if (kind == truncated_event) return append_range(batch, RangeKind::kTruncate, headers, value);
  if (kind == absent_event) return append_range(batch, RangeKind::kAbsence, headers, value);
  return bad(fmt::format("there is no event {}", headers.event));
}

Status EventRecordReader::append_row(EventBatch& batch, Op op, const EventRecordHeaders& headers,
                                     std::string_view value) {
  auto position = position_from_hex(headers.position);
  if (!position) return bad("its header position is none");
  name_columns(batch.schema);
  RETURN_IF_ERROR(read_exact(batch, headers.exact));
  size_t rows = batch.rows();
  Status read = read_envelope(batch, op, value);
  if (!read.ok()) {
    truncate(batch, rows);
    return read;
  }
  batch.ops.push_back(op);
  batch.positions.push_back(*position);
  batch.commit_micros.push_back(commit_micros_);
  batch.transactions.push_back(transaction_);
  if (is_moved_) batch.moved.push_back({static_cast<uint32_t>(rows), std::string(moved_)});
  return {};
}

Status EventRecordReader::append_range(EventBatch& batch, RangeKind kind, const EventRecordHeaders& headers,
                                       std::string_view value) {
  if (kind == RangeKind::kAbsence) {
    ASSIGN_OR_RETURN(EventBatch alone, decode_block(value, batch.schema));
    if (alone.rows() != 0 || alone.client != batch.client) return bad("its value is not a range of keys");
    batch.ranges.insert(batch.ranges.end(), alone.ranges.begin(), alone.ranges.end());
    return {};
  }
  RangeFact fact{.kind = kind, .position = {}, .low = {}, .high = {}};
  auto position = position_from_hex(headers.position);
  if (!position) return bad("its header position is none");
  fact.position = *position;
  if (!headers.exact.empty()) {
    ByteReader exact(headers.exact);
    if (exact.u8() != debezium_exact_version) return bad("its header exact is of a newer program");
    fact.low = exact.string();
    fact.high = exact.string();
    if (!exact.ok() || !exact.at_end()) return bad("its header exact is cut short");
  }
  ASSIGN_OR_RETURN(simdjson::ondemand::object envelope, open(value));
  simdjson::ondemand::value source;
  if (envelope.find_field("source").get(source) != simdjson::SUCCESS) return bad("its value has no source");
  RETURN_IF_ERROR(read_source(source));
  fact.commit_micros = commit_micros_;
  fact.transaction = transaction_;
  batch.ranges.push_back(std::move(fact));
  return {};
}

void EventRecordReader::name_columns(const SchemaPtr& schema) {
  if (named_ == schema) return;
  named_ = schema;
  names_.clear();
  for (const ColumnSchema& column : schema->columns) {
    std::string quoted;
    put_json_string(quoted, column.name);
    names_.push_back(quoted.substr(1));
    // Names are compared without a look at where the text ends.
    padding_ = std::max(padding_, simdjson::SIMDJSON_PADDING + quoted.size());
  }
}

Status EventRecordReader::read_exact(const EventBatch& batch, std::string_view bytes) {
  rest_absent_ = has_before_cells_ = is_moved_ = false;
  if (any_exact_cells_) {
    for (auto& cells : exact_cells_) cells.assign(cells.size(), {});
    any_exact_cells_ = false;
  }
  if (bytes.empty()) return {};
  ByteReader reader(bytes);
  if (reader.u8() != debezium_exact_version) return bad("its header exact is of a newer program");
  uint8_t flags = reader.u8();
  rest_absent_ = (flags & kExactRestAbsent) != 0;
  is_moved_ = (flags & kExactMoved) != 0;
  if (is_moved_) moved_ = reader.string();
  while (reader.ok() && !reader.at_end()) {
    uint8_t image = reader.u8();
    uint64_t index = reader.varint();
    if (!reader.ok() || image > kImageBefore || index >= batch.schema->columns.size()) break;
    size_t begin = reader.position();
    uint8_t state = reader.u8();
    if (state != static_cast<uint8_t>(CellState::kAbsent)) {
      // What the cell is long, its own decoder knows.
      Column cell(batch.schema->columns[index].type);
      ByteReader ahead(bytes.substr(begin));
      if (!read_cell(ahead, cell)) break;
      size_t size = ahead.position();
      if (cell.is_value(0) && cell.type().id == TypeId::kDecimal) size += sizeof(uint16_t);
      reader.bytes(size - 1);
      if (!reader.ok()) break;
    }
    exact_cells_[image].resize(std::max<size_t>(exact_cells_[image].size(), batch.schema->columns.size()));
    exact_cells_[image][index] = bytes.substr(begin, reader.position() - begin);
    any_exact_cells_ = true;
    has_before_cells_ = has_before_cells_ || image == kImageBefore;
  }
  if (!reader.ok() || !reader.at_end()) return bad("its header exact does not fit the table's columns");
  return {};
}

Status EventRecordReader::append_exact_cell(Column& column, std::string_view bytes) {
  if (bytes[0] == static_cast<char>(CellState::kAbsent)) {
    column.append_absent();
    return {};
  }
  ByteReader reader(bytes);
  if (column.type().id == TypeId::kDecimal && bytes[0] == static_cast<char>(CellState::kValue)) {
    Column cell(column.type());
    CHECK(read_cell(reader, cell), "read before");
    column.append_decimal(cell.fixed<Int128>(0), reader.u16());
    return {};
  }
  CHECK(read_cell(reader, column), "read before");
  return {};
}

Result<simdjson::ondemand::object> EventRecordReader::open(std::string_view value) {
  buffer_.assign(value);
  buffer_.append(padding_, '\0');
  simdjson::error_code error = parser_.iterate(buffer_.data(), value.size(), buffer_.size()).get(document_);
  simdjson::ondemand::object envelope;
  if (error == simdjson::SUCCESS) error = document_.get_object().get(envelope);
  if (error == simdjson::SUCCESS && value.starts_with(with_schema)) {
    error = envelope.find_field("payload").get_object().get(envelope);
  }
  if (error != simdjson::SUCCESS) return bad(fmt::format("its value is no JSON object: {}", error_message(error)));
  return envelope;
}

Status EventRecordReader::read_envelope(EventBatch& batch, Op op, std::string_view value) {
  ASSIGN_OR_RETURN(simdjson::ondemand::object envelope, open(value));
  size_t rows = batch.rows();
  bool before_read = false;
  bool source_read = false;
  for (auto result : envelope) {
    simdjson::ondemand::field field;
    if (auto error = std::move(result).get(field)) return bad(fmt::format("its JSON: {}", error_message(error)));
    if (is(field, "before\"")) {
      if (op == Op::kDelete) {
        RETURN_IF_ERROR(read_image(*batch.schema, batch.columns, kImageRow, field.value()));
        continue;
      }
      simdjson::ondemand::json_type type{};
      if (field.value().type().get(type) != simdjson::SUCCESS) return bad("its before is no JSON");
      if (type != simdjson::ondemand::json_type::object) continue;
      begin_before(batch, rows);
      RETURN_IF_ERROR(read_image(*batch.schema, batch.before, kImageBefore, field.value()));
      before_read = true;
    } else if (is(field, "after\"") && op != Op::kDelete) {
      RETURN_IF_ERROR(read_image(*batch.schema, batch.columns, kImageRow, field.value()));
    } else if (is(field, "source\"")) {
      RETURN_IF_ERROR(read_source(field.value()));
      source_read = true;
      break;  // what follows is about the sending
    }
  }
  if (!source_read) return bad("its value has no source");
  if (batch.columns.empty() || batch.columns[0].rows() != rows + 1) return bad("its value has no row");
  if (before_read || (batch.before.empty() && !has_before_cells_)) return {};
  begin_before(batch, rows);
  for (size_t i = 0; i < batch.before.size(); ++i) {
    bool told = has_before_cells_ && !exact_cells_[kImageBefore][i].empty();
    if (!told) {
      batch.before[i].append_absent();
    } else {
      RETURN_IF_ERROR(append_exact_cell(batch.before[i], exact_cells_[kImageBefore][i]));
    }
  }
  return {};
}

Status EventRecordReader::read_image(const TableSchema& schema, std::vector<Column>& columns, int image,
                                     simdjson::ondemand::value value) {
  simdjson::ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return bad("a row in its value is no JSON object");
  size_t rows = columns.empty() ? 0 : columns[0].rows();
  size_t next = 0;
  size_t found = 0;
  for (auto result : object) {
    simdjson::ondemand::field field;
    if (auto error = std::move(result).get(field)) return bad(fmt::format("its JSON: {}", error_message(error)));
    size_t index = next < names_.size() ? next : 0;
    for (size_t tried = 0; tried < names_.size() && !is(field, names_[index]); ++tried) {
      index = index + 1 == names_.size() ? 0 : index + 1;
    }
    if (index >= names_.size() || !is(field, names_[index])) {
      return bad(fmt::format("its value has a column that version {} of {} has not", schema.version, schema.table));
    }
    Column& column = columns[index];
    if (index != 0 && column.rows() != rows) return bad(fmt::format("it has {} twice", schema.columns[index].name));
    std::string_view exact = any_exact_cells_ && index < exact_cells_[image].size() ? exact_cells_[image][index] : "";
    if (!exact.empty()) {
      RETURN_IF_ERROR(append_exact_cell(column, exact));
    } else if (rest_absent_ && image == kImageRow && !schema.columns[index].key) {
      column.append_absent();
    } else {
      RETURN_IF_ERROR(append_debezium_value(column, schema.columns[index], field.value(), spare_));
    }
    ++found;
    next = index + 1;
  }
  if (found != columns.size()) {
    return bad(fmt::format("its value lacks columns of version {} of {}", schema.version, schema.table));
  }
  return {};
}

Status EventRecordReader::read_source(simdjson::ondemand::value value) {
  simdjson::ondemand::object source;
  if (value.get_object().get(source) != simdjson::SUCCESS ||
      source.find_field("ts_us").get_int64().get(commit_micros_) != simdjson::SUCCESS ||
      source.find_field("txId").get_uint64().get(transaction_) != simdjson::SUCCESS) {
    return bad("its source has no ts_us and txId");
  }
  return {};
}

}  // namespace tributary
