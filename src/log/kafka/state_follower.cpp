#include "log/kafka/state_follower.h"

#include <pthread.h>

#include <algorithm>

namespace tributary {
namespace {

constexpr int poll_milliseconds = 100;
constexpr int request_milliseconds = 10'000;
constexpr std::chrono::seconds open_limit{60};

}  // namespace

Result<std::unique_ptr<StateFollower>> StateFollower::open(const KafkaProperties& brokers, const std::string& topic,
                                                           AppendLedger* ledger) {
  std::unique_ptr<StateFollower> follower(new StateFollower(topic, ledger));
  ASSIGN_OR_RETURN(follower->client_, KafkaClient::make(RD_KAFKA_CONSUMER, brokers,
                                                        {{"auto.offset.reset", "error"},
                                                         {"fetch.wait.max.ms", "500"},
                                                         {"fetch.error.backoff.ms", "50"},
                                                         {"enable.partition.eof", "true"},
                                                         {"check.crcs", "true"}}));
  follower->handle_.reset(rd_kafka_topic_new(follower->client_->handle(), topic.c_str(), nullptr));
  if (rd_kafka_consume_start(follower->handle_.get(), 0, RD_KAFKA_OFFSET_BEGINNING) != 0) {
    return kafka_error(rd_kafka_last_error(), "topic " + topic);
  }
  follower->thread_ = std::thread([self = follower.get()] { self->run(); });
  RETURN_IF_ERROR(follower->wait_newest(open_limit));
  return follower;
}

StateFollower::~StateFollower() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  if (handle_ != nullptr) rd_kafka_consume_stop(handle_.get(), 0);
}

void StateFollower::run() {
  ::pthread_setname_np(::pthread_self(), "kafka-state");
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    rd_kafka_poll(client_->handle(), 0);
    KafkaMessage message(rd_kafka_consume(handle_.get(), 0, poll_milliseconds));
    if (message == nullptr) continue;
    if (!take(*message)) return;
  }
}

// False: what follows must not be read.
bool StateFollower::take(const rd_kafka_message_t& message) {
  std::lock_guard lock(mutex_);
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    next_ = std::max(next_, message.offset);  // records at the end may have been compacted away
    problem_.clear();
  } else if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    problem_ = kafka_error(message.err, "topic " + topic_).message;
  } else {
    problem_.clear();
    std::string_view key(static_cast<const char*>(message.key), message.key_len);
    std::optional<std::string_view> value;
    if (message.payload != nullptr) value.emplace(static_cast<const char*>(message.payload), message.len);
    auto parts = fold_.apply(key, value);
    if (!parts.ok()) {
      problem_ = fmt::format("{} (offset {})", parts.error().message, message.offset);
      changed_.notify_all();
      return false;
    }
    for (const AppendedPart& part : *parts) ends_[part.at] = std::max(ends_[part.at], part.next);
    if (!parts->empty()) ++generation_;
    if (ledger_ != nullptr) note(message, *parts);
    next_ = message.offset + 1;
  }
  changed_.notify_all();
  return true;
}

void StateFollower::note(const rd_kafka_message_t& message, const std::vector<AppendedPart>& parts) {
  if (parts.empty()) return;
  auto key = StateRecordKey::decode({static_cast<const char*>(message.key), message.key_len});
  if (!key || key->client.empty()) return;
  rd_kafka_timestamp_type_t type;
  int64_t micros = rd_kafka_message_timestamp(&message, &type) * 1000;
  for (const AppendedPart& part : parts) {
    ledger_->add({ClientId{key->client}, part.at, part.next, part.records, part.events, part.bytes,
                  std::max<int64_t>(micros, 0)});
  }
}

Status StateFollower::wait_applied(int64_t offset, std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, limit, [&] { return next_ > offset; })) return {};
  return Error{ErrorCode::kUnavailable,
               problem_.empty() ? fmt::format("kafka: topic {} was not read up to offset {} in time", topic_, offset)
                                : problem_};
}

Status StateFollower::wait_newest(std::chrono::milliseconds limit) const {
  int64_t low = 0;
  int64_t high = 0;
  auto code = ask_leaders([&] {
    return rd_kafka_query_watermark_offsets(client_->handle(), topic_.c_str(), 0, &low, &high, request_milliseconds);
  });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "topic " + topic_);
  return high == 0 ? Status() : wait_applied(high - 1, limit);
}

std::vector<ClientId> StateFollower::clients() const {
  std::lock_guard lock(mutex_);
  return fold_.clients();
}

StateFold::Client StateFollower::client(const ClientId& id) const {
  std::lock_guard lock(mutex_);
  return fold_.client(id);
}

void StateFollower::forget_outdated(const ClientId& id) {
  std::lock_guard lock(mutex_);
  fold_.forget_outdated(id);
}

std::map<TopicPartition, Offset> StateFollower::ends() const {
  std::lock_guard lock(mutex_);
  return ends_;
}

void StateFollower::set_ends(const std::map<TopicPartition, Offset>& ends) {
  std::lock_guard lock(mutex_);
  for (const auto& [at, end] : ends) ends_[at] = std::max(ends_[at], end);
}

uint64_t StateFollower::generation() const {
  std::lock_guard lock(mutex_);
  return generation_;
}

void StateFollower::wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return generation_ != known_generation; });
}

std::string StateFollower::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace tributary
