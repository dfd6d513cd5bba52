// Event records: what the messages of a log on Kafka hold (docs/formats/kafka-record.md), and the very same events back.
//
//   EventRecordWriter writer(batch, "order", source);
//   EventRecord record;
//   for (size_t row = 0; row < batch.rows(); ++row) writer.write_row(record, row);   // key, value, headers
//
//   EventRecordReader reader;
//   ASSIGN_OR_RETURN(EventRecordTable table, EventRecordReader::table_of(headers));  // whose is it?
//   RETURN_IF_ERROR(reader.append(batch, headers, value));
//
// Pure. A record that any Debezium consumer reads: what JSON cannot tell of a row stands in the header `exact`.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "codec/debezium.h"
#include "model/event_batch.h"

namespace tributary {

// Last parts of an event's name, beside op_event_name().
constexpr std::string_view truncated_event = "truncated";
constexpr std::string_view absent_event = "absent";  // a range of keys without rows: nothing of Debezium's

// The whole header of a record that is a block of events instead (codec/block.h).
constexpr std::string_view block_event = "block";

constexpr std::string_view header_client = "client_id";
constexpr std::string_view header_event = "event";
constexpr std::string_view header_position = "position";
constexpr std::string_view header_schema_version = "schema_version";
constexpr std::string_view header_table = "table";
constexpr std::string_view header_exact = "exact";

struct EventRecord {
  std::string key;  // empty: none
  std::string value;
  std::string event;  // "order.created"
  std::string position;  // 48 hexadecimal digits, which order as the bytes do
  std::string exact;  // empty: no such header
};

// `batch` outlives it. Not thread-safe.
class EventRecordWriter {
 public:
  // With `schemas` key and value are {"schema":…,"payload":…}, as Kafka Connect's sinks want them.
  EventRecordWriter(const EventBatch& batch, std::string_view event, const DebeziumSource& source,
                    bool schemas = false);

  void write_row(EventRecord& record, size_t row);
  // batch.ranges[range].
  void write_range(EventRecord& record, size_t range);
  // Of all records.
  const std::string& schema_version() const { return schema_version_; }
  const std::string& table() const { return batch_.schema->table; }

 private:
  const EventBatch& batch_;
  DebeziumWriter debezium_;
  std::string event_;  // "order."
  std::string schema_version_;
  std::string key_begin_;  // up to the payload; empty: without schemas
  std::string value_begin_;
};

// As they came; empty where there is none.
struct EventRecordHeaders {
  std::string_view client;
  std::string_view event;
  std::string_view position;
  std::string_view schema_version;
  std::string_view table;
  std::string_view exact;
};

// Whose events a record is about.
struct EventRecordTable {
  std::string_view client;
  std::string_view table;
  uint32_t schema_version = 0;
  friend auto operator<=>(const EventRecordTable&, const EventRecordTable&) = default;
};

// Not thread-safe.
class EventRecordReader {
 public:
  // kInvalidInput: a header is missing or of another form.
  static Result<EventRecordTable> table_of(const EventRecordHeaders& headers);

  // Appends the record's event to the batch of its table. kInvalidInput, with nothing appended: it is none of ours.
  Status append(EventBatch& batch, const EventRecordHeaders& headers, std::string_view value);

 private:
  struct Cells;  // of one image, instead of what JSON has
  Status append_row(EventBatch& batch, Op op, const EventRecordHeaders& headers, std::string_view value);
  Status append_range(EventBatch& batch, RangeKind kind, const EventRecordHeaders& headers, std::string_view value);
  Status read_exact(const EventBatch& batch, std::string_view bytes);
  Result<simdjson::ondemand::object> open(std::string_view value);
  Status read_envelope(EventBatch& batch, Op op, std::string_view value);
  Status read_image(const TableSchema& schema, std::vector<Column>& columns, int image,
                    simdjson::ondemand::value value);
  Status read_source(simdjson::ondemand::value value);
  void name_columns(const SchemaPtr& schema);
  Status append_exact_cell(Column& column, std::string_view bytes);

  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  std::string buffer_;
  size_t padding_ = simdjson::SIMDJSON_PADDING;
  std::string spare_;
  SchemaPtr named_;
  std::vector<std::string> names_;  // of named_'s columns as JSON has them, with the quote behind
  // Of the record being read.
  bool rest_absent_ = false;
  bool has_before_cells_ = false;
  std::string_view moved_;
  bool is_moved_ = false;
  std::vector<std::string_view> exact_cells_[2];  // by image and column; empty: none
  bool any_exact_cells_ = false;
  int64_t commit_micros_ = 0;
  uint64_t transaction_ = 0;
};

std::string position_to_hex(const Position& position);
std::optional<Position> position_from_hex(std::string_view text);

}  // namespace tributary
