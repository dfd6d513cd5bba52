#include "capture/debezium/debezium_client.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes.h"
#include "model/row_key.h"

namespace tributary {
namespace {

constexpr std::string_view reset_key = "reset";
constexpr uint32_t dead_max = 1'000;
constexpr size_t dead_value_bytes_max = size_t{1} << 20;

// A value as a person writes it in an address; nullopt: NULL or not told.
std::optional<std::string> cell_text(const Column& column, size_t row) {
  if (column.state(row) == CellState::kText) return std::string(column.text(row));
  if (!column.is_value(row)) return std::nullopt;
  switch (column.type().id) {
    case TypeId::kBool: return column.fixed<uint8_t>(row) != 0 ? "true" : "false";
    case TypeId::kInt16: return std::to_string(column.fixed<int16_t>(row));
    case TypeId::kInt32: return std::to_string(column.fixed<int32_t>(row));
    case TypeId::kInt64: return std::to_string(column.fixed<int64_t>(row));
    case TypeId::kUuid: {
      std::string text;
      append_uuid_text(text, column.bytes(row));
      return text;
    }
    case TypeId::kText: return std::string(column.bytes(row));
    default: return std::nullopt;
  }
}

std::string without_padding(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string encode_columns(const std::set<std::string>& columns) {
  std::string out;
  put_u8(out, 1);
  put_varint(out, columns.size());
  for (const std::string& column : columns) put_string(out, column);
  return out;
}

Result<std::set<std::string>> decode_columns(std::string_view bytes) {
  ByteReader reader(bytes);
  bool known = reader.u8() == 1;
  std::set<std::string> columns;
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) columns.emplace(reader.string());
  if (known && reader.ok() && reader.at_end()) return columns;
  return Error{ErrorCode::kCorrupt, "what is remembered of a table's new columns does not decode"};
}

DebeziumTrouble cannot_be_known(std::string why, const std::string& column) {
  return {
      std::move(why),
      fmt::format("whose row it is cannot be known: make {} a part of the table's key, or set REPLICA IDENTITY FULL",
                  column)};
}

void drop_last_row(EventBatch& batch) {
  size_t rows = batch.rows() - 1;
  batch.ops.resize(rows);
  batch.positions.resize(rows);
  batch.commit_micros.resize(rows);
  batch.transactions.resize(rows);
  for (auto* image : {&batch.columns, &batch.before}) {
    for (Column& column : *image) column.truncate(rows);
  }
  if (!batch.moved.empty() && batch.moved.back().row == rows) batch.moved.pop_back();
}

// An update moved the batch's last row from one client to another: to ours it is a row that came, with nothing of what the other
// had, or one that went.
void change_hands(EventBatch& batch, bool is_ours_now) {
  size_t row = batch.rows() - 1;
  batch.ops[row] = is_ours_now ? Op::kCreate : Op::kDelete;
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    if (!is_ours_now || batch.columns[i].state(row) == CellState::kAbsent) {
      batch.columns[i].truncate(row);
      batch.columns[i].append_from(batch.before[i], row);
    }
    batch.before[i].truncate(row);
    batch.before[i].append_absent();
  }
}

}  // namespace

std::string_view DebeziumRecord::header(std::string_view name) const {
  for (const auto& [header, value] : headers) {
    if (header == name) return value;
  }
  return {};
}

DebeziumClient::DebeziumClient(CaptureClient config, DebeziumTarget target, EventLog& log)
    : config_(std::move(config)), target_(std::move(target)), log_(log), reader_(target_.modes) {
  for (const CapturedTable& captured : config_.tables) {
    Table& table = tables_.emplace_back();
    table.captured = captured;
    table.topic = target_.prefix + "." + captured.table;
  }
}

Result<std::unique_ptr<DebeziumClient>> DebeziumClient::open(CaptureClient config, DebeziumTarget target,
                                                             EventLog& log) {
  std::unique_ptr<DebeziumClient> client(new DebeziumClient(std::move(config), std::move(target), log));
  RETURN_IF_ERROR(client->load());
  return client;
}

