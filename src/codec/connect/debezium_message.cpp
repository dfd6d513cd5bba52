#include "codec/connect/debezium_message.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "model/row_key.h"

namespace tributary {
namespace {

using simdjson::SUCCESS;
using simdjson::ondemand::json_type;
using simdjson::ondemand::object;

Error bad(std::string what) { return {ErrorCode::kInvalidInput, std::move(what)}; }

bool get_text(simdjson::ondemand::value& value, std::string& out) {
  std::string_view text;
  if (value.get_string().get(text) != SUCCESS) return false;
  out = text;
  return true;
}

// Whether the value is an object, without consuming it.
bool is_object(simdjson::ondemand::value& value) {
  json_type type{};
  return value.type().get(type) == SUCCESS && type == json_type::object;
}

// The document's object, from its beginning again. A parse that failed may have given the document up: then there is none.
bool object_again(simdjson::ondemand::document& document, object& out) {
  if (!document.is_alive()) return false;
  document.rewind();
  return document.get_object().get(out) == SUCCESS;
}

// "[\"27440072\",\"27439872\"]", of which either may be null → the first.
std::optional<uint64_t> first_of_sequence(std::string_view text) {
  size_t begin = text.find('"');
  if (!text.starts_with("[\"") || begin == std::string_view::npos) return std::nullopt;
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data() + begin + 1, text.data() + text.size(), number);
  return error == std::errc{} && end != text.data() + text.size() && *end == '"' ? std::optional(number) : std::nullopt;
}

DebeziumSnapshot snapshot_of(std::string_view text) {
  if (text.empty() || text == "false") return DebeziumSnapshot::kNo;
  if (text == "incremental") return DebeziumSnapshot::kIncremental;
  if (text == "last" || text == "last_in_data_collection") return DebeziumSnapshot::kLastOfTable;
  return DebeziumSnapshot::kYes;
}

// Streamed changes before the first commit that the connector knows of come behind all of its snapshot.
constexpr uint64_t commit_of_snapshot = 0;
constexpr uint64_t commit_before_first = 1;
// An incremental snapshot's rows share the position of the change before them.
constexpr uint32_t ordinal_incremental = 1U << 31;

void begin_before(EventBatch& batch, size_t rows) {
  if (!batch.before.empty()) return;
  for (const ColumnSchema& column : batch.schema->columns) {
    Column& cells = batch.before.emplace_back(column.type);
    for (size_t i = 0; i < rows; ++i) cells.append_absent();
  }
}

void truncate(std::vector<Column>& columns, size_t rows) {
  for (Column& column : columns) {
    if (column.rows() > rows) column.truncate(rows);
  }
}

// An object's names; the payload's where it is {"schema":…,"payload":…}.
Result<std::vector<std::string>> names_of(object fields) {
  std::vector<std::string> names;
  for (auto result : fields) {
    simdjson::ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) != SUCCESS || field.unescaped_key().get(name) != SUCCESS)
      return bad("no JSON object");
    names.emplace_back(name);
  }
  return names;
}

}  // namespace

Result<TableSchema> debezium_table(const std::string& table, const std::vector<ConnectField>& fields,
                                   const std::vector<std::string>& key, OldImage old_image) {
  TableSchema schema{.table = table, .old_image = old_image};
  for (const ConnectField& field : fields) {
    schema.columns.push_back(
        {.name = field.name,
         .type = field.form.type,
         .source_type = field.form.source_type,
         .may_be_absent = field.form.type.is_variable() || field.form.type.id == TypeId::kDecimal});
  }
  if (key.empty()) {
    return bad(
        fmt::format("{} has no key: give the table a primary key, or name columns in the connector's "
                    "message.key.columns",
                    table));
  }
  for (const std::string& name : key) {
    auto index = schema.find(name);
    if (!index) return bad(fmt::format("{}'s key has the column {}, and its rows have not", table, name));
    schema.columns[*index].key = true;
    schema.key_columns.push_back(*index);
  }
  return schema;
}

