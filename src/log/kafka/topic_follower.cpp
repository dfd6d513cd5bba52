#include "log/kafka/topic_follower.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>

namespace tributary {
namespace {

constexpr int poll_milliseconds = 100;
constexpr int request_milliseconds = 10'000;
constexpr std::chrono::seconds open_limit{60};

}  // namespace

Result<std::unique_ptr<TopicFollower>> TopicFollower::open(const KafkaProperties& brokers, std::string topic,
                                                           Options options, Apply apply) {
  std::unique_ptr<TopicFollower> follower(new TopicFollower(std::move(topic), options, std::move(apply)));
  ASSIGN_OR_RETURN(follower->client_, KafkaClient::make(RD_KAFKA_CONSUMER, brokers,
                                                        {{"auto.offset.reset", options.offset_reset},
                                                         {"fetch.wait.max.ms", "500"},
                                                         {"fetch.error.backoff.ms", "50"},
                                                         {"enable.partition.eof", "true"},
                                                         {"check.crcs", "true"}}));
  // Asked first: with the leader known and a number instead of "from the beginning" it starts without a pause.
  int64_t low = 0;
  int64_t high = 0;
  RETURN_IF_ERROR(follower->ask_ends(low, high));
  follower->handle_.reset(rd_kafka_topic_new(follower->client_->handle(), follower->topic_.c_str(), nullptr));
  if (follower->handle_ == nullptr || rd_kafka_consume_start(follower->handle_.get(), 0, low) != 0) {
    return kafka_error(rd_kafka_last_error(), "topic " + follower->topic_);
  }
  follower->thread_ = std::thread([self = follower.get()] { self->run(); });
  if (high > 0) RETURN_IF_ERROR(follower->wait_applied(high - 1, open_limit));
  return follower;
}

TopicFollower::~TopicFollower() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  thread_.join();
  rd_kafka_consume_stop(handle_.get(), 0);
}

void TopicFollower::run() {
  ::pthread_setname_np(::pthread_self(), options_.thread);
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    rd_kafka_poll(client_->handle(), 0);
    KafkaMessage message(rd_kafka_consume(handle_.get(), 0, poll_milliseconds));
    if (message == nullptr) continue;
    bool goes_on = take(*message);
    changed_.notify_all();
    if (!goes_on) return;
  }
}

// False: what follows must not be read.
bool TopicFollower::take(const rd_kafka_message_t& message) {
  std::lock_guard lock(mutex_);
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    next_ = std::max(next_, message.offset);  // records at the end may have been compacted away
    problem_.clear();
    return true;
  }
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    problem_ = kafka_error(message.err, "topic " + topic_).message;  // librdkafka asks again by itself
    return true;
  }
  rd_kafka_timestamp_type_t type;
  TopicRecord record{.key = {static_cast<const char*>(message.key), message.key_len}, .value = {}};
  if (message.payload != nullptr) record.value.emplace(static_cast<const char*>(message.payload), message.len);
  record.micros = std::max<int64_t>(rd_kafka_message_timestamp(&message, &type), 0) * 1000;
  if (Status applied = apply_(record); !applied.ok()) {
    problem_ = fmt::format("{} (offset {})", applied.error().message, message.offset);
    return false;
  }
  problem_.clear();
  next_ = message.offset + 1;
  return true;
}

Status TopicFollower::wait_applied(int64_t offset, std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, limit, [&] { return next_ > offset; })) return {};
  return Error{ErrorCode::kUnavailable,
               problem_.empty() ? fmt::format("kafka: topic {} was not read up to offset {} in time", topic_, offset)
                                : problem_};
}

Status TopicFollower::ask_ends(int64_t& low, int64_t& high) const {
  auto code = ask_leaders([&] {
    return rd_kafka_query_watermark_offsets(client_->handle(), topic_.c_str(), 0, &low, &high, request_milliseconds);
  });
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? Status() : kafka_error(code, "topic " + topic_);
}

Status TopicFollower::wait_newest(std::chrono::milliseconds limit) const {
  int64_t low = 0;
  int64_t high = 0;
  RETURN_IF_ERROR(ask_ends(low, high));
  return high == 0 ? Status() : wait_applied(high - 1, limit);
}

std::string TopicFollower::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

void TopicFollower::wait(std::chrono::milliseconds limit, const std::function<bool()>& until) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, until);
}

}  // namespace tributary