Status DebeziumClient::load() {
  ASSIGN_OR_RETURN(SourceState stored, log_.source_state(config_.client));
  auto entry = [&](std::string_view key) {
    auto found = stored.find(std::string(key));
    return found == stored.end() ? std::string() : found->second;
  };
  if (std::string bytes = entry(debezium_state_key); !bytes.empty()) {
    ASSIGN_OR_RETURN(state_, DebeziumState::decode(bytes));
  }
  bool reset = !entry(reset_key).empty();
  uint32_t native = source_epoch(stored, stream_state_key);
  if (state_.epoch == 0 || reset || native > state_.newest_epoch()) {
    state_.epoch = std::max(state_.newest_epoch(), native) + 1;
    for (auto& [name, topic] : state_.topics) topic = {.epoch = state_.epoch};
    for (auto& [key, partition] : state_.partitions) {
      partition = {.next = partition.next,
                   .highest = {.epoch = state_.epoch},
                   .last_offset = partition.last_offset,
                   .last_fingerprint = partition.last_fingerprint,
                   .may_be_anew = reset};
    }
    if (reset) changes_[std::string(reset_key)] = "";
    advanced_ = true;
  }
  durable_ = state_;
  for (const auto& [key, bytes] : stored) {
    if (!key.starts_with(debezium_came_prefix)) continue;
    ASSIGN_OR_RETURN(came_[key.substr(debezium_came_prefix.size())], decode_columns(bytes));
  }
  ASSIGN_OR_RETURN(std::vector<SchemaPtr> schemas, log_.newest_schemas(config_.client));
  for (Table& table : tables_) {
    for (const SchemaPtr& schema : schemas) {
      if (schema->table != table.captured.table) continue;
      table.schema = schema;
      table.old_image = schema->old_image;
      table.open = EventBatch(config_.client, table.captured.domain, schema);
    }
  }
  return {};
}

std::vector<std::string> DebeziumClient::topics() const {
  std::vector<std::string> topics;
  for (const Table& table : tables_) topics.push_back(table.topic);
  return topics;
}

int64_t DebeziumClient::next_offset(const TopicPartitionKey& key) const {
  auto found = state_.partitions.find(key);
  return found == state_.partitions.end() ? 0 : found->second.next;
}

int64_t DebeziumClient::begin_offset(const TopicPartitionKey& key) const {
  auto found = state_.partitions.find(key);
  if (found == state_.partitions.end()) return 0;
  const DebeziumPartition& partition = found->second;
  return partition.last_offset < 0 ? partition.next : std::min(partition.last_offset, partition.next);
}

int64_t DebeziumClient::durable_offset(const TopicPartitionKey& key) const {
  auto found = durable_.partitions.find(key);
  return found == durable_.partitions.end() ? 0 : found->second.next;
}

DebeziumClient::Table* DebeziumClient::table_of_topic(std::string_view topic) {
  auto found = std::find_if(tables_.begin(), tables_.end(), [&](const Table& table) { return table.topic == topic; });
  return found == tables_.end() ? nullptr : &*found;
}

void DebeziumClient::find(const TopicPartitionKey& key, int64_t first, int64_t end) {
  first_[key] = first;
  int64_t next = next_offset(key);
  // A partition that was never read begins with what there is.
  if (next == 0) skip_to(key, first);
  if (next == 0 || (next >= first && next <= end)) return;
  if (state_.partitions[key].may_be_anew) {
    begin_anew(key, first);
    return;
  }
  stop({fmt::format("{} partition {}: messages from offset {} on are wanted, and the brokers have those from {} to {}: "
                    "they were removed before they were read, or the topic was made anew",
                    key.topic, key.partition, next, first, end),
        fmt::format("let the connector take a snapshot, and run `tributary client FILE reset {}`", config_.client)});
}

void DebeziumClient::begin_anew(const TopicPartitionKey& key, int64_t first) {
  DebeziumPartition& partition = state_.partitions[key];
  partition.next = first;
  partition.last_offset = -1;
  partition.may_be_anew = false;
  advanced_ = true;
}

