#include "capture/debezium/debezium_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "capture/debezium/debezium_group.h"

namespace tributary {
namespace {

class DebeziumSource final : public ChangeSource {
 public:
  DebeziumSource(std::vector<CaptureClient> clients, EventLog& log, const DebeziumCaptureOptions& options)
      : clients_(std::move(clients)), log_(log), options_(options) {}
  ~DebeziumSource() override { stop(); }

  Status start() override {
    std::map<std::string, std::vector<DebeziumGroup::Member>> groups;
    for (const CaptureClient& client : clients_) {
      auto target = parse_debezium_url(client.url);
      if (!target.ok()) return with_context(target.error(), fmt::format("client {}: source", client.client));
      std::string of = target->prefix + '\0' + client.password;
      if (client.rows_per_second > 0) of += '\0' + client.client.value;  // it waits alone
      for (const auto& [name, value] : target->properties) of += '\0' + name + '=' + value;
      groups[of].push_back({client, *std::move(target)});
    }
    for (auto& [of, members] : groups) {
      groups_.push_back(std::make_unique<DebeziumGroup>(std::move(members), log_, options_));
      groups_.back()->start();
    }
    return {};
  }

  void stop() override {
    for (auto& group : groups_) group->stop();
  }

  std::vector<SourceStatus> status() override {
    std::vector<SourceStatus> all;
    for (auto& group : groups_) {
      for (SourceStatus& status : group->status()) all.push_back(std::move(status));
    }
    return all;
  }

  void mark_heads() override {
    for (auto& group : groups_) group->mark_heads();
  }
  bool caught_up() override {
    return std::all_of(groups_.begin(), groups_.end(), [](auto& group) { return group->caught_up(nullptr); });
  }
  bool caught_up(const ClientId& client) override {
    return std::all_of(groups_.begin(), groups_.end(), [&](auto& group) { return group->caught_up(&client); });
  }

  bool begin_session_again(const ClientId& client) override {
    return std::any_of(groups_.begin(), groups_.end(), [&](auto& group) { return group->begin_again(client); });
  }

  void read_again(const ClientId& client, const std::string& table, std::vector<std::string> row_keys) override {
    for (auto& group : groups_) group->read_again(client, table, row_keys);
  }

 private:
  std::vector<CaptureClient> clients_;
  EventLog& log_;
  DebeziumCaptureOptions options_;
  std::vector<std::unique_ptr<DebeziumGroup>> groups_;
};

// The table's columns as a record has them; nullopt: it is no row.
Result<std::optional<TableSchema>> schema_of(const CapturedTable& table, const DebeziumTarget& target,
                                             std::string_view key, std::string_view value) {
  DebeziumReader reader(target.modes);
  ASSIGN_OR_RETURN(const DebeziumEvent* event, reader.open(value));
  if (event->kind != DebeziumKind::kRow) return std::optional<TableSchema>();
  ASSIGN_OR_RETURN(std::vector<std::string> names, debezium_key_names(key));
  std::vector<ConnectField> fields;
  if (!event->schema.empty()) {
    ASSIGN_OR_RETURN(fields, connect_row_fields(event->schema));
  } else {
    ASSIGN_OR_RETURN(std::vector<std::string> columns, debezium_row_names(value));
    for (const std::string& name : columns) fields.push_back({name, {}});
  }
  for (ConnectField& field : fields) {
    auto declared = table.columns.find(field.name);
    if (declared != table.columns.end()) {
      field.form = event->schema.empty() ? declared_form(declared->second, target.modes)
                                         : declared_over(field.form, declared->second, target.modes);
    } else if (event->schema.empty()) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("its messages have no schema, and the type of column {} is not named under domains: {}: "
                               "columns:",
                               field.name, table.domain)};
    }
  }
  ASSIGN_OR_RETURN(TableSchema schema, debezium_table(table.table, fields, names, OldImage::kKey));
  return std::optional(std::move(schema));
}

// The newest row of one partition, looked for among its last records.
Result<std::optional<TableSchema>> newest_schema(TopicReader& reader, const CapturedTable& table,
                                                 const DebeziumTarget& target, const TopicPartitionKey& key,
                                                 const TopicOffsets& offsets,
                                                 std::chrono::steady_clock::time_point end) {
  constexpr int64_t looked_at = 100;
  RETURN_IF_ERROR(reader.read_from(key, std::max(offsets.first, offsets.end - looked_at)));
  std::optional<TableSchema> newest;
  Status trouble;
  bool at_end = offsets.end == offsets.first;
  while (!at_end && std::chrono::steady_clock::now() < end) {
    reader.poll(std::chrono::milliseconds(50), looked_at, [&](const rd_kafka_message_t& message) {
      if (message.rkt == nullptr || rd_kafka_topic_name(message.rkt) != key.topic || message.partition != key.partition)
        return;
      if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) at_end = true;
      if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return;
      auto schema = schema_of(table, target, {static_cast<const char*>(message.key), message.key_len},
                              {static_cast<const char*>(message.payload), message.len});
      if (!schema.ok()) {
        trouble = schema.error();
      } else if (*schema) {
        newest = *std::move(schema);
      }
      at_end = at_end || message.offset + 1 >= offsets.end;
    });
  }
  if (!newest && !trouble.ok()) return trouble.error();
  return newest;
}

}  // namespace

std::unique_ptr<ChangeSource> make_debezium_source(std::vector<CaptureClient> clients, EventLog& log,
                                                   DebeziumCaptureOptions options) {
  return std::make_unique<DebeziumSource>(std::move(clients), log, options);
}

Result<std::vector<TableLook>> describe_debezium_tables(const CaptureClient& client, std::chrono::milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  ASSIGN_OR_RETURN(DebeziumTarget target, parse_debezium_url(client.url));
  ASSIGN_OR_RETURN(auto reader, TopicReader::open(target.with_password(client.password)));
  std::vector<std::string> topics;
  for (const CapturedTable& table : client.tables) topics.push_back(target.prefix + "." + table.table);
  ASSIGN_OR_RETURN(auto partitions, reader->partitions(topics, limit));
  std::vector<TableLook> looks;
  for (size_t i = 0; i < topics.size(); ++i) {
    TableLook look{client.tables[i], std::nullopt, {}};
    look.refusal =
        fmt::format("topic {} has no rows yet; its columns are looked at again at the next start", topics[i]);
    for (const auto& [key, offsets] : partitions) {
      if (key.topic != topics[i] || look.schema) continue;
      auto schema = newest_schema(*reader, client.tables[i], target, key, offsets, end);
      if (!schema.ok()) {
        look.refusal = schema.error().message;
      } else {
        look.schema = *std::move(schema);
      }
    }
    if (look.schema) look.refusal.clear();
    looks.push_back(std::move(look));
  }
  return looks;
}

}  // namespace tributary
