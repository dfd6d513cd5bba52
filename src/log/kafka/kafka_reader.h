// Reads events of the log's partitions: records of the brokers as blocks (contracts/event_log.h). Internal to KafkaLog.
//
// librdkafka fetches ahead into one queue for all partitions that were asked for; what arrives is sorted to its partition
// here and waits until it is asked for. Both are bounded, whatever the number of partitions.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "codec/event_record.h"
#include "contracts/event_log.h"
#include "kafka/kafka_client.h"
#include "log/kafka/kafka_topics.h"

namespace tributary {

class KafkaReader final : public LogReader {
 public:
  struct Ports {
    const KafkaProperties& brokers;
    const KafkaTopics& topics;
    std::function<Result<SchemaPtr>(const ClientId&, const std::string& table, uint32_t version)> schema;
    // A record that is none of ours was passed over.
    std::function<void(const TopicPartition&, Offset, const std::string& why)> skipped;
    // Events from `wanted` up to `first` are gone: whether it may go on at `first`, since tables were read again.
    std::function<bool(const TopicPartition&, Offset wanted, Offset first)> is_read_again;
  };
  explicit KafkaReader(Ports ports) : ports_(std::move(ports)) {}
  ~KafkaReader() override;

  // kCorrupt: the brokers have nothing at `from` any more, so events were removed before they were read; reading goes on once
  // all clients that may have had some have been reset.
  // Blocks: each holds the read's events of one table of one client; only behind the last one the read goes on.
  Result<std::vector<LogBlock>> read(const TopicPartition& partition, Offset from, size_t bytes_max) override;

 private:
  struct Partition {
    KafkaTopicHandle topic;
    bool started = false;
    int64_t next_given = 0;  // what read() gives next
    int64_t next_received = 0;  // what arrives next
    int64_t passed_from = -1;  // from there to next_given nothing was ours, so nothing was given
    std::deque<KafkaMessage> waiting;
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  };
  using Tables = std::map<EventRecordTable, size_t>;

  Status open();
  Status start(const TopicPartition& at, Partition& partition, Offset from);
  void receive(Partition& wanted);
  void sort(KafkaMessage message);
  Status failure(const TopicPartition& at, Partition& partition);
  Status add(const rd_kafka_message_t& message, const TopicPartition& at, std::vector<EventBatch>& batches,
             std::vector<LogBlock>& blocks);

  Status add_block(const rd_kafka_message_t& message, const TopicPartition& at, const EventRecordTable& table,
                   std::vector<EventBatch>& batches, std::vector<LogBlock>& blocks);

  Ports ports_;
  std::unique_ptr<KafkaClient> client_;
  KafkaQueueHandle queue_;
  std::map<TopicPartition, Partition> partitions_;
  size_t waiting_bytes_ = 0;
  EventRecordReader reader_;
};

}  // namespace tributary