// By the newest record that was read of it, where the brokers still have that.
bool DebeziumClient::is_same_topic(const TopicPartitionKey& key, const DebeziumRecord& record) {
  DebeziumPartition& partition = state_.partitions[key];
  if (record.offset != partition.last_offset || record.fingerprint == partition.last_fingerprint) return true;
  if (partition.may_be_anew) {
    begin_anew(key, first_[key]);
    goes_back_ = true;
    return false;
  }
  stop({fmt::format("{} partition {} has another message at offset {} than the one that was read there: the topic was "
                    "made anew",
                    key.topic, key.partition, record.offset),
        fmt::format("let the connector take a snapshot, and run `tributary client FILE reset {}`: the topic is then "
                    "read from its beginning",
                    config_.client)});
  return false;
}

Status DebeziumClient::take(const DebeziumRecord& record) {
  TopicPartitionKey key{std::string(record.topic), record.partition};
  Table* table = table_of_topic(record.topic);
  if (stopped_ || table == nullptr || !is_same_topic(key, record) || record.offset < next_offset(key)) return {};
  auto event = is_ours(record) ? reader_.open(record.value) : Result<const DebeziumEvent*>(nullptr);
  bool other = event.ok() && *event != nullptr && (*event)->kind == DebeziumKind::kOther;
  if (!event.ok() || other) {
    set_aside(record, !event.ok()
                          ? event.error().message
                          : "it is no change event: it has no op, before, after and source (was it flattened by a "
                            "transformation, as ExtractNewRecordState does?)");
    if (stopped_) return {};
  } else if (*event != nullptr && (*event)->kind != DebeziumKind::kNothing &&
             (target_.database.empty() || (*event)->database == target_.database)) {
    auto position = place(key, **event);
    if (stopped_) return {};
    if (position) {
      RETURN_IF_ERROR(take_event(*table, **event, *position, record));
      if (stopped_) return {};
      DebeziumPartition& partition = state_.partitions[key];
      partition.highest = std::max(partition.highest, *position);
      bool beside = (*event)->snapshot == DebeziumSnapshot::kIncremental;  // its time is of no commit
      if (!beside) partition.latest_micros = std::max(partition.latest_micros, (*event)->commit_micros);
      newest_ = std::max(newest_, *position);
      newest_micros_ = std::max(newest_micros_, (*event)->commit_micros);
    }
    in_snapshot_ = (*event)->snapshot == DebeziumSnapshot::kYes;
  }
  DebeziumPartition& partition = state_.partitions[key];
  partition.next = record.offset + 1;
  partition.last_offset = record.offset;
  partition.last_fingerprint = record.fingerprint;
  partition.may_be_anew = false;
  advanced_ = true;
  return {};
}

void DebeziumClient::skip_to(const TopicPartitionKey& key, int64_t offset) {
  if (stopped_ || next_offset(key) >= offset) return;
  state_.partitions[key].next = offset;
  advanced_ = true;
}

// By what is known without reading its value.
bool DebeziumClient::is_ours(const DebeziumRecord& record) const {
  return target_.header.first.empty() || record.header(target_.header.first) == target_.header.second;
}

void DebeziumClient::begin_epoch(DebeziumPartition& partition, uint32_t epoch) {
  partition.repeated = partition.highest;
  partition.repeated_micros = partition.latest_micros;
  partition.highest = {.epoch = epoch};
  partition.latest_micros = 0;
}

