#include "kafka/kafka_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace tributary {
namespace {

constexpr std::chrono::seconds leader_limit{20};
constexpr std::chrono::milliseconds leader_poll{20};
// Until the first look at what librdkafka complains about; each next one is three times as long, since a slow answer counts.
constexpr std::chrono::milliseconds reach_slice{500};
// Brokers that refuse connections are away, not slow: no more is waited for them than until this long a slice has passed. The
// first refusal says little: of a name with two addresses one may lead nowhere.
constexpr std::chrono::milliseconds refused_slice{1500};
const KafkaProperties own_properties{{"reconnect.backoff.max.ms", "1000"}};  // a broker that is back is found at once
constexpr int scram_mended = 0x020601ff;  // librdkafka 2.6.1

ErrorCode code_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD: return ErrorCode::kInvalidInput;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT: return ErrorCode::kTimeout;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: return ErrorCode::kAlreadyExists;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED: return ErrorCode::kPermissionDenied;
    default: return ErrorCode::kUnavailable;
  }
}

}  // namespace

Error kafka_error(rd_kafka_resp_err_t code, const std::string& what) {
  std::string message = fmt::format("kafka: {}: {}", what, rd_kafka_err2str(code));
  if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) message += "; let its ACL allow our user to";
  if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
    message += "; raise the topic's max.message.bytes, it is tried again by itself";
  if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    message += "; make it again, it is tried again by itself";
  return {code_of(code), std::move(message)};
}

rd_kafka_resp_err_t ask_leaders(const std::function<rd_kafka_resp_err_t()>& question) {
  auto deadline = std::chrono::steady_clock::now() + leader_limit;
  while (true) {
    rd_kafka_resp_err_t code = question();
    bool passes = code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
                  code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                  code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    if (!passes || std::chrono::steady_clock::now() > deadline) return code;
    std::this_thread::sleep_for(leader_poll);
  }
}

Result<std::unique_ptr<KafkaClient>> KafkaClient::make(rd_kafka_type_t type, const KafkaProperties& brokers,
                                                       const KafkaProperties& more, Delivered delivered) {
  std::unique_ptr<KafkaClient> client(new KafkaClient);
  client->delivered_ = std::move(delivered);
  std::string reason(512, '\0');
  std::unique_ptr<rd_kafka_conf_t, KafkaDelete<rd_kafka_conf_destroy>> conf(rd_kafka_conf_new());
  for (const KafkaProperties* properties : {&own_properties, &brokers, &more}) {
    for (const auto& [name, value] : *properties) {
      if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), reason.data(), reason.size()) !=
          RD_KAFKA_CONF_OK) {
        return Error{ErrorCode::kInvalidInput, fmt::format("kafka: {}", reason.c_str())};
      }
    }
  }
  rd_kafka_conf_set_opaque(conf.get(), client.get());
  rd_kafka_conf_set_log_cb(conf.get(), [](const rd_kafka_t*, int, const char*, const char*) {});
  rd_kafka_conf_set_error_cb(conf.get(), on_error);
  if (client->delivered_) rd_kafka_conf_set_dr_msg_cb(conf.get(), on_delivery);
  client->handle_ = rd_kafka_new(type, conf.get(), reason.data(), reason.size());
  if (client->handle_ == nullptr) return Error{ErrorCode::kInvalidInput, fmt::format("kafka: {}", reason.c_str())};
  (void)conf.release();  // librdkafka's now
  return client;
}

KafkaClient::~KafkaClient() {
  if (handle_ == nullptr) return;
  if (delivered_) {
    // Nothing that waits is wanted any more: without this, destroying waits for brokers that are away.
    delivered_ = [](const rd_kafka_message_t&) {};
    rd_kafka_purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
  }
  rd_kafka_destroy_flags(handle_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

std::string KafkaClient::trouble() const {
  std::lock_guard lock(mutex_);
  return trouble_;
}

Status KafkaClient::reach(std::chrono::milliseconds limit) const {
  auto deadline = std::chrono::steady_clock::now() + limit;
  for (auto slice = reach_slice;; slice *= 3) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const rd_kafka_metadata_t* metadata = nullptr;
    auto code = rd_kafka_metadata(handle_, 0, nullptr, &metadata, static_cast<int>(std::min(left, slice).count()));
    if (metadata != nullptr) rd_kafka_metadata_destroy(metadata);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
    rd_kafka_poll(handle_, 0);
    bool passes = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT;
    bool refused = slice >= refused_slice && all_down();
    if (!passes || turned_away() || refused || left <= slice) return unreachable(code);
  }
}

bool KafkaClient::turned_away() const {
  std::lock_guard lock(mutex_);
  return newest_ == RD_KAFKA_RESP_ERR__AUTHENTICATION || newest_ == RD_KAFKA_RESP_ERR__SSL;
}

bool KafkaClient::all_down() const {
  std::lock_guard lock(mutex_);
  return all_down_;
}

Error KafkaClient::unreachable(rd_kafka_resp_err_t code) const {
  rd_kafka_poll(handle_, 0);
  std::lock_guard lock(mutex_);
  std::string why = trouble_.empty() ? rd_kafka_err2str(code) : trouble_;
  if (newest_ == RD_KAFKA_RESP_ERR__AUTHENTICATION)
    return {ErrorCode::kPermissionDenied, fmt::format("kafka: the brokers do not let us in: {}", why)};
  return {ErrorCode::kUnavailable, fmt::format("kafka: no broker answers: {}", why)};
}

void KafkaClient::on_error(rd_kafka_t* /*handle*/, int code, const char* reason, void* self) {
  auto* client = static_cast<KafkaClient*>(self);
  std::lock_guard lock(client->mutex_);
  client->all_down_ = client->all_down_ || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !client->trouble_.empty()) return;  // says less
  client->trouble_ = reason;
  client->newest_ = code;
  // It sends another nonce than the one that it was told, and brokers from 4.0 on notice.
  bool scram = client->trouble_.find("SCRAM") != std::string::npos;
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION && scram && rd_kafka_version() < scram_mended) {
    client->trouble_ += fmt::format(" (librdkafka {} cannot do SCRAM with brokers from 4.0 on: use PLAIN over TLS)",
                                    rd_kafka_version_str());
  }
}

void KafkaClient::on_delivery(rd_kafka_t* /*handle*/, const rd_kafka_message_t* message, void* self) {
  static_cast<KafkaClient*>(self)->delivered_(*message);
}

}  // namespace tributary
