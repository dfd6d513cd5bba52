#include "app/log_choice.h"

#include <fmt/format.h>

#include "app/kept_choice.h"

namespace tributary {
namespace {

constexpr std::string_view scheme = "kafka://";
constexpr std::string_view log_kind_key = "runtime/log";
constexpr std::string_view log_ends = "log/end/";  // of an embedded log

KafkaLogOptions kafka_options(const Pipeline& pipeline) {
  KafkaLogOptions options;
  const KafkaAccess& kafka = pipeline.log.kafka;
  bool has_user = !kafka.user.empty();
  options.brokers = {
      {"bootstrap.servers", kafka.brokers},
      {"client.id", "tributary-" + pipeline.name},
      {"reconnect.backoff.ms", "50"},
      {"reconnect.backoff.max.ms", "1000"},
      {"socket.keepalive.enable", "true"},
      {"socket.timeout.ms", "10000"},
      {"security.protocol", fmt::format("{}{}", has_user ? "sasl_" : "", kafka.tls ? "ssl" : "plaintext")}};
  auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) options.brokers.emplace_back(name, value);
  };
  add("ssl.ca.location", kafka.tls_ca);
  add("ssl.certificate.location", kafka.tls_certificate);
  add("ssl.key.location", kafka.tls_key);
  if (has_user) {
    add("sasl.mechanism", kafka.sasl);
    add("sasl.username", kafka.user);
    add("sasl.password", pipeline.log.target.password);
  }
  options.compression = kafka.compression;
  options.pipeline = pipeline.name;
  options.topics = pipeline.log.topics;
  options.schemas = pipeline.log.schemas;
  options.blocks = pipeline.log.blocks;
  for (const auto& [name, domain] : pipeline.domains) options.domains.push_back({name, domain.event, domain.table});
  options.partitioning = {pipeline.log.partitions, pipeline.log.partitions_per_client};
  options.shape = {.partitions = pipeline.log.partitions,
                   .replication = pipeline.log.replication == 0 ? -1 : static_cast<int>(pipeline.log.replication),
                   .retention = pipeline.log.retention,
                   .compact = pipeline.log.compact};
  for (const auto& [id, client] : pipeline.clients) options.databases[ClientId{id}] = client.source.database;
  return options;
}

}  // namespace

bool is_kafka(const LogConfig& log) { return log.target.at.starts_with(scheme); }

Result<std::unique_ptr<KafkaLog>> open_kafka_log(const Pipeline& pipeline, Stages stages) {
  KafkaLogOptions options = kafka_options(pipeline);
  options.board = stages != Stages::kAll;
  options.lag = stages != Stages::kCapture;
  return KafkaLog::open(std::move(options));
}

std::vector<std::string> log_troubles(const Pipeline& pipeline) {
  if (!is_kafka(pipeline.log)) return {};
  std::vector<std::string> troubles = KafkaLog::troubles(kafka_options(pipeline));
  for (std::string& trouble : troubles) trouble = "log: " + trouble;
  return troubles;
}

Status keep_log_kind(Storage& storage, const std::string& at) {
  std::string kind = at.starts_with(scheme) ? "kafka" : "embedded";
  ASSIGN_OR_RETURN(std::string stored, kept_choice(storage, log_kind_key, kind, Family::kMeta, log_ends));
  if (stored == kind) return {};
  return Error{
      ErrorCode::kAlreadyExists,
      fmt::format("log: this data directory was made with log: {}, and its offsets say nothing of {}; write log: "
                  "{}, or another folder as data:",
                  stored, kind, stored)};
}

}  // namespace tributary