// A snapshot begins an epoch, so its rows count later than all that was read before it, and what it does not tell of is gone.
// The other partitions of its topic follow with the first change that it did not see.
//
// What was read before may come again after a restart of the connector, with positions that are known: then it is not
// newer than the newest. A position that is lower with a time that is later is another database's.
std::optional<Position> DebeziumClient::place(const TopicPartitionKey& key, const DebeziumEvent& event) {
  auto [known, fresh] = state_.topics.try_emplace(key.topic);
  DebeziumTopic& topic = known->second;
  if (topic.epoch == 0) topic.epoch = state_.epoch;
  DebeziumPartition& partition = state_.partitions[key];
  if (partition.highest.epoch == 0) partition.highest.epoch = topic.epoch;
  bool of_snapshot = event.snapshot == DebeziumSnapshot::kYes || event.snapshot == DebeziumSnapshot::kLastOfTable;
  if (of_snapshot && event.position.change != topic.snapshot_change && event.commit_micros > topic.snapshot_micros) {
    bool first = topic.snapshot_change == 0 && !has_streamed(key.topic);
    if (!first) {
      ++topic.epoch;
      taken_whole_.insert(event.table);
    }
    topic.snapshot_change = event.position.change;
    topic.snapshot_micros = event.commit_micros;
  }
  bool of_newest = of_snapshot
                       ? event.position.change == topic.snapshot_change
                       : event.position.change > topic.snapshot_change || event.commit_micros > topic.snapshot_micros;
  if (of_newest && partition.highest.epoch < topic.epoch) begin_epoch(partition, topic.epoch);
  Position position = event.position;
  if (event.snapshot == DebeziumSnapshot::kIncremental && position.change == 0) {
    position.commit = partition.highest.commit;
    position.change = partition.highest.change;
  }
  position.epoch = partition.repeated.epoch;
  bool came_before = !of_snapshot && position <= partition.repeated && event.commit_micros <= partition.repeated_micros;
  if (came_before) return std::nullopt;
  position.epoch = partition.highest.epoch;
  if (position >= partition.highest) return position;
  // A repeat. It would change nothing, but for rows that took values along to another key: those doubt an older fact.
  if (!of_snapshot && event.commit_micros <= partition.latest_micros) return std::nullopt;
  if (event.commit_micros <= partition.latest_micros) return position;
  stopped_ = DebeziumTrouble{
      fmt::format(
          "the connector of {} came back with a lower position ({} behind {}): its database was restored or failed "
          "over, or its slot made anew, and changes may be missing",
          target_.prefix, position.to_string(), partition.highest.to_string()),
      fmt::format(
          "let the connector take a snapshot (`snapshot.mode`, or a signal), and run `tributary client FILE reset "
          "{}`: what follows then counts later than all before",
          config_.client)};
  return std::nullopt;
}

bool DebeziumClient::has_streamed(const std::string& topic) const {
  return std::any_of(state_.partitions.begin(), state_.partitions.end(),
                     [&](const auto& entry) { return entry.first.topic == topic && entry.second.highest.commit != 0; });
}

Status DebeziumClient::take_event(Table& table, const DebeziumEvent& event, const Position& position,
                                  const DebeziumRecord& record) {
  if (event.table != table.captured.table) {
    set_aside(record, fmt::format("it is of table {}, in the topic of {}", event.table, table.captured.table));
    return {};
  }
  if (event.kind == DebeziumKind::kRow) RETURN_IF_ERROR(take_row(table, event, position, record));
  if (stopped_ || table.schema == nullptr) return {};
  if (event.kind == DebeziumKind::kTruncate) add_range(table, RangeKind::kTruncate, position, event);
  if (position.epoch > 1 && !target_.partial_snapshots) note_absence(table, event, position);
  return {};
}

// With a snapshot's last row of a table what it did not tell of is gone. A first table of one row is marked as the first alone:
// what another table has, or the stream, tells that it was all.
void DebeziumClient::note_absence(Table& table, const DebeziumEvent& event, const Position& position) {
  DebeziumTopic& own = state_.topics[table.topic];
  bool last = event.snapshot == DebeziumSnapshot::kLastOfTable;
  if (!last && event.snapshot != DebeziumSnapshot::kYes) {
    if (position.epoch == own.absence_due) add_absence(table, std::exchange(own.absence_due, 0), event);
    return;
  }
  for (Table& other : tables_) {
    DebeziumTopic& topic = state_.topics[other.topic];
    bool through = &other != &table && topic.absence_due != 0 && event.position.change == topic.snapshot_change;
    if (!through || other.schema == nullptr) continue;
    add_absence(other, std::exchange(topic.absence_due, 0), event);
  }
  own.absence_due = last ? 0 : position.epoch;
  if (last) add_absence(table, position.epoch, event);
}

