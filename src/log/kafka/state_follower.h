// The state topic as this node has read it, kept up by a thread of its own.
//
// Whoever writes to the topic waits until it has read its own record back: only then is it known what stands before it,
// and so whether it still owned what it wrote about.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "log/append_ledger.h"
#include "log/kafka/state_fold.h"
#include "log/kafka/topic_follower.h"

namespace tributary {

class StateFollower {
 public:
  // Reads the topic to its end. kUnavailable: no broker answers.
  // `ledger`, where there is one, outlives it and hears of every append.
  static Result<std::unique_ptr<StateFollower>> open(const KafkaProperties& brokers, const std::string& topic,
                                                     AppendLedger* ledger);

  // As a TopicFollower's.
  Status wait_applied(int64_t offset, std::chrono::milliseconds limit) const {
    return topic_->wait_applied(offset, limit);
  }
  Status wait_newest(std::chrono::milliseconds limit) const { return topic_->wait_newest(limit); }
  std::string problem() const { return topic_->problem(); }

  StateFold::Client client(const ClientId& id) const;
  std::vector<ClientId> clients() const;
  void forget_outdated(const ClientId& id);
  std::map<std::string, std::string> topics() const;  // as StateFold::topics()

  // Ends of partitions, as appends told; begin with what the brokers said at the start.
  std::map<TopicPartition, Offset> ends() const;
  void set_ends(const std::map<TopicPartition, Offset>& ends);
  // The topic is deleted: nothing of it is to be read.
  void forget_ends(const std::string& topic);
  // Partitions of which an end below the known one was told, by one of two writers or since they were made anew, with the known
  // one. Each is given once.
  std::map<TopicPartition, Offset> take_suspects();
  // The brokers could not be asked about it: it is given again.
  void suspect(const TopicPartition& at);
  // It was made anew, and ends at `end`. False: its end is not `known` any more.
  bool lower_end(const TopicPartition& at, Offset known, Offset end);
  // Rises with each append that was read.
  uint64_t generation() const;
  void wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) const;

 private:
  explicit StateFollower(AppendLedger* ledger) : ledger_(ledger) {}
  Status take(const TopicRecord& record);
  void note(const TopicRecord& record, const std::vector<AppendedPart>& parts);

  AppendLedger* ledger_;
  mutable StateFold fold_;
  void end(const TopicPartition& at, Offset told);

  std::map<TopicPartition, Offset> ends_;
  std::set<TopicPartition> suspects_;
  uint64_t generation_ = 0;
  std::unique_ptr<TopicFollower> topic_;  // last: its thread ends before what it fills goes
};

}  // namespace tributary
