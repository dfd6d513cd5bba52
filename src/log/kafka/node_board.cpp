#include "log/kafka/node_board.h"

namespace tributary {

Result<std::unique_ptr<NodeBoard>> NodeBoard::open(const KafkaProperties& brokers, const std::string& topic) {
  std::unique_ptr<NodeBoard> board(new NodeBoard);
  // A note that waits for seconds is no news any more.
  ASSIGN_OR_RETURN(board->producer_, KafkaClient::make(RD_KAFKA_PRODUCER, brokers,
                                                       {{"acks", "1"},
                                                        {"linger.ms", "2"},
                                                        {"message.timeout.ms", "10000"},
                                                        {"queue.buffering.max.kbytes", "8192"},
                                                        {"compression.codec", "lz4"}}));
  board->produced_.reset(rd_kafka_topic_new(board->producer_->handle(), topic.c_str(), nullptr));
  if (board->produced_ == nullptr) return kafka_error(rd_kafka_last_error(), "topic " + topic);
  auto take = [self = board.get()](const TopicRecord& record) {
    self->take(record);
    return Status();
  };
  ASSIGN_OR_RETURN(board->topic_,
                   TopicFollower::open(brokers, topic, {.thread = "kafka-nodes", .offset_reset = "earliest"}, take));
  return board;
}

void NodeBoard::take(const TopicRecord& record) {
  std::string key(record.key);
  if (record.value) {
    notes_[std::move(key)] = {std::string(*record.value), std::chrono::steady_clock::now()};
  } else {
    notes_.erase(key);
  }
  ++generation_;
}

void NodeBoard::send(const std::string& key, const std::string_view* value) {
  auto* bytes = value == nullptr ? nullptr : const_cast<char*>(value->data());  // NOLINT: copied, not written
  size_t size = value == nullptr ? 0 : value->size();
  (void)rd_kafka_producev(producer_->handle(), RD_KAFKA_V_RKT(produced_.get()), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key.data(), key.size()),
                          RD_KAFKA_V_VALUE(bytes, size), RD_KAFKA_V_END);
  rd_kafka_poll(producer_->handle(), 0);
}

void NodeBoard::publish(const std::string& key, std::string_view value) { send(key, &value); }

void NodeBoard::withdraw(const std::string& key) { send(key, nullptr); }

void NodeBoard::flush(std::chrono::milliseconds limit) {
  rd_kafka_flush(producer_->handle(), static_cast<int>(limit.count()));
}

std::map<std::string, NodeNote> NodeBoard::notes(std::string_view prefix) const {
  std::map<std::string, NodeNote> found;
  auto lock = topic_->lock();
  for (auto at = notes_.lower_bound(prefix); at != notes_.end() && at->first.starts_with(prefix); ++at) {
    found.emplace(at->first, at->second);
  }
  return found;
}

uint64_t NodeBoard::generation() const {
  auto lock = topic_->lock();
  return generation_;
}

void NodeBoard::wait_change(uint64_t known, std::chrono::milliseconds limit) const {
  topic_->wait(limit, [&] { return generation_ != known; });
}

}  // namespace tributary