// All of its rows were told in this epoch.
void DebeziumClient::add_absence(Table& table, uint32_t epoch, const DebeziumEvent& event) {
  add_range(table, RangeKind::kAbsence, {.epoch = epoch}, event);
  if (came_.contains(table.captured.table)) keep_came(table.captured.table, {});
}

Status DebeziumClient::take_row(Table& table, const DebeziumEvent& event, const Position& position,
                                const DebeziumRecord& record) {
  DebeziumKeys keys{record.header(event.op == Op::kDelete ? "__debezium.newkey" : "__debezium.oldkey")};
  Status read = Status(Error{ErrorCode::kInvalidInput, ""});
  // Without schemas other columns are noticed only when a row does not fit.
  for (bool anew : {false, true}) {
    ASSIGN_OR_RETURN(bool usable, use_schema(table, event, record, anew));
    if (!usable) return {};
    read = reader_.append_row(table.open, table.fields, keys);
    if (read.ok() || !event.schema.empty()) break;
  }
  if (!read.ok()) {
    set_aside(record, read.error().message);
    return {};
  }
  table.open.positions.back() = position;
  if (!keep_tenant(table, event)) return {};
  ++waiting_rows_;
  waiting_bytes_ += record.value.size();
  return {};
}

// False: the row that was appended last is another client's, and was taken back.
bool DebeziumClient::keep_tenant(Table& table, const DebeziumEvent& event) {
  const auto& [name, value] = target_.column;
  if (name.empty()) return true;
  EventBatch& rows = table.open;
  size_t row = rows.rows() - 1;
  auto column = table.schema->find(name);
  auto tenant = column ? tenant_in(table, rows.columns[*column], row) : std::nullopt;
  bool ours = tenant == value;
  bool was_ours = ours;
  stopped_ = tenant_trouble(table, event, tenant);
  bool in_key = std::find(table.key.begin(), table.key.end(), name) != table.key.end();
  if (!stopped_ && event.op == Op::kUpdate && !in_key) {
    bool told = event.has_before && !rows.before.empty() && rows.before[*column].state(row) != CellState::kAbsent;
    if (told) was_ours = tenant_in(table, rows.before[*column], row) == value;
    if (!told && !ours) {
      stopped_ =
          cannot_be_known(fmt::format("an update in {} does not tell what {} was", table.captured.table, name), name);
    }
  }
  if (stopped_ || (!ours && !was_ours)) {
    drop_last_row(rows);
    return false;
  }
  if (ours != was_ours) change_hands(rows, ours);
  return true;
}

// Values of char(n) have blanks behind them.
bool DebeziumClient::tenant_is_padded(const Table& table) const {
  auto declared = table.captured.columns.find(target_.column.first);
  return declared != table.captured.columns.end() && declared->second.starts_with("char") &&
         !declared->second.starts_with("character varying");
}

std::optional<std::string> DebeziumClient::tenant_in(const Table& table, const Column& column, size_t row) const {
  auto tenant = cell_text(column, row);
  return tenant && tenant_is_padded(table) ? without_padding(*std::move(tenant)) : tenant;
}

// Why the newest row does not say whose it is.
std::optional<DebeziumTrouble> DebeziumClient::tenant_trouble(const Table& table, const DebeziumEvent& event,
                                                              const std::optional<std::string>& tenant) const {
  const auto& [name, value] = target_.column;
  if (tenant && *tenant != value && without_padding(*tenant) == value) {
    return DebeziumTrouble{
        fmt::format("a row of {} has blanks behind its {}, as values of char(n) have", table.captured.table, name),
        fmt::format("name the column's type under domains: {}: columns:, as `{}: char(8)`", table.captured.domain,
                    name)};
  }
  if (tenant) return std::nullopt;
  auto column = table.schema->find(name);
  if (!column) return cannot_be_known(fmt::format("{} has no column {}", table.captured.table, name), name);
  if (table.open.columns[*column].is_value(table.open.rows() - 1)) {
    return DebeziumTrouble{
        fmt::format("{} of {} is of a type by which rows cannot be told apart", name, table.captured.table),
        "choose a column of text, an integer, a boolean or a uuid"};
  }
  std::string what = event.op == Op::kDelete
                         ? fmt::format("a delete in {} does not tell {}", table.captured.table, name)
                         : fmt::format("a row of {} has no {}", table.captured.table, name);
  return cannot_be_known(std::move(what), name);
}

