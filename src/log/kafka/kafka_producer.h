// Records to the brokers, idempotently and acknowledged by all in-sync replicas.
//
//   RETURN_IF_ERROR(producer.begin());
//   KafkaDestination& to = producer.destination({"shop.order.created", PartitionId{3}});
//   RETURN_IF_ERROR(producer.send(to, {…}));
//   RETURN_IF_ERROR(producer.finish());       // all of them are acknowledged
//   producer.ends();                          // and this is where their partitions end
//
// After any failure the librdkafka instance is dropped with all that it holds, and the next begin() makes another one: so
// nothing of a failed attempt waits in memory, and what is tried again is written again from its beginning. Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "contracts/event_log.h"
#include "kafka/kafka_client.h"

namespace tributary {

// A partition, for what is sent until the producer's next begin().
struct KafkaDestination {
  rd_kafka_topic_t* topic;
  int32_t partition;
  Offset end{0};  // behind the newest record acknowledged
};

struct KafkaRecord {
  std::string_view key;  // no data: none
  std::optional<std::string_view> value;  // nothing: a tombstone
  rd_kafka_headers_t* headers = nullptr;  // the producer's from now on, also after an error
};

class KafkaProducer {
 public:
  KafkaProducer(KafkaProperties brokers, std::string compression)
      : brokers_(std::move(brokers)), compression_(std::move(compression)) {}

  // kUnavailable: no broker answers; cheap to ask again.
  Status begin();
  // Looked up once for many records.
  KafkaDestination& destination(const TopicPartition& at);
  Status send(KafkaDestination& to, const KafkaRecord& record);
  // Returns when all that was sent since begin() is acknowledged. kUnavailable: nothing was for `stall_limit`, and the
  // broker may have taken any part.
  Status finish();

  // The offset behind what was acknowledged there since begin(); nullopt: nothing was.
  std::optional<Offset> end(const TopicPartition& at) const;

 private:
  Status open();
  void take(const rd_kafka_message_t& message);
  Status fail(Error error);
  void drop();

  KafkaProperties brokers_;
  std::string compression_;
  std::unique_ptr<KafkaClient> client_;
  std::map<std::string, KafkaTopicHandle> topics_;
  bool suspicious_ = true;  // nothing was acknowledged by this instance yet
  // Since begin().
  size_t sent_ = 0;
  size_t settled_ = 0;
  size_t in_flight_bytes_ = 0;  // keys and values
  std::optional<Error> error_;
  std::map<TopicPartition, KafkaDestination> destinations_;
};

}  // namespace tributary