Result<std::vector<std::string>> debezium_key_names(std::string_view key) {
  simdjson::ondemand::parser parser;
  simdjson::padded_string text(key);
  simdjson::ondemand::document document;
  object top;
  if (parser.iterate(text).get(document) != SUCCESS || document.get_object().get(top) != SUCCESS) {
    return std::vector<std::string>();
  }
  object payload;
  bool with_schema = top.find_field_unordered("schema").error() == SUCCESS;
  auto found = top.find_field_unordered("payload").get_object().get(payload);
  if (with_schema && found == SUCCESS) return names_of(payload);
  if (!object_again(document, top)) return std::vector<std::string>();
  return names_of(top);
}

uint64_t debezium_fingerprint(std::string_view key, std::string_view value) {
  return XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(key.data(), key.size()));
}

Result<std::vector<std::string>> debezium_row_names(std::string_view value) {
  simdjson::ondemand::parser parser;
  simdjson::padded_string text(value);
  simdjson::ondemand::document document;
  object top;
  if (parser.iterate(text).get(document) != SUCCESS || document.get_object().get(top) != SUCCESS) {
    return bad("its value is no JSON object");
  }
  for (std::string_view image : {"after", "before"}) {
    object row;
    if (object_again(document, top) && top.find_field_unordered(image).get_object().get(row) == SUCCESS) {
      return names_of(row);
    }
  }
  return bad("its value has no row");
}

Result<const DebeziumEvent*> DebeziumReader::open(std::string_view value) {
  event_.kind = DebeziumKind::kNothing;
  event_.schema = {};
  event_.snapshot = DebeziumSnapshot::kNo;
  event_.has_before = false;
  has_after_ = false;
  with_schema_ = false;
  if (value.empty()) return &event_;  // tombstone
  buffer_.assign(value);
  buffer_.append(simdjson::SIMDJSON_PADDING, '\0');
  simdjson::error_code error = parser_.iterate(buffer_.data(), value.size(), buffer_.size()).get(document_);
  object top;
  if (error == SUCCESS) error = document_.get_object().get(top);
  if (error != SUCCESS) return bad(fmt::format("its value is no JSON object: {}", error_message(error)));
  // With schemas these are the only two fields, in this order.
  simdjson::ondemand::value schema;
  if (top.find_field("schema").get(schema) == SUCCESS) {
    if (is_object(schema)) {
      object fields;
      std::string_view text;
      if (schema.get_object().get(fields) != SUCCESS || fields.raw_json().get(text) != SUCCESS) {
        return bad("its schema is no JSON");
      }
      event_.schema = text;
    }
    with_schema_ = true;
    simdjson::ondemand::value payload;
    if (top.find_field("payload").get(payload) != SUCCESS) return bad("its value has a schema and no payload");
    if (payload.is_null().value_unsafe()) return &event_;  // tombstone
    if (!is_object(payload)) return bad("its payload is no JSON object");
    object envelope;
    if (payload.get_object().get(envelope) != SUCCESS) return bad("its payload is no JSON object");
    RETURN_IF_ERROR(read_envelope(envelope));
    return &event_;
  }
  if (!object_again(document_, top)) return bad("its value is no JSON object");
  RETURN_IF_ERROR(read_envelope(top));
  return &event_;
}

Status DebeziumReader::read_envelope(object envelope) {
  char op = 0;
  bool source_read = false;
  for (auto result : envelope) {
    simdjson::ondemand::field field;
    std::string_view name;
    if (auto error = std::move(result).get(field)) return bad(fmt::format("its JSON: {}", error_message(error)));
    if (field.unescaped_key().get(name) != SUCCESS) return bad("its JSON has no names");
    if (name == "before") {
      event_.has_before = is_object(field.value());
    } else if (name == "after") {
      has_after_ = is_object(field.value());
    } else if (name == "source") {
      object source;
      if (field.value().get_object().get(source) != SUCCESS) return bad("its source is no JSON object");
      RETURN_IF_ERROR(read_source(source));
      source_read = true;
    } else if (name == "op") {
      std::string_view text;
      if (field.value().get_string().get(text) != SUCCESS || text.size() != 1) return bad("its op is none");
      op = text[0];
    }
  }
  if (op == 0 && !event_.has_before && !has_after_) {
    event_.kind = DebeziumKind::kOther;
    return {};
  }
  if (op == 'm') return {};
  if (!source_read) return bad("its value has no source");
  if (op == 't') {
    event_.kind = DebeziumKind::kTruncate;
    return {};
  }
  bool deletes = op == 'd';
  if (op != 'c' && op != 'u' && op != 'r' && !deletes) return bad(fmt::format("there is no op {}", op));
  if (deletes ? !event_.has_before : !has_after_) return bad("its value has no row");
  event_.op = static_cast<Op>(op);
  event_.kind = DebeziumKind::kRow;
  return {};
}