// False: the client was stopped, or the message set aside, whose schema is none.
Result<bool> DebeziumClient::use_schema(Table& table, const DebeziumEvent& event, const DebeziumRecord& record,
                                        bool anew) {
  OldImage old_image = table.old_image;
  if (event.op == Op::kUpdate) old_image = event.has_before ? OldImage::kFull : OldImage::kKey;
  bool same_text = event.schema.empty() ? !anew : table.schema_text == event.schema;
  if (!table.fields.empty() && same_text && old_image == table.old_image) return true;
  auto fields = fields_of(table, event, record);
  if (!fields.ok() && !event.schema.empty()) {
    set_aside(record, fields.error().message);
    return false;
  }
  if (!fields.ok()) {
    stopped_ =
        DebeziumTrouble{fields.error().message,
                        fmt::format("let the connector's converters write schemas (value.converter.schemas.enable), "
                                    "or name the types of all columns under domains: {}: columns:",
                                    table.captured.domain)};
    return false;
  }
  auto key = debezium_key_names(record.key);
  auto schema =
      key.ok() ? debezium_table(table.captured.table, *fields, *key, old_image) : Result<TableSchema>(key.error());
  if (!schema.ok()) {
    stopped_ = DebeziumTrouble{schema.error().message, "see docs/formats/debezium.md, \"Keys\""};
    return false;
  }
  RETURN_IF_ERROR(note_columns(table, *fields, !event.schema.empty()));
  ASSIGN_OR_RETURN(SchemaPtr registered, log_.register_schema(config_.client, *schema));
  close(table);
  table.schema_text = event.schema;
  table.fields = *std::move(fields);
  table.key = *std::move(key);
  table.old_image = old_image;
  table.schema = std::move(registered);
  table.open = EventBatch(config_.client, table.captured.domain, table.schema);
  return true;
}

// No message tells what rows that nobody writes have in a column that is new, or has another name: a default, or what it had under
// the other name. A column that may be null, and came alone, is NULL in them.
Status DebeziumClient::note_columns(const Table& table, const std::vector<ConnectField>& fields, bool has_schema) {
  if (table.schema == nullptr) return {};
  auto is_told = [&](const ColumnSchema& column) {
    return std::any_of(fields.begin(), fields.end(), [&](const auto& field) { return field.name == column.name; });
  };
  bool some_went = !std::all_of(table.schema->columns.begin(), table.schema->columns.end(), is_told);
  std::set<std::string> columns;
  if (auto known = came_.find(table.captured.table); known != came_.end()) columns = known->second;
  size_t before = columns.size();
  for (const ConnectField& field : fields) {
    if (has_schema && !field.filled && !some_went) continue;
    bool is_new = true;
    for (uint32_t version = table.schema->version; version >= 1 && is_new; --version) {
      ASSIGN_OR_RETURN(SchemaPtr earlier, log_.schema(config_.client, table.captured.table, version));
      is_new = !earlier->find(field.name);
    }
    if (is_new) columns.insert(field.name);
  }
  if (columns.size() > before) keep_came(table.captured.table, std::move(columns));
  return {};
}

void DebeziumClient::keep_came(const std::string& table, std::set<std::string> columns) {
  changes_[std::string(debezium_came_prefix) + table] = columns.empty() ? "" : encode_columns(columns);
  came_[table] = std::move(columns);
  if (came_[table].empty()) came_.erase(table);
}

