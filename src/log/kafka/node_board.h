// What the nodes of one pipeline tell each other beside the log: the newest note under each key, in a compacted topic of one
// partition (docs/formats/kafka-nodes.md).
//
//   board.publish("capture/acme", R"({"state":"streaming"})");
//   board.notes("capture/");                      // by key, as far as this node has heard
//
// Notes are news and no memory: one that is lost is said again by whoever has it to say, and nothing is decided by them that
// the state topic (docs/formats/kafka-state.md) decides.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "log/kafka/topic_follower.h"

namespace tributary {

struct NodeNote {
  std::string value;
  std::chrono::steady_clock::time_point heard;  // when this node heard it
};

class NodeBoard {
 public:
  // Reads what stands in `topic`. kUnavailable: no broker answers.
  static Result<std::unique_ptr<NodeBoard>> open(const KafkaProperties& brokers, const std::string& topic);

  // Puts `value` under `key`, soon; nothing is waited for, and where no broker takes it, it is dropped. Thread-safe.
  void publish(const std::string& key, std::string_view value);
  // Removes what stands under `key`, likewise.
  void withdraw(const std::string& key);
  // Returns when what was published before has left, or after `limit`.
  void flush(std::chrono::milliseconds limit);

  // Thread-safe.
  std::map<std::string, NodeNote> notes(std::string_view prefix) const;
  // Rises with each note that is heard. wait_change() returns when it is no longer `known`, or after `limit`.
  uint64_t generation() const;
  void wait_change(uint64_t known, std::chrono::milliseconds limit) const;

 private:
  NodeBoard() = default;
  void take(const TopicRecord& record);
  void send(const std::string& key, const std::string_view* value);

  std::unique_ptr<KafkaClient> producer_;
  KafkaTopicHandle produced_;

  std::map<std::string, NodeNote, std::less<>> notes_;
  uint64_t generation_ = 0;
  std::unique_ptr<TopicFollower> topic_;  // last: its thread ends before what it fills goes
};

}  // namespace tributary
