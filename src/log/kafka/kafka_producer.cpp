#include "log/kafka/kafka_producer.h"

namespace tributary {
namespace {

constexpr int poll_milliseconds = 20;
constexpr std::chrono::milliseconds reach_limit{2000};
// Sent and not acknowledged. More than a round trip needs is memory that no cache holds; librdkafka's own limit is larger,
// since it must let one record through.
constexpr size_t in_flight_bytes_max = size_t{8} << 20;
constexpr std::chrono::seconds stall_limit{8};  // below capture's limit for stopping

}  // namespace

Status KafkaProducer::open() {
  if (client_ != nullptr) return {};
  auto delivered = [this](const rd_kafka_message_t& message) { take(message); };
  ASSIGN_OR_RETURN(
      client_,
      KafkaClient::make(RD_KAFKA_PRODUCER, brokers_,
                        {{"enable.idempotence", "true"},
                         {"acks", "all"},
                         {"message.timeout.ms", "0"},  // our own limit decides
                         // Batches fill while an append is under way; finish() sends what is left at once.
                         {"linger.ms", "100"},
                         {"compression.type", compression_},
                         {"batch.size", "524288"},
                         {"message.max.bytes", "1000000000"},  // the topic's own limit decides
                         {"queue.buffering.max.kbytes", "65536"},
                         {"queue.buffering.max.messages", "200000"},
                         {"retry.backoff.ms", "50"},
                         // A topic that is not there is said so soon: others share our thread, and it is tried again.
                         {"topic.metadata.propagation.max.ms", "200"}},
                        delivered));
  suspicious_ = true;
  return {};
}

Status KafkaProducer::begin() {
  if (settled_ < sent_) drop();  // of an attempt that was given up
  RETURN_IF_ERROR(open());
  sent_ = settled_ = in_flight_bytes_ = 0;
  error_.reset();
  destinations_.clear();
  if (!suspicious_) return {};
  return client_->reach(reach_limit);
}

KafkaDestination& KafkaProducer::destination(const TopicPartition& at) {
  auto [found, made] = destinations_.try_emplace(at);
  if (!made) return found->second;
  KafkaTopicHandle& topic = topics_[at.topic];
  if (topic == nullptr) topic.reset(rd_kafka_topic_new(client_->handle(), at.topic.c_str(), nullptr));
  found->second = {.topic = topic.get(), .partition = static_cast<int32_t>(at.partition.value)};
  return found->second;
}

std::optional<Offset> KafkaProducer::end(const TopicPartition& at) const {
  auto found = destinations_.find(at);
  return found == destinations_.end() || found->second.end.value == 0 ? std::nullopt : std::optional(found->second.end);
}

Status KafkaProducer::send(KafkaDestination& to, const KafkaRecord& record) {
  auto last_progress = std::chrono::steady_clock::now();
  size_t settled = settled_;
  rd_kafka_headers_t* headers = record.headers;
  auto* value = record.value ? const_cast<char*>(record.value->data()) : nullptr;  // NOLINT: copied, not written
  size_t value_bytes = record.value ? record.value->size() : 0;
  auto destroy_headers = [&] {
    if (headers != nullptr) rd_kafka_headers_destroy(headers);
  };
  while (true) {
    if (error_) {
      destroy_headers();
      return fail(*error_);
    }
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__QUEUE_FULL;
    if (in_flight_bytes_ <= in_flight_bytes_max) {
      code = rd_kafka_producev(
          client_->handle(), RD_KAFKA_V_RKT(to.topic), RD_KAFKA_V_PARTITION(to.partition),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
          RD_KAFKA_V_VALUE(value, value_bytes), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(&to), RD_KAFKA_V_END);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
    bool stalled = std::chrono::steady_clock::now() - last_progress > stall_limit;
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || stalled) {
      destroy_headers();
      return fail(kafka_error(code, std::string("topic ") + rd_kafka_topic_name(to.topic)));
    }
    rd_kafka_poll(client_->handle(), poll_milliseconds);
    // All batches may be waiting to be filled.
    if (settled_ == settled) rd_kafka_flush(client_->handle(), poll_milliseconds);
    if (settled_ != settled) last_progress = std::chrono::steady_clock::now();
    settled = settled_;
  }
  ++sent_;
  in_flight_bytes_ += record.key.size() + value_bytes;
  if (sent_ % 1000 == 0) rd_kafka_poll(client_->handle(), 0);
  return {};
}

Status KafkaProducer::finish() {
  auto last_progress = std::chrono::steady_clock::now();
  while (settled_ < sent_ && !error_) {
    size_t settled = settled_;
    rd_kafka_flush(client_->handle(), poll_milliseconds);
    auto now = std::chrono::steady_clock::now();
    if (settled_ != settled) last_progress = now;
    if (now - last_progress <= stall_limit) continue;
    std::string why = client_->trouble();
    return fail(
        {ErrorCode::kUnavailable, fmt::format("kafka: brokers acknowledge nothing{}{}", why.empty() ? "" : ": ", why)});
  }
  if (error_) return fail(*error_);
  suspicious_ = false;
  return {};
}

void KafkaProducer::take(const rd_kafka_message_t& message) {
  ++settled_;
  in_flight_bytes_ -= message.key_len + message.len;
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (!error_) error_ = kafka_error(message.err, std::string("topic ") + rd_kafka_topic_name(message.rkt));
    return;
  }
  auto& to = *static_cast<KafkaDestination*>(message._private);
  to.end = std::max(to.end, Offset{static_cast<uint64_t>(message.offset) + 1});
}

Status KafkaProducer::fail(Error error) {
  drop();
  return error;
}

void KafkaProducer::drop() {
  topics_.clear();
  client_.reset();
}

}  // namespace tributary