Result<std::vector<ConnectField>> DebeziumClient::fields_of(const Table& table, const DebeziumEvent& event,
                                                            const DebeziumRecord& record) const {
  const auto& declared = table.captured.columns;
  std::vector<ConnectField> fields;
  if (!event.schema.empty()) {
    ASSIGN_OR_RETURN(fields, connect_row_fields(event.schema));
    for (ConnectField& field : fields) {
      auto type = declared.find(field.name);
      if (type != declared.end()) field.form = declared_over(field.form, type->second, target_.modes);
    }
    return fields;
  }
  ASSIGN_OR_RETURN(std::vector<std::string> names, debezium_row_names(record.value));
  for (const std::string& name : names) {
    auto type = declared.find(name);
    if (type == declared.end()) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("messages of {} have no schema, and the type of its column {} is not named",
                               table.captured.table, name)};
    }
    fields.push_back({name, declared_form(type->second, target_.modes)});
  }
  return fields;
}

void DebeziumClient::set_aside(const DebeziumRecord& record, std::string reason) {
  if (state_.dead >= dead_max) {
    stopped_ =
        DebeziumTrouble{fmt::format("{} messages could not be read, the last at {}/{} offset {}: {}", state_.dead,
                                    record.topic, record.partition, record.offset, reason),
                        "are they a connector's, as its JSON converter writes them? `tributary dead-letters` has them"};
    return;
  }
  ++state_.dead;
  last_dead_ = fmt::format("{} partition {} offset {}: {}", record.topic, record.partition, record.offset, reason);
  DebeziumDeadMessage dead{std::move(reason), std::string(record.key.substr(0, dead_value_bytes_max)),
                           std::string(record.value.substr(0, dead_value_bytes_max))};
  changes_[fmt::format("{}{}/{}/{:020}", debezium_dead_prefix, record.topic, record.partition, record.offset)] =
      dead.encode();
}

void DebeziumClient::close(Table& table) {
  if (table.schema == nullptr || table.open.empty()) return;
  closed_.push_back(std::move(table.open));
  table.open = EventBatch(config_.client, table.captured.domain, table.schema);
}

void DebeziumClient::add_range(Table& table, RangeKind kind, const Position& position, const DebeziumEvent& event) {
  table.open.ranges.push_back({.kind = kind,
                               .position = position,
                               .low = {},
                               .high = {},
                               .commit_micros = event.commit_micros,
                               .transaction = event.transaction});
  ++waiting_rows_;
}

std::optional<LogAppend> DebeziumClient::take_append() {
  if (!advanced_ && changes_.empty()) return std::nullopt;
  for (Table& table : tables_) close(table);
  LogAppend append{config_.client, std::move(closed_), std::move(changes_)};
  append.state_changes[std::string(debezium_state_key)] = state_.encode();
  closed_.clear();
  changes_.clear();
  waiting_rows_ = 0;
  waiting_bytes_ = 0;
  advanced_ = false;
  return append;
}

void DebeziumClient::appended() {
  durable_ = state_;
  durable_position_ = newest_;
  durable_commit_micros_ = newest_micros_;
}

std::vector<std::string> DebeziumClient::warnings() const {
  std::vector<std::string> all;
  if (state_.dead > 0) {
    all.push_back(fmt::format("{} messages could not be read and were set aside{}", state_.dead,
                              last_dead_.empty() ? "" : "; the last is " + last_dead_));
  }
  for (const auto& [table, columns] : came_) {
    all.push_back(
        fmt::format("{} of {} came while the connector ran: rows that were not written since have NULL there, "
                    "whatever the source has; let the connector take a snapshot of the whole table",
                    fmt::join(columns, ", "), table));
  }
  for (const std::string& table : taken_whole_) {
    if (target_.partial_snapshots) break;
    all.push_back(
        fmt::format("a later snapshot of {} was read, and rows that it did not tell of are gone: was it of a "
                    "part of the table, add snapshots=partial to the source's address, and let the connector "
                    "take one of the whole",
                    table));
  }
  return all;
}

}  // namespace tributary
