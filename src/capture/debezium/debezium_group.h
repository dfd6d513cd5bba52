// The clients that one prefix of topics feeds, and the thread that reads it. Internal to debezium_source.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "capture/debezium/debezium_client.h"
#include "capture/debezium/debezium_source.h"
#include "capture/debezium/topic_reader.h"
#include "capture/pace.h"

namespace tributary {

class DebeziumGroup {
 public:
  struct Member {
    CaptureClient config;
    DebeziumTarget target;
  };
  DebeziumGroup(std::vector<Member> members, EventLog& log, DebeziumCaptureOptions options);
  ~DebeziumGroup() { stop(); }

  void start();
  void stop();

  std::vector<SourceStatus> status() const;
  void mark_heads();
  bool caught_up(const ClientId* client) const;  // nullptr: all
  // Clients of other groups are passed over.
  void read_again(const ClientId& client, const std::string& table, const std::vector<std::string>& row_keys);

 private:
  using Clock = std::chrono::steady_clock;
  // What others may look at.
  struct Seen {
    SourceStatus status;
    std::map<TopicPartitionKey, int64_t> durable;
    bool stopped = false;
  };

  void run();
  Status session();
  Status open_clients();
  Status find_partitions();
  Status take(const rd_kafka_message_t& message);
  void take_error(const rd_kafka_message_t& message);
  Status flush();
  Status append(std::vector<LogAppend>& appends, std::vector<DebeziumClient*>& of);
  // Waits while one of the clients is held to its pace; the others of the group wait with it.
  void keep_pace();
  Status complete_rows();
  void show(SourceMode mode, const std::string& reason);
  bool wait_unless_stopping(std::chrono::milliseconds time);

  std::vector<Member> members_;
  EventLog& log_;
  DebeziumCaptureOptions options_;
  std::vector<Pace> paces_;  // by member
  std::vector<std::unique_ptr<DebeziumClient>> clients_;
  std::unique_ptr<TopicReader> reader_;
  std::map<TopicPartitionKey, TopicOffsets> reading_;
  Clock::time_point topics_due_;
  size_t waiting_rows_ = 0;
  size_t waiting_bytes_ = 0;
  Status failed_;  // of a record, until the session ends with it

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<Seen> seen_;  // by member
  // Rows that wait for a value: taken together through three steps, so that no older fact is still on its way: the topics
  // are read to their ends, what was read is processed, then the facts are asked.
  struct Row {
    ClientId client;
    std::string table;
    std::string key;
    friend auto operator<=>(const Row&, const Row&) = default;
  };
  std::set<Row> rows_wanted_;
  bool rows_under_way_ = false;
  std::vector<Row> rows_;  // of the round under way; these by the group's thread alone
  std::map<TopicPartitionKey, int64_t> rows_topics_;
  std::optional<std::map<TopicPartition, Offset>> rows_log_;
  Clock::time_point rows_due_;
  uint64_t mark_wanted_ = 0;
  uint64_t mark_done_ = 0;
  std::map<TopicPartitionKey, int64_t> mark_;
  std::thread thread_;
};

}  // namespace tributary
