#include "log/kafka/node_board.h"

#include <pthread.h>

namespace tributary {
namespace {

constexpr int poll_milliseconds = 100;
constexpr std::chrono::seconds open_limit{60};

}  // namespace

Result<std::unique_ptr<NodeBoard>> NodeBoard::open(const KafkaProperties& brokers, const std::string& topic) {
  std::unique_ptr<NodeBoard> board(new NodeBoard(topic));
  // A note that waits for seconds is no news any more.
  ASSIGN_OR_RETURN(board->producer_, KafkaClient::make(RD_KAFKA_PRODUCER, brokers,
                                                       {{"acks", "1"},
                                                        {"linger.ms", "2"},
                                                        {"message.timeout.ms", "10000"},
                                                        {"queue.buffering.max.kbytes", "8192"},
                                                        {"compression.codec", "lz4"}}));
  board->produced_.reset(rd_kafka_topic_new(board->producer_->handle(), topic.c_str(), nullptr));
  ASSIGN_OR_RETURN(board->consumer_, KafkaClient::make(RD_KAFKA_CONSUMER, brokers,
                                                       {{"auto.offset.reset", "earliest"},
                                                        {"fetch.wait.max.ms", "500"},
                                                        {"fetch.error.backoff.ms", "50"},
                                                        {"enable.partition.eof", "true"}}));
  board->consumed_.reset(rd_kafka_topic_new(board->consumer_->handle(), topic.c_str(), nullptr));
  if (board->produced_ == nullptr || board->consumed_ == nullptr ||
      rd_kafka_consume_start(board->consumed_.get(), 0, RD_KAFKA_OFFSET_BEGINNING) != 0) {
    return kafka_error(rd_kafka_last_error(), "topic " + topic);
  }
  board->thread_ = std::thread([self = board.get()] { self->run(); });
  std::unique_lock lock(board->mutex_);
  if (board->changed_.wait_for(lock, open_limit, [&] { return board->at_end_; })) return board;
  lock.unlock();
  return Error{ErrorCode::kUnavailable,
               fmt::format("kafka: topic {} cannot be read: {}", topic, board->consumer_->trouble())};
}

NodeBoard::~NodeBoard() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  thread_.join();
  rd_kafka_consume_stop(consumed_.get(), 0);
}

void NodeBoard::run() {
  ::pthread_setname_np(::pthread_self(), "kafka-nodes");
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    rd_kafka_poll(consumer_->handle(), 0);
    rd_kafka_poll(producer_->handle(), 0);
    KafkaMessage message(rd_kafka_consume(consumed_.get(), 0, poll_milliseconds));
    if (message != nullptr) take(*message);
  }
}

void NodeBoard::take(const rd_kafka_message_t& message) {
  {
    std::lock_guard lock(mutex_);
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      at_end_ = true;
    } else if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;  // librdkafka asks again by itself
    } else {
      std::string key(static_cast<const char*>(message.key), message.key_len);
      if (message.payload == nullptr) {
        notes_.erase(key);
      } else {
        NodeNote& note = notes_[std::move(key)];
        note.value.assign(static_cast<const char*>(message.payload), message.len);
        note.heard = std::chrono::steady_clock::now();
      }
      ++generation_;
    }
  }
  changed_.notify_all();
}

void NodeBoard::send(const std::string& key, const std::string_view* value) {
  auto* bytes = value == nullptr ? nullptr : const_cast<char*>(value->data());  // NOLINT: copied, not written
  size_t size = value == nullptr ? 0 : value->size();
  (void)rd_kafka_producev(producer_->handle(), RD_KAFKA_V_RKT(produced_.get()), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
                          RD_KAFKA_V_VALUE(bytes, size), RD_KAFKA_V_END);
}

void NodeBoard::publish(const std::string& key, std::string_view value) { send(key, &value); }

void NodeBoard::withdraw(const std::string& key) { send(key, nullptr); }

void NodeBoard::flush(std::chrono::milliseconds limit) {
  rd_kafka_flush(producer_->handle(), static_cast<int>(limit.count()));
}

std::map<std::string, NodeNote> NodeBoard::notes(std::string_view prefix) const {
  std::map<std::string, NodeNote> found;
  std::lock_guard lock(mutex_);
  for (auto at = notes_.lower_bound(prefix); at != notes_.end() && at->first.starts_with(prefix); ++at) {
    found.emplace(at->first, at->second);
  }
  return found;
}

uint64_t NodeBoard::generation() const {
  std::lock_guard lock(mutex_);
  return generation_;
}

void NodeBoard::wait_change(uint64_t known, std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return generation_ != known; });
}

}  // namespace tributary
