#include "app/log_choice.h"

#include <fmt/format.h>

#include "app/kept_choice.h"

namespace tributary {
namespace {

constexpr std::string_view scheme = "kafka://";
constexpr std::string_view log_kind_key = "runtime/log";
constexpr std::string_view log_ends = "log/end/";  // of an embedded log

}  // namespace

bool is_kafka(const LogConfig& log) { return log.target.at.starts_with(scheme); }

Result<std::unique_ptr<KafkaLog>> open_kafka_log(const Pipeline& pipeline, Stages stages) {
  KafkaLogOptions options;
  options.board = stages != Stages::kAll;
  options.lag = stages != Stages::kCapture;
  options.brokers = {{"bootstrap.servers", pipeline.log.target.at.substr(scheme.size())},
                     {"client.id", "tributary-" + pipeline.name},
                     {"reconnect.backoff.ms", "50"},
                     {"reconnect.backoff.max.ms", "1000"},
                     {"socket.keepalive.enable", "true"},
                     {"socket.timeout.ms", "10000"}};
  options.pipeline = pipeline.name;
  options.topics = pipeline.log.topics;
  options.schemas = pipeline.log.schemas;
  for (const auto& [name, domain] : pipeline.domains) options.domains.push_back({name, domain.event});
  options.partitioning = {pipeline.log.partitions, pipeline.log.partitions_per_client};
  options.shape = {.partitions = pipeline.log.partitions,
                   .replication = pipeline.log.replication == 0 ? -1 : static_cast<int>(pipeline.log.replication),
                   .retention = pipeline.log.retention};
  for (const auto& [id, client] : pipeline.clients) options.databases[ClientId{id}] = client.source.database;
  return KafkaLog::open(std::move(options));
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
