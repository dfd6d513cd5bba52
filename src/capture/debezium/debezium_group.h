// The clients that one prefix of topics feeds, and the thread that reads it. Internal to debezium_source.
//
// What the log does not take of one client holds up nobody else: that one is given no records until it does, and then the
// topics are read again from where it stands. The others pass over what they have.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "capture/append_queue.h"
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
  // From what the log has of it by then, a reset among it. False: it is another group's.
  bool begin_again(const ClientId& client);
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

  // A member while it is read.
  struct Reading {
    std::unique_ptr<DebeziumClient> client;  // nullptr: the log could not be asked about it, or refused what it had
    bool behind = true;  // it is given no records: some went by
    bool begin_again = false;
    // What the log said against it, and when the log is asked again.
    std::string trouble;
    SourceMode mode = SourceMode::kBackingOff;
    std::chrono::milliseconds delay{0};
    Clock::time_point due;
    // Its append.
    bool under_way = false;
    std::optional<Status> settled;  // by the queue's thread, under the mutex
    bool reaches = false;  // all that it has taken is in it
    uint64_t rows = 0;
    uint64_t events = 0;
    uint64_t bytes = 0;
  };

  void run();
  Status session();
  void open_clients();
  void fail(Reading& reading, const Error& error);
  Status read_from_where_each_is();
  std::vector<std::string> topics() const;
  Status find_partitions();
  Status take(const rd_kafka_message_t& message);
  void flush();
  AppendQueue::Job begin_append(size_t member, LogAppend append, bool reaches);
  void settle();
  void settle(size_t member, const Status& status);
  bool waits(const Reading& reading) const { return reading.client == nullptr || reading.under_way; }
  Reading* reading_of(const ClientId& client);
  // Waits while the client is held to its pace: one that has such a limit is in a group of its own.
  void keep_pace();
  Status complete_rows();
  void show(SourceMode mode, const std::string& reason);
  bool wait_unless_stopping(std::chrono::milliseconds time);

  std::vector<Member> members_;
  EventLog& log_;
  DebeziumCaptureOptions options_;
  std::vector<Pace> paces_;  // by member
  std::vector<Reading> clients_;  // by member
  AppendQueue queue_;
  std::unique_ptr<TopicReader> reader_;
  std::map<TopicPartitionKey, TopicOffsets> reading_;
  Clock::time_point topics_due_;
  size_t waiting_rows_ = 0;
  size_t waiting_bytes_ = 0;
  Status failed_;  // of a partition, until the session ends with it

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::set<ClientId> begin_again_;
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
