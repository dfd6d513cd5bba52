// Reads records of topics of a Kafka cluster, each partition from where it is told. Not thread-safe.
//
//   ASSIGN_OR_RETURN(auto reader, TopicReader::open(properties));
//   ASSIGN_OR_RETURN(auto partitions, reader->partitions(topics, limit));      // {topic, partition} → {first, end}
//   RETURN_IF_ERROR(reader->read_from(key, offset));
//   reader->poll(limit, [&](const rd_kafka_message_t& message) { … });
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "capture/debezium/debezium_state.h"
#include "kafka/kafka_client.h"

namespace tributary {

struct TopicOffsets {
  int64_t first = 0;  // the oldest that is there
  int64_t end = 0;    // what the next record gets
};

class TopicReader {
 public:
  static Result<std::unique_ptr<TopicReader>> open(const KafkaProperties& properties);
  ~TopicReader();

  // Those of `topics` that exist. kUnavailable: no broker answers within `limit`.
  Result<std::map<TopicPartitionKey, TopicOffsets>> partitions(const std::vector<std::string>& topics,
                                                               std::chrono::milliseconds limit);
  Status read_from(const TopicPartitionKey& key, int64_t offset);

  // What the next record of a partition that is read gets, as the newest answer of the brokers had it; nothing before the
  // first answer. Asks nobody.
  std::optional<int64_t> known_end(const TopicPartitionKey& key) const;

  // Gives up to `records_max` messages, errors of partitions among them (rd_kafka_message_t::err; PARTITION_EOF carries the
  // offset reached), waiting at most `limit` for the first. Returns how many.
  size_t poll(std::chrono::milliseconds limit, size_t records_max,
              const std::function<void(const rd_kafka_message_t&)>& take);

  // Why brokers are away, or empty.
  std::string trouble() const { return client_->trouble(); }

 private:
  TopicReader() = default;
  std::unique_ptr<KafkaClient> client_;
  KafkaQueueHandle queue_;
  std::map<std::string, KafkaTopicHandle> topics_;
  std::vector<TopicPartitionKey> started_;
  std::vector<rd_kafka_message_t*> polled_;
};

}  // namespace tributary
