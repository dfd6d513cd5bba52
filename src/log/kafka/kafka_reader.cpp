#include "log/kafka/kafka_reader.h"

#include <array>

#include "codec/block.h"

namespace tributary {
namespace {

constexpr std::chrono::milliseconds arrival_limit{20};  // read() waits so long for what is on its way
constexpr size_t waiting_bytes_max = 16 << 20;  // sorted and not asked for yet, beside librdkafka's own queue
constexpr size_t receive_at_once = 1000;

EventRecordHeaders headers_of(const rd_kafka_message_t& message) {
  EventRecordHeaders found;
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return found;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    std::string_view bytes(static_cast<const char*>(value), value == nullptr ? 0 : size);
    std::string_view header(name);
    if (header == header_client) found.client = bytes;
    if (header == header_event) found.event = bytes;
    if (header == header_position) found.position = bytes;
    if (header == header_schema_version) found.schema_version = bytes;
    if (header == header_table) found.table = bytes;
    if (header == header_exact) found.exact = bytes;
  }
  return found;
}

std::string_view value_of(const rd_kafka_message_t& message) {
  return {static_cast<const char*>(message.payload), message.payload == nullptr ? 0 : message.len};
}

}  // namespace

KafkaReader::~KafkaReader() {
  for (auto& [at, partition] : partitions_) {
    partition.waiting.clear();
    if (partition.started) rd_kafka_consume_stop(partition.topic.get(), static_cast<int32_t>(at.partition.value));
    partition.topic.reset();
  }
}

Status KafkaReader::open() {
  if (client_ != nullptr) return {};
  ASSIGN_OR_RETURN(client_, KafkaClient::make(RD_KAFKA_CONSUMER, ports_.brokers,
                                              {{"auto.offset.reset", "error"},
                                               {"fetch.wait.max.ms", "100"},
                                               {"fetch.error.backoff.ms", "50"},
                                               {"fetch.message.max.bytes", "1048576"},
                                               {"queued.max.messages.kbytes", "32768"},
                                               {"enable.partition.eof", "false"},
                                               {"check.crcs", "true"}}));
  queue_.reset(rd_kafka_queue_new(client_->handle()));
  return {};
}

Status KafkaReader::start(const TopicPartition& at, Partition& partition, Offset from) {
  auto number = static_cast<int32_t>(at.partition.value);
  for (const KafkaMessage& message : partition.waiting) waiting_bytes_ -= message->len;
  partition.waiting.clear();
  if (partition.topic == nullptr) {
    partition.topic.reset(rd_kafka_topic_new(client_->handle(), at.topic.c_str(), nullptr));
  }
  if (partition.started) rd_kafka_consume_stop(partition.topic.get(), number);
  partition.error = RD_KAFKA_RESP_ERR_NO_ERROR;
  partition.next_given = partition.next_received = static_cast<int64_t>(from.value);
  partition.passed_from = -1;
  partition.started =
      rd_kafka_consume_start_queue(partition.topic.get(), number, partition.next_given, queue_.get()) == 0;
  if (!partition.started) return kafka_error(rd_kafka_last_error(), "topic " + at.topic);
  return {};
}

// Takes what has arrived of all partitions; waits for some of `wanted` where none of that is there.
void KafkaReader::receive(Partition& wanted) {
  rd_kafka_poll(client_->handle(), 0);
  auto deadline = std::chrono::steady_clock::now() + arrival_limit;
  while (waiting_bytes_ < waiting_bytes_max) {
    std::array<rd_kafka_message_t*, receive_at_once> messages{};
    ssize_t count = rd_kafka_consume_batch_queue(queue_.get(), 0, messages.data(), messages.size());
    for (ssize_t i = 0; i < count; ++i) sort(KafkaMessage(messages[static_cast<size_t>(i)]));
    if (count > 0) continue;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (!wanted.waiting.empty() || wanted.error != RD_KAFKA_RESP_ERR_NO_ERROR || left.count() <= 0) return;
    KafkaMessage first(rd_kafka_consume_queue(queue_.get(), static_cast<int>(left.count())));
    if (first != nullptr) sort(std::move(first));
  }
}

void KafkaReader::sort(KafkaMessage message) {
  if (message->rkt == nullptr) return;
  auto found =
      partitions_.find({rd_kafka_topic_name(message->rkt), PartitionId{static_cast<uint32_t>(message->partition)}});
  if (found == partitions_.end()) return;
  Partition& partition = found->second;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    partition.error = message->err;
  } else if (message->offset >= partition.next_received) {
    partition.next_received = message->offset + 1;
    waiting_bytes_ += message->len;
    partition.waiting.push_back(std::move(message));
  }
}

// OK where what is gone is read again: the partition is begun at its first offset.
Status KafkaReader::failure(const TopicPartition& at, Partition& partition) {
  bool out_of_range = partition.error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                      partition.error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
  if (!out_of_range) return kafka_error(partition.error, "topic " + at.topic);
  int64_t low = 0;
  int64_t high = 0;
  auto code = rd_kafka_query_watermark_offsets(client_->handle(), at.topic.c_str(),
                                               static_cast<int32_t>(at.partition.value), &low, &high, 1000);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "topic " + at.topic);
  Offset wanted{static_cast<uint64_t>(partition.next_given)};
  Offset first{static_cast<uint64_t>(low)};
  if (wanted < first && ports_.is_read_again(at, wanted, first)) return start(at, partition, first);
  return Error{
      ErrorCode::kCorrupt,
      fmt::format("kafka: topic {} partition {} holds {} to {}, and offset {} is to be processed next: events are "
                  "lost (retention, or a topic that was made again); `tributary client FILE reset CLIENT` for "
                  "each client has its tables read again, and the partition is then read on",
                  at.topic, at.partition, low, high, partition.next_given)};
}

