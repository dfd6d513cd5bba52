// What every use of librdkafka here shares: owned handles, settings, errors as ours.
//
//   ASSIGN_OR_RETURN(auto client, KafkaClient::make(RD_KAFKA_PRODUCER, settings, {{"linger.ms", "2"}}));
//   rd_kafka_poll(client->handle(), 0);        // also hears why brokers are away: client->trouble()
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tributary {

// How brokers are reached: librdkafka's own names and values, "bootstrap.servers" among them.
using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

template <auto destroy>
struct KafkaDelete {
  template <typename T>
  void operator()(T* pointer) const {
    destroy(pointer);
  }
};
using KafkaTopicHandle = std::unique_ptr<rd_kafka_topic_t, KafkaDelete<rd_kafka_topic_destroy>>;
using KafkaQueueHandle = std::unique_ptr<rd_kafka_queue_t, KafkaDelete<rd_kafka_queue_destroy>>;
using KafkaMessage = std::unique_ptr<rd_kafka_message_t, KafkaDelete<rd_kafka_message_destroy>>;
using KafkaPartitionList =
    std::unique_ptr<rd_kafka_topic_partition_list_t, KafkaDelete<rd_kafka_topic_partition_list_destroy>>;

// What a broker's refusal means for us; `what` was being done: "topic shop.order.created". Also says what to do.
Error kafka_error(rd_kafka_resp_err_t code, const std::string& what);

// Asks again while brokers answer that a partition has just been made or is being moved, at most for some seconds.
rd_kafka_resp_err_t ask_leaders(const std::function<rd_kafka_resp_err_t()>& question);

// One librdkafka instance: its threads run until it is destroyed, which drops what was not sent. Thread-safe.
class KafkaClient {
 public:
  using Delivered = std::function<void(const rd_kafka_message_t&)>;

  // kInvalidInput: librdkafka does not take a property. Connects later, by itself.
  static Result<std::unique_ptr<KafkaClient>> make(rd_kafka_type_t type, const KafkaProperties& brokers,
                                                   const KafkaProperties& more, Delivered delivered = nullptr);
  ~KafkaClient();
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;

  rd_kafka_t* handle() const { return handle_; }
  // The newest thing that librdkafka complained about ("127.0.0.1:9092: Connection refused"), or empty. Told on poll.
  std::string trouble() const;
  // kUnavailable with that, where no broker answers within `limit`, or one shows a certificate that is not to be trusted;
  // kPermissionDenied: they do not let our user in.
  Status reach(std::chrono::milliseconds limit) const;
  // The same error, where `code` is what a request for metadata gave.
  Error unreachable(rd_kafka_resp_err_t code) const;

 private:
  KafkaClient() = default;
  bool turned_away() const;
  bool all_down() const;
  static void on_error(rd_kafka_t* handle, int code, const char* reason, void* self);
  static void on_delivery(rd_kafka_t* handle, const rd_kafka_message_t* message, void* self);

  rd_kafka_t* handle_ = nullptr;
  Delivered delivered_;
  mutable std::mutex mutex_;
  std::string trouble_;
  int newest_ = 0;  // its code
  bool all_down_ = false;  // at some time no broker was connected, and librdkafka had tried them all
};

}  // namespace tributary