Status DebeziumReader::read_source(object source) {
  std::string schema;
  std::string table;
  std::string snapshot;
  std::string sequence;
  int64_t millis = 0;
  std::optional<int64_t> micros;
  std::optional<uint64_t> lsn;
  event_.connector.clear();
  event_.transaction = 0;
  for (auto result : source) {
    simdjson::ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) != SUCCESS || field.unescaped_key().get(name) != SUCCESS)
      return bad("its source is no JSON");
    uint64_t number = 0;
    int64_t time = 0;
    bool read = true;
    if (name == "connector") {
      read = get_text(field.value(), event_.connector);
    } else if (name == "name") {
      read = get_text(field.value(), event_.name);
    } else if (name == "db") {
      read = get_text(field.value(), event_.database);
    } else if (name == "schema") {
      read = get_text(field.value(), schema);
    } else if (name == "table") {
      read = get_text(field.value(), table);
    } else if (name == "snapshot") {
      get_text(field.value(), snapshot);  // null: no
    } else if (name == "sequence") {
      get_text(field.value(), sequence);
    } else if (name == "ts_ms") {
      read = field.value().get_int64().get(millis) == SUCCESS;
    } else if (name == "ts_us") {
      if (field.value().get_int64().get(time) == SUCCESS) micros = time;
    } else if (name == "lsn") {
      if (field.value().get_uint64().get(number) == SUCCESS) lsn = number;
    } else if (name == "txId") {
      if (field.value().get_uint64().get(number) == SUCCESS) event_.transaction = number;
    }
    if (!read) return bad(fmt::format("its source has another {}", name));
  }
  if (event_.connector != "postgresql") {
    return bad(fmt::format("its connector is {}, and this version reads those of PostgreSQL's", event_.connector));
  }
  event_.table = schema + "." + table;
  event_.snapshot = snapshot_of(snapshot);
  event_.commit_micros = micros.value_or(millis * 1000);
  // A row of an incremental snapshot stands where the stream is: newer connectors tell no lsn of it.
  bool incremental = event_.snapshot == DebeziumSnapshot::kIncremental;
  if (!lsn && !incremental) return bad("its source has no lsn");
  bool initial = event_.snapshot == DebeziumSnapshot::kYes || event_.snapshot == DebeziumSnapshot::kLastOfTable;
  event_.position = {.epoch = 0,
                     .commit = first_of_sequence(sequence).value_or(initial ? commit_of_snapshot : commit_before_first),
                     .change = lsn.value_or(0),
                     .ordinal = incremental ? ordinal_incremental : 0};
  return {};
}

Result<object> DebeziumReader::envelope() {
  object top;
  if (!object_again(document_, top)) return bad("its value is no JSON object");
  if (!with_schema_) return top;
  object payload;
  if (top.find_field_unordered("payload").get_object().get(payload) != SUCCESS)
    return bad("its payload is no JSON object");
  return payload;
}

Status DebeziumReader::append_row(EventBatch& batch, const std::vector<ConnectField>& fields,
                                  const DebeziumKeys& keys) {
  CHECK(event_.kind == DebeziumKind::kRow && fields.size() == batch.columns.size());
  size_t rows = batch.rows();
  size_t moved = batch.moved.size();
  Status read = append_images(batch, fields);
  if (read.ok()) read = append_moved(batch, fields, keys);
  if (!read.ok()) {
    truncate(batch.columns, rows);
    truncate(batch.before, rows);
    batch.moved.resize(moved);
    return read;
  }
  batch.ops.push_back(event_.op);
  batch.positions.push_back(event_.position);
  batch.commit_micros.push_back(event_.commit_micros);
  batch.transactions.push_back(event_.transaction);
  return {};
}