Status KafkaReader::add(const rd_kafka_message_t& message, const TopicPartition& at, std::vector<EventBatch>& batches,
                        std::vector<LogBlock>& blocks) {
  if (message.payload == nullptr) return {};  // a tombstone: the delete stands before it
  EventRecordHeaders headers = headers_of(message);
  Offset offset{static_cast<uint64_t>(message.offset)};
  Result<EventRecordTable> table = EventRecordReader::table_of(headers);
  if (!table.ok()) {
    ports_.skipped(at, offset, table.error().message);
    return {};
  }
  if (headers.event == block_event) return add_block(message, at, *table, batches, blocks);
  size_t index = 0;
  for (; index < batches.size(); ++index) {
    const EventBatch& batch = batches[index];
    if (!blocks[index].bytes.empty()) continue;  // a record of its own
    if (batch.client.value == table->client && batch.schema->table == table->table &&
        batch.schema->version == table->schema_version) {
      break;
    }
  }
  bool is_new = index == batches.size();
  if (is_new) {
    ClientId client{std::string(table->client)};
    const std::string* domain = ports_.topics.domain_of(at.topic, std::string(table->table));
    if (domain == nullptr) {
      ports_.skipped(at, offset, fmt::format("nobody knows the domain of table {}", table->table));
      return {};
    }
    Result<SchemaPtr> schema = ports_.schema(client, std::string(table->table), table->schema_version);
    if (!schema.ok() && schema.error().code == ErrorCode::kNotFound) {
      ports_.skipped(at, offset, schema.error().message);
      return {};
    }
    if (!schema.ok()) return schema.error();
    batches.emplace_back(client, *domain, std::move(*schema));
  }
  if (Status added = reader_.append(batches[index], headers, value_of(message)); !added.ok()) {
    if (is_new) batches.pop_back();
    ports_.skipped(at, offset, added.error().message);
    return {};
  }
  if (is_new) blocks.push_back({.at = at, .first = offset, .next = {}, .events = 0, .bytes = {}, .decoded = nullptr});
  ++blocks[index].events;
  return {};
}

// A record that is a block as a whole; its bytes are the block's, so nothing is encoded again.
Status KafkaReader::add_block(const rd_kafka_message_t& message, const TopicPartition& at,
                              const EventRecordTable& table, std::vector<EventBatch>& batches,
                              std::vector<LogBlock>& blocks) {
  Offset offset{static_cast<uint64_t>(message.offset)};
  ClientId client{std::string(table.client)};
  const std::string* domain = ports_.topics.domain_of(at.topic, std::string(table.table));
  Result<SchemaPtr> schema = ports_.schema(client, std::string(table.table), table.schema_version);
  if (!schema.ok() && schema.error().code != ErrorCode::kNotFound) return schema.error();
  Result<EventBatch> batch = schema.ok() ? decode_block(value_of(message), *schema) : schema.error();
  bool known = domain != nullptr && (ports_.topics.domain_of(at.topic) == nullptr || *domain == batch->domain);
  bool ours = batch.ok() && batch->client == client && known;
  if (!ours) {
    ports_.skipped(at, offset, batch.ok() ? "it is a block of another client or domain" : batch.error().message);
    return {};
  }
  LogBlock& block = blocks.emplace_back();
  block.at = at;
  block.first = offset;
  block.events = static_cast<uint32_t>(batch->rows() + batch->ranges.size());
  if (batch->domain == *domain) block.bytes = value_of(message);
  batch->domain = *domain;
  batches.push_back(*std::move(batch));
  return {};
}

Result<std::vector<LogBlock>> KafkaReader::read(const TopicPartition& at, Offset from, size_t bytes_max) {
  std::vector<LogBlock> blocks;
  RETURN_IF_ERROR(open());
  Partition& partition = partitions_[at];
  auto wanted = static_cast<int64_t>(from.value);
  bool goes_on = wanted == partition.next_given || wanted == partition.passed_from;
  if (!partition.started || !goes_on || partition.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    RETURN_IF_ERROR(start(at, partition, from));
  }
  receive(partition);
  if (partition.waiting.empty() && partition.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    RETURN_IF_ERROR(failure(at, partition));
    receive(partition);
  }

  std::vector<EventBatch> batches;
  for (size_t bytes = 0; !partition.waiting.empty() && bytes < bytes_max; partition.waiting.pop_front()) {
    const rd_kafka_message_t& message = *partition.waiting.front();
    RETURN_IF_ERROR(add(message, at, batches, blocks));
    bytes += message.len;
    waiting_bytes_ -= message.len;
    partition.next_given = message.offset + 1;
  }
  for (size_t i = 0; i < batches.size(); ++i) {
    blocks[i].next = from;
    if (blocks[i].bytes.empty()) blocks[i].bytes = encode_block(batches[i], BlockCompression::kLz4);
    blocks[i].decoded = std::make_shared<const EventBatch>(std::move(batches[i]));
  }
  partition.passed_from = blocks.empty() ? wanted : -1;
  if (!blocks.empty()) blocks.back().next = Offset{static_cast<uint64_t>(partition.next_given)};
  return blocks;
}

}  // namespace tributary
