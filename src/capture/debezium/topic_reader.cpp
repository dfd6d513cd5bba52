#include "capture/debezium/topic_reader.h"

#include <set>

namespace tributary {

Result<std::unique_ptr<TopicReader>> TopicReader::open(const KafkaProperties& properties) {
  std::unique_ptr<TopicReader> reader(new TopicReader);
  ASSIGN_OR_RETURN(reader->client_, KafkaClient::make(RD_KAFKA_CONSUMER, properties,
                                                      {{"enable.partition.eof", "true"},
                                                       {"isolation.level", "read_committed"},
                                                       {"queued.max.messages.kbytes", "16384"},
                                                       {"fetch.message.max.bytes", "8388608"},
                                                       {"fetch.wait.max.ms", "100"},
                                                       {"reconnect.backoff.max.ms", "1000"},
                                                       {"socket.keepalive.enable", "true"}}));
  reader->queue_.reset(rd_kafka_queue_new(reader->client_->handle()));
  return reader;
}

TopicReader::~TopicReader() {
  for (const TopicPartitionKey& key : started_) rd_kafka_consume_stop(topics_.at(key.topic).get(), key.partition);
  topics_.clear();
  queue_.reset();
}

Result<std::map<TopicPartitionKey, TopicOffsets>> TopicReader::partitions(const std::vector<std::string>& topics,
                                                                          std::chrono::milliseconds limit) {
  std::set<std::string> wanted(topics.begin(), topics.end());
  const rd_kafka_metadata_t* metadata = nullptr;
  auto millis = static_cast<int>(limit.count());
  // Of all topics: asking for one by name would make it where brokers do so.
  rd_kafka_resp_err_t code = rd_kafka_metadata(client_->handle(), 1, nullptr, &metadata, millis);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_poll(client_->handle(), 0);
    std::string why = client_->trouble();
    return Error{ErrorCode::kUnavailable, "kafka: no broker answers: " + (why.empty() ? rd_kafka_err2str(code) : why)};
  }
  std::vector<TopicPartitionKey> keys;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
    if (!wanted.contains(topic.topic)) continue;
    for (int p = 0; p < topic.partition_cnt; ++p) keys.push_back({topic.topic, topic.partitions[p].id});
  }
  rd_kafka_metadata_destroy(metadata);
  std::map<TopicPartitionKey, TopicOffsets> found;
  for (const TopicPartitionKey& key : keys) {
    TopicOffsets offsets;
    code = ask_leaders([&] {
      return rd_kafka_query_watermark_offsets(client_->handle(), key.topic.c_str(), key.partition, &offsets.first,
                                              &offsets.end, millis);
    });
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "topic " + key.topic);
    found[key] = offsets;
  }
  return found;
}

Status TopicReader::read_from(const TopicPartitionKey& key, int64_t offset) {
  KafkaTopicHandle& topic = topics_[key.topic];
  if (topic == nullptr) {
    rd_kafka_topic_conf_t* conf = rd_kafka_topic_conf_new();
    rd_kafka_topic_conf_set(conf, "auto.offset.reset", "error", nullptr, 0);
    topic.reset(rd_kafka_topic_new(client_->handle(), key.topic.c_str(), conf));
  }
  if (rd_kafka_consume_start_queue(topic.get(), key.partition, offset, queue_.get()) != 0) {
    return kafka_error(rd_kafka_last_error(), "topic " + key.topic);
  }
  started_.push_back(key);
  return {};
}

std::optional<int64_t> TopicReader::known_end(const TopicPartitionKey& key) const {
  int64_t low = 0;
  int64_t high = 0;
  auto code = rd_kafka_get_watermark_offsets(client_->handle(), key.topic.c_str(), key.partition, &low, &high);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0) return std::nullopt;
  return high;
}

size_t TopicReader::poll(std::chrono::milliseconds limit, size_t records_max,
                         const std::function<void(const rd_kafka_message_t&)>& take) {
  rd_kafka_poll(client_->handle(), 0);
  polled_.resize(records_max);
  ssize_t count =
      rd_kafka_consume_batch_queue(queue_.get(), static_cast<int>(limit.count()), polled_.data(), records_max);
  for (ssize_t i = 0; i < count; ++i) {
    KafkaMessage message(polled_[static_cast<size_t>(i)]);
    take(*message);
  }
  return count < 0 ? 0 : static_cast<size_t>(count);
}

}  // namespace tributary
