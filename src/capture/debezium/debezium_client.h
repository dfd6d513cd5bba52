// One client's changes out of the messages of Debezium's topics: which of them are its, under which schema, at which
// position, and what to append to the log. Knows no Kafka; not thread-safe.
//
//   ASSIGN_OR_RETURN(auto client, DebeziumClient::open(config, target, log));
//   client->take(record);                                   // one record of one of its topics, in offsets' order
//   if (auto append = client->take_append()) …              // log.append() of it, then client->appended()
//
// Order and life of a source: docs/formats/debezium.md. A message that cannot be read is set aside with its reason; what
// needs a person stops the client (`stopped()`), before anything of it was taken.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/debezium/debezium_state.h"
#include "capture/debezium/debezium_url.h"
#include "codec/connect/debezium_message.h"
#include "contracts/change_source.h"

namespace tributary {

struct DebeziumRecord {
  std::string_view topic;
  int32_t partition = 0;
  int64_t offset = 0;
  std::string_view key;  // empty: null
  std::string_view value;  // empty: null, a tombstone
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  uint64_t fingerprint = 0;  // of key and value

  std::string_view header(std::string_view name) const;  // empty: none
};

struct DebeziumTrouble {
  std::string reason;
  std::string remedy;
};

class DebeziumClient {
 public:
  static Result<std::unique_ptr<DebeziumClient>> open(CaptureClient config, DebeziumTarget target, EventLog& log);

  const CaptureClient& config() const { return config_; }
  const DebeziumTarget& target() const { return target_; }
  // "prefix.public.orders" of each of its tables.
  std::vector<std::string> topics() const;
  // Where to read on; 0 for a partition that was never read.
  int64_t next_offset(const TopicPartitionKey& key) const;
  // Where to begin reading, so that the record before is seen again: whether this is the topic that was read.
  int64_t begin_offset(const TopicPartitionKey& key) const;
  // The offset up to which everything is durable in the log.
  int64_t durable_offset(const TopicPartitionKey& key) const;

  // What the brokers have of a partition that begins to be read. The client stops where what it wants is not there.
  void find(const TopicPartitionKey& key, int64_t first, int64_t end);
  // An error is the log's (register_schema), and the record may be given again. A record before next_offset() is passed
  // over. Nothing happens once stopped().
  Status take(const DebeziumRecord& record);
  // True once after take() has found a topic made anew, and reads it from its beginning: records before this one are wanted.
  bool goes_back() { return std::exchange(goes_back_, false); }
  // Nothing but control records up to `offset`.
  void skip_to(const TopicPartitionKey& key, int64_t offset);
  // Stops it from outside: a topic's records are gone.
  void stop(DebeziumTrouble why) { stopped_ = std::move(why); }
  const std::optional<DebeziumTrouble>& stopped() const { return stopped_; }

  size_t waiting_rows() const { return waiting_rows_; }
  size_t waiting_bytes() const { return waiting_bytes_; }
  // What was taken since the last time. nullopt: nothing.
  std::optional<LogAppend> take_append();
  // The last take_append() is durable.
  void appended();

  Position durable_position() const { return durable_position_; }
  int64_t last_commit_micros() const { return durable_commit_micros_; }
  bool in_snapshot() const { return in_snapshot_; }
  std::vector<std::string> warnings() const;

 private:
  struct Table {
    CapturedTable captured;
    std::string topic;
    std::string schema_text;  // of the newest message, by which fields and key are known
    std::vector<ConnectField> fields;
    std::vector<std::string> key;
    OldImage old_image = OldImage::kKey;
    SchemaPtr schema;
    EventBatch open;
  };

  DebeziumClient(CaptureClient config, DebeziumTarget target, EventLog& log);
  Status load();
  Table* table_of_topic(std::string_view topic);
  bool is_ours(const DebeziumRecord& record) const;
  bool keep_tenant(Table& table, const DebeziumEvent& event);
  bool tenant_is_padded(const Table& table) const;
  std::optional<std::string> tenant_in(const Table& table, const Column& column, size_t row) const;
  std::optional<DebeziumTrouble> tenant_trouble(const Table& table, const DebeziumEvent& event,
                                                const std::optional<std::string>& tenant) const;
  // Where it counts; nullopt: it came before, or the client was stopped.
  std::optional<Position> place(const TopicPartitionKey& key, const DebeziumEvent& event);
  bool has_streamed(const std::string& topic) const;
  void begin_epoch(DebeziumPartition& partition, uint32_t epoch);
  Status take_event(Table& table, const DebeziumEvent& event, const Position& position, const DebeziumRecord& record);
  void add_absence(Table& table, uint32_t epoch, const DebeziumEvent& event);
  void note_absence(Table& table, const DebeziumEvent& event, const Position& position);
  Status take_row(Table& table, const DebeziumEvent& event, const Position& position, const DebeziumRecord& record);
  Result<bool> use_schema(Table& table, const DebeziumEvent& event, const DebeziumRecord& record, bool anew);
  Result<std::vector<ConnectField>> fields_of(const Table& table, const DebeziumEvent& event,
                                              const DebeziumRecord& record) const;
  Status note_columns(const Table& table, const std::vector<ConnectField>& fields, bool has_schema);
  void keep_came(const std::string& table, std::set<std::string> columns);
  void begin_anew(const TopicPartitionKey& key, int64_t first);
  bool is_same_topic(const TopicPartitionKey& key, const DebeziumRecord& record);
  void set_aside(const DebeziumRecord& record, std::string reason);
  void close(Table& table);
  void add_range(Table& table, RangeKind kind, const Position& position, const DebeziumEvent& event);

  CaptureClient config_;
  DebeziumTarget target_;
  EventLog& log_;
  DebeziumReader reader_;
  std::vector<Table> tables_;
  DebeziumState state_;
  DebeziumState durable_;
  SourceState changes_;
  std::vector<EventBatch> closed_;
  size_t waiting_rows_ = 0;
  size_t waiting_bytes_ = 0;
  bool advanced_ = false;
  bool in_snapshot_ = false;
  Position newest_;
  int64_t newest_micros_ = 0;
  Position durable_position_;
  int64_t durable_commit_micros_ = 0;
  std::optional<DebeziumTrouble> stopped_;
  std::string last_dead_;
  std::map<TopicPartitionKey, int64_t> first_;  // what the brokers have
  std::set<std::string> taken_whole_;  // tables of which a later snapshot was read
  std::map<std::string, std::set<std::string>> came_;  // columns of tables that rows read before may lack
  bool goes_back_ = false;
};

}  // namespace tributary
