// KafkaLog: the event log on Kafka (docs/formats/kafka-record.md, docs/formats/kafka-state.md, docs/decisions/0050).
//
//   ASSIGN_OR_RETURN(auto log, KafkaLog::open({.brokers = {{"bootstrap.servers", "127.0.0.1:9092"}}, …}));
//
// An event is one record, in a topic by its domain or event, in the partition that partitioning.md tells. append() writes
// events, waits until all in-sync replicas have them, then writes to the state topic what capture is to remember and where
// the partitions end, and returns when it has read that back. So events of an append that failed may be in the log, and are
// there again after the next try; what capture remembers never tells of events that are not.
//
// Of several nodes that write for one client the one with the newest lease counts: source_state() takes the lease. Another
// node's events do no harm, they are true facts; what it wants to remember is void, and its append() fails with kAlreadyExists.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "contracts/event_log.h"
#include "kafka/kafka_client.h"
#include "log/kafka/kafka_producer.h"
#include "log/kafka/kafka_topics.h"
#include "log/kafka/node_board.h"
#include "log/kafka/state_follower.h"
#include "model/partitioning.h"

namespace tributary {

struct KafkaLogOptions {
  KafkaProperties brokers;
  std::string compression = "lz4";  // of what is written: none, gzip, snappy, lz4, zstd
  std::string pipeline;
  std::string topics = "{pipeline}.{event}";  // template of names
  std::vector<KafkaDomain> domains;
  Partitioning partitioning;
  KafkaTopicShape shape;  // its partitions are partitioning's
  bool schemas = false;  // Connect's, beside each record's key and value
  // A record is a block of events (codec/block.h), not one event as JSON; with topics by domain alone.
  bool blocks = false;
  std::map<ClientId, std::string> databases;  // what envelopes call `source.db`
  bool lag = true;  // lag() will be asked
  bool board = false;  // this node is one of several, which talk with each other (node_board.h)
};

class KafkaLog final : public EventLog {
 public:
  // Makes the topics that are not there, and reads the state topic. kUnavailable: no broker answers.
  static Result<std::unique_ptr<KafkaLog>> open(KafkaLogOptions options);
  // What `open` would find fault with, without making anything: brokers that do not answer, topics in another shape.
  static std::vector<std::string> troubles(const KafkaLogOptions& options);
  ~KafkaLog() override;

  // Not atomic: see above. kUnavailable and kTimeout: try again. kInvalidInput: a record is larger than brokers take.
  // kAlreadyExists: another node took the client over; ask for source_state() anew.
  Status append(std::span<const LogAppend> appends) override;
  Result<std::vector<ClientId>> known_clients() override;
  // Takes the lease on the client. What older leases' owners still write is void from then on.
  Result<SourceState> source_state(const ClientId& client) override;
  Result<SourceState> peek_source_state(const ClientId& client) override;
  Result<SchemaPtr> register_schema(const ClientId& client, const TableSchema& schema) override;
  Result<SchemaPtr> schema(const ClientId& client, const std::string& table, uint32_t version) override;
  Result<std::vector<SchemaPtr>> newest_schemas(const ClientId& client) override;
  std::map<TopicPartition, Offset> ends() override;
  // What lies behind `from` (append_ledger.h). Reads nothing.
  LogLag lag(const std::map<TopicPartition, Offset>& from);
  Result<Offset> first_offset(const TopicPartition& partition) override;
  uint64_t life(const TopicPartition& partition) override;
  std::unique_ptr<LogReader> open_reader() override;
  Result<std::shared_ptr<const EventBatch>> events_of(const LogBlock& block) override;
  // Returns once ends() tells of every append that had returned before, also on other nodes.
  Status catch_up();
  uint64_t append_generation() override;
  void wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) override;
  // Kafka's own retention removes; always kUnsupported.
  Status trim_before(const TopicPartition& partition, Offset offset) override;

  // By which this node hears of the others; nullptr unless the options ask for one.
  NodeBoard* board() const { return board_.get(); }

  // What a person should know: records in our topics that are none of ours, a state topic that cannot be read. Thread-safe.
  std::vector<std::string> problems() const;

 private:
  using Parts = std::map<ClientId, std::map<TopicPartition, AppendedPart>>;
  struct Target {  // of the events of one kind, for as long as one append
    KafkaDestination& to;
    AppendedPart& part;
  };

  explicit KafkaLog(KafkaLogOptions options);
  Status remember_topics();
  Status find_ends();
  Status take_lease(const ClientId& client);
  Status send_events(const EventBatch& batch, Parts& parts);
  Status send_rows(const EventBatch& batch, Parts& parts);
  Status send_blocks(const EventBatch& batch, Parts& parts);
  Status send_event(const struct EventRecord& record, const class EventRecordWriter& writer, const EventBatch& batch,
                    const Target& target);
  Status send_tombstone(const struct EventRecord& record, const EventBatch& batch, const Target& target);
  Target target(const EventBatch& batch, const std::string& event, PartitionId partition, Parts& parts);
  Status send_states(std::span<const LogAppend> appends, Parts& parts);
  Status send_state(const StateRecordKey& key, const std::string& value);
  Status finish_state();
  Result<std::pair<Offset, Offset>> first_and_end(const TopicPartition& partition);
  bool may_hold(const ClientId& client, const TopicPartition& at) const;
  void look_for_new_lives();
  bool is_read_again(const TopicPartition& at, Offset wanted, Offset first);
  void note_skipped(const TopicPartition& at, Offset offset, const std::string& why);

  KafkaLogOptions options_;
  KafkaTopics topics_;
  std::string writer_;  // random: tells our leases and schemas from other nodes'
  std::unique_ptr<KafkaClient> admin_;
  AppendLedger ledger_;
  std::unique_ptr<StateFollower> state_;
  std::unique_ptr<NodeBoard> board_;

  std::mutex write_mutex_;  // one writer at a time; guards the next three
  KafkaProducer producer_;
  std::map<ClientId, uint64_t> leases_;  // those that we took
  std::set<ClientId> lost_;  // taken over by another node since our newest source_state()

  mutable std::mutex problems_mutex_;
  std::map<TopicPartition, uint64_t> lives_;
  std::vector<std::string> made_anew_;
  std::chrono::steady_clock::time_point lives_due_;
  // Of a partition that lost events which were to be read: its first offset then, and the epochs of the clients that may have had
  // events there.
  struct Loss {
    Offset first;
    std::map<ClientId, uint32_t> epochs;
  };
  std::map<TopicPartition, Loss> losses_;
  uint64_t skipped_ = 0;
  std::string skipped_first_;
};

}  // namespace tributary