Status DebeziumReader::append_images(EventBatch& batch, const std::vector<ConnectField>& fields) {
  ASSIGN_OR_RETURN(object envelope, this->envelope());
  size_t rows = batch.rows();
  bool deletes = event_.op == Op::kDelete;
  for (auto result : envelope) {
    simdjson::ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) != SUCCESS || field.unescaped_key().get(name) != SUCCESS)
      return bad("its JSON is broken");
    bool before = name == "before";
    if ((!before && name != "after") || !is_object(field.value())) continue;
    object image;
    if (field.value().get_object().get(image) != SUCCESS) return bad("its row is no JSON object");
    if (before && !deletes) {
      begin_before(batch, rows);
      RETURN_IF_ERROR(append_image(batch.before, fields, *batch.schema, image, false));
      continue;
    }
    bool key_only = deletes && batch.schema->old_image == OldImage::kKey;
    RETURN_IF_ERROR(append_image(batch.columns, fields, *batch.schema, image, key_only));
    if (!before) break;
  }
  for (uint32_t key : batch.schema->key_columns) {
    const Column& column = batch.columns[key];
    if (column.rows() != rows + 1 || column.state(rows) == CellState::kAbsent) return bad("its row has no key");
  }
  for (Column& column : batch.before) {
    if (column.rows() == rows) column.append_absent();
  }
  return {};
}

Status DebeziumReader::append_image(std::vector<Column>& columns, const std::vector<ConnectField>& fields,
                                    const TableSchema& schema, object image, bool key_only) {
  size_t rows = columns.empty() ? 0 : columns[0].rows();
  size_t next = 0;
  size_t found = 0;
  for (auto result : image) {
    simdjson::ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) != SUCCESS || field.unescaped_key().get(name) != SUCCESS)
      return bad("its row is no JSON");
    size_t index = next < fields.size() ? next : 0;
    for (size_t tried = 0; tried < fields.size() && fields[index].name != name; ++tried) {
      index = index + 1 == fields.size() ? 0 : index + 1;
    }
    if (index >= fields.size() || fields[index].name != name) {
      return bad(fmt::format("its row has the column {}, which {} had not", name, schema.table));
    }
    Column& column = columns[index];
    if (index != 0 && column.rows() != rows) return bad(fmt::format("its row has {} twice", name));
    if (key_only && !schema.columns[index].key) {
      column.append_absent();
    } else {
      RETURN_IF_ERROR(values_.append(column, fields[index], field.value()));
    }
    ++found;
    next = index + 1;
  }
  if (found != fields.size()) return bad(fmt::format("its row lacks columns that {} had", schema.table));
  return {};
}

Status DebeziumReader::append_moved(EventBatch& batch, const std::vector<ConnectField>& fields,
                                    const DebeziumKeys& keys) {
  if (keys.changed.empty()) return {};
  simdjson::padded_string text(keys.changed);
  simdjson::ondemand::document document;
  object top;
  if (key_parser_.iterate(text).get(document) != SUCCESS || document.get_object().get(top) != SUCCESS) {
    return bad("its header with the changed key is no JSON object");
  }
  object payload;
  if (top.find_field_unordered("payload").get_object().get(payload) == SUCCESS) {
    top = payload;
  } else if (!object_again(document, top)) {
    return bad("its header with the changed key is no JSON object");
  }
  std::string key;
  for (uint32_t index : batch.schema->key_columns) {
    Column cell(fields[index].form.type);
    simdjson::ondemand::value value;
    if (top.find_field_unordered(fields[index].name).get(value) != SUCCESS) {
      return bad(fmt::format("its header with the changed key has no {}", fields[index].name));
    }
    RETURN_IF_ERROR(values_.append(cell, fields[index], value));
    if (cell.state(0) == CellState::kAbsent) return bad("its header with the changed key is a placeholder");
    append_key_part(key, cell, 0);
  }
  batch.moved.push_back({static_cast<uint32_t>(batch.rows()), std::move(key)});
  return {};
}

}  // namespace tributary
