// A topic of one partition, read from its beginning and on by a thread of its own: what somebody keeps in memory of it stays
// as new as the topic.
//
//   ASSIGN_OR_RETURN(follower_, TopicFollower::open(brokers, "shop._state", {.thread = "kafka-state"}, [this](…) { … }));
//   follower_->wait_newest(10s);                    // all that stood there has been applied
//   auto lock = follower_->lock();                  // and now nothing changes
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "kafka/kafka_client.h"

namespace tributary {

struct TopicRecord {
  std::string_view key;
  std::optional<std::string_view> value;  // nothing: a tombstone
  int64_t micros = 0;  // the broker's or the writer's time
};

class TopicFollower {
 public:
  struct Options {
    const char* thread;  // its name, at most 15 characters
    const char* offset_reset;  // librdkafka's auto.offset.reset, where the topic was cut short behind us
  };
  // Takes one record after the other, on the thread, under lock(). After an error the topic is read no further.
  using Apply = std::function<Status(const TopicRecord&)>;

  // Returns when it has read to the topic's end. kUnavailable: no broker answers.
  static Result<std::unique_ptr<TopicFollower>> open(const KafkaProperties& brokers, std::string topic, Options options,
                                                     Apply apply);
  ~TopicFollower();

  // Returns once the record at `offset` has been applied. kUnavailable: not within `limit`, or it never will.
  Status wait_applied(int64_t offset, std::chrono::milliseconds limit) const;
  // The same for all that the topic holds now.
  Status wait_newest(std::chrono::milliseconds limit) const;
  // Why the topic cannot be read on; empty where it can.
  std::string problem() const;

  // No record is applied while it is held.
  std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  // Returns when `until`, asked under lock() after each record, says so, or after `limit`.
  void wait(std::chrono::milliseconds limit, const std::function<bool()>& until) const;

 private:
  TopicFollower(std::string topic, Options options, Apply apply)
      : topic_(std::move(topic)), options_(options), apply_(std::move(apply)) {}
  void run();
  bool take(const rd_kafka_message_t& message);
  Status ask_ends(int64_t& low, int64_t& high) const;

  std::string topic_;
  Options options_;
  Apply apply_;
  std::unique_ptr<KafkaClient> client_;
  KafkaTopicHandle handle_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  int64_t next_ = 0;  // offset of the record that comes next
  std::string problem_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tributary
