// The state topic as this node has read it, kept up by a thread of its own.
//
// Whoever writes to the topic waits until it has read its own record back: only then is it known what stands before it,
// and so whether it still owned what it wrote about.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "kafka/kafka_client.h"
#include "log/append_ledger.h"
#include "log/kafka/state_fold.h"

namespace tributary {

class StateFollower {
 public:
  // Reads the topic to its end. kUnavailable: no broker answers.
  // `ledger`, where there is one, outlives it and hears of every append.
  static Result<std::unique_ptr<StateFollower>> open(const KafkaProperties& brokers, const std::string& topic,
                                                     AppendLedger* ledger);
  ~StateFollower();

  // Returns once the record at `offset` has been applied. kUnavailable: not within `limit`; kCorrupt: it never will.
  Status wait_applied(int64_t offset, std::chrono::milliseconds limit) const;
  // The same for all that the topic holds now.
  Status wait_newest(std::chrono::milliseconds limit) const;
  StateFold::Client client(const ClientId& id) const;
  std::vector<ClientId> clients() const;
  void forget_outdated(const ClientId& id);

  // Ends of partitions, as appends told; begin with what the brokers said at the start.
  std::map<TopicPartition, Offset> ends() const;
  void set_ends(const std::map<TopicPartition, Offset>& ends);
  // Rises with each append that was read.
  uint64_t generation() const;
  void wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) const;
  // Why the topic cannot be read on; empty where it can.
  std::string problem() const;

 private:
  StateFollower(std::string topic, AppendLedger* ledger) : topic_(std::move(topic)), ledger_(ledger) {}
  void run();
  void note(const rd_kafka_message_t& message, const std::vector<AppendedPart>& parts);
  bool take(const rd_kafka_message_t& message);

  std::string topic_;
  AppendLedger* ledger_;
  std::unique_ptr<KafkaClient> client_;
  KafkaTopicHandle handle_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable StateFold fold_;
  std::map<TopicPartition, Offset> ends_;
  uint64_t generation_ = 0;
  int64_t next_ = 0;  // offset of the record that comes next
  std::string problem_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tributary
