// Messages of a Debezium connector as Kafka Connect's JSON converter writes them, with schemas or without: what they are,
// where they stand, and their rows as columns.
//
//   DebeziumReader reader(modes);
//   ASSIGN_OR_RETURN(const DebeziumEvent* event, reader.open(value));          // what is it?
//   if (event->kind == DebeziumKind::kRow) RETURN_IF_ERROR(reader.append_row(batch, fields, keys));
//
// Source: Debezium's documentation, "Data change events" of the PostgreSQL connector; docs/formats/debezium.md.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "codec/connect/connect_value.h"
#include "model/event_batch.h"

namespace tributary {

enum class DebeziumKind : uint8_t {
  kRow,
  kTruncate,
  kNothing,  // tombstone, logical message
  kOther,  // no change of a row: a heartbeat, a transaction's begin or end, a change of a schema; a row without its envelope
};

// `source.snapshot`
enum class DebeziumSnapshot : uint8_t {
  kNo,
  kYes,
  kLastOfTable,  // "last_in_data_collection", and "last" of all
  kIncremental,  // beside the stream, and in its order
};

struct DebeziumEvent {
  DebeziumKind kind = DebeziumKind::kNothing;
  Op op = Op::kCreate;
  DebeziumSnapshot snapshot = DebeziumSnapshot::kNo;
  std::string connector;  // "postgresql"
  std::string name;  // the topic prefix
  std::string database;
  std::string table;  // "public.orders"
  Position position;  // epoch 0; change 0 in an incremental snapshot whose rows tell none
  int64_t commit_micros = 0;
  uint64_t transaction = 0;
  bool has_before = false;  // an object and not null
  std::string_view schema;  // Connect's JSON of the value's schema, until the next open(); empty: it came without
};

// Keys of a changed row key, from the headers "__debezium.newkey" (of the delete) and "__debezium.oldkey" (of the
// create); empty: no such header.
struct DebeziumKeys {
  std::string_view changed;
};

// The schema of a table whose rows have these fields. kInvalidInput: a key that is no field, or no key at all.
Result<TableSchema> debezium_table(const std::string& table, const std::vector<ConnectField>& fields,
                                   const std::vector<std::string>& key, OldImage old_image);

// Names of the key's columns, of a record's key with or without schema. Empty: it has none.
Result<std::vector<std::string>> debezium_key_names(std::string_view key);
// Tells two records apart: XXH3 of the value, seeded with that of the key (docs/formats/capture-state.md).
uint64_t debezium_fingerprint(std::string_view key, std::string_view value);
// Names of the row's columns, for records that came without a schema.
Result<std::vector<std::string>> debezium_row_names(std::string_view value);

// Not thread-safe.
class DebeziumReader {
 public:
  explicit DebeziumReader(const ConnectModes& modes) : values_(modes) {}

  // Looks at a record's value; valid until the next open(). kInvalidInput: no message of a connector that is known.
  Result<const DebeziumEvent*> open(std::string_view value);

  // Appends the opened row to the batch of its table, whose schema debezium_table() made of `fields`. kInvalidInput, with
  // nothing appended: its values are not of these fields.
  Status append_row(EventBatch& batch, const std::vector<ConnectField>& fields, const DebeziumKeys& keys);

 private:
  Status read_envelope(simdjson::ondemand::object envelope);
  Status read_source(simdjson::ondemand::object source);
  Result<simdjson::ondemand::object> envelope();
  Status append_images(EventBatch& batch, const std::vector<ConnectField>& fields);
  Status append_image(std::vector<Column>& columns, const std::vector<ConnectField>& fields, const TableSchema& schema,
                      simdjson::ondemand::object image, bool key_only);
  Status append_moved(EventBatch& batch, const std::vector<ConnectField>& fields, const DebeziumKeys& keys);

  ConnectValueReader values_;
  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  std::string buffer_;
  simdjson::ondemand::parser key_parser_;
  DebeziumEvent event_;
  bool with_schema_ = false;
  bool has_after_ = false;
};

}  // namespace tributary
