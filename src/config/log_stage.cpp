// The stage `log` of a pipeline file: where the events are, and how Kafka's brokers are reached.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "config/pipeline_reader.h"
#include "config/scalars.h"

namespace tributary {
namespace {

constexpr std::string_view kafka_scheme = "kafka://";
constexpr std::array of_kafka_alone = {"cleanup", "format",          "password", "sasl",       "tls",
                                       "tls_ca",  "tls_certificate", "tls_key",  "compression"};

std::optional<std::string> parse_topics(std::string_view text) {
  std::string rest(text);
  bool by_domain = text.find("{domain}") != std::string_view::npos;
  if (by_domain == (text.find("{event}") != std::string_view::npos)) return std::nullopt;
  for (std::string_view known : {"{domain}", "{event}", "{pipeline}"}) {
    if (size_t at = rest.find(known); at != std::string::npos) rest.erase(at, known.size());
  }
  auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; };
  if (rest.size() > 100 || !std::all_of(rest.begin(), rest.end(), fits)) return std::nullopt;
  return std::string(text);
}

std::optional<std::string> parse_file_name(std::string_view text) {
  if (text.empty() || text.find('\0') != std::string_view::npos) return std::nullopt;
  return std::string(text);
}

// One of `known`, as it is written there.
template <size_t count>
auto one_of(const std::array<std::string_view, count>& known) {
  return [known](std::string_view text) -> std::optional<std::string> {
    if (std::find(known.begin(), known.end(), text) == known.end()) return std::nullopt;
    return std::string(text);
  };
}

bool is_loopback(std::string_view broker) {
  return broker.starts_with("127.") || broker.starts_with("localhost:") || broker.starts_with("[::1]:");
}

}  // namespace

void PipelineReader::read_log(const YamlNode* node) {
  Members log = read_stage(
      node, "log", pipeline.log.target, {"embedded", kafka_scheme},
      {"at", "password", "cleanup", "format", "sasl", "tls", "tls_ca", "tls_certificate", "tls_key", "compression",
       "topics", "partitions", "partitions_per_client", "replication", "schemas", "retention", "retention_bytes"});
  value(log, "topics", pipeline.log.topics, parse_topics,
        "a template of a-z, 0-9, \".\", \"_\", \"-\", {pipeline} and either {event} or {domain}, like "
        "{pipeline}.{event}");
  count(log, "partitions", pipeline.log.partitions, 4096);
  count(log, "partitions_per_client", pipeline.log.partitions_per_client, 4096);
  count(log, "replication", pipeline.log.replication, 100);
  flag(log, "schemas", pipeline.log.schemas);
  read_record_form(log);
  if (log.contains("partitions_per_client") && pipeline.log.partitions_per_client > pipeline.log.partitions) {
    fail(*log["partitions_per_client"], "a client cannot have more partitions than there are; see partitions");
  }
  pipeline.log.partitions_per_client = std::min(pipeline.log.partitions_per_client, pipeline.log.partitions);
  duration(log, "retention", pipeline.log.retention);
  size(log, "retention_bytes", pipeline.log.retention_bytes_max);
  if (pipeline.log.target.at.starts_with(kafka_scheme)) return read_kafka(log);
  for (const char* key : of_kafka_alone) {
    if (auto found = log.find(key); found != log.end()) {
      fail(*found->second, fmt::format("log: {} is of kafka:// alone; take it out", key));
    }
  }
}

// What the records are, and how long topics keep them: some choices exclude each other.
void PipelineReader::read_record_form(const Members& log) {
  LogConfig& config = pipeline.log;
  constexpr std::array<std::string_view, 2> cleanups = {"delete", "compact"};
  constexpr std::array<std::string_view, 2> formats = {"json", "block"};
  std::string cleanup = "delete";
  std::string format = "json";
  value(log, "cleanup", cleanup, one_of(cleanups), fmt::format("one of {}", fmt::join(cleanups, ", ")));
  value(log, "format", format, one_of(formats), fmt::format("one of {}", fmt::join(formats, ", ")));
  config.compact = cleanup == "compact";
  config.blocks = format == "block";
  bool by_event = config.topics.find("{event}") != std::string::npos;
  auto refuse = [&](const char* key, const char* message) { fail(*log.at(key), fmt::format("log: {}", message)); };
  if (config.compact && by_event) {
    refuse(
        "cleanup",
        "only topics of whole domains may be compacted, since an order's newest record is then one of all its kinds; "
        "write topics: \"{pipeline}.{domain}\"");
  }
  if (config.blocks && by_event) {
    refuse("format", "a block holds events of all kinds; write topics: \"{pipeline}.{domain}\"");
  }
  if (config.blocks && config.compact) {
    refuse("cleanup", "a block has no key of a row, so topics of blocks cannot be compacted; take it out");
  }
  if (config.blocks && config.schemas) refuse("schemas", "schemas are of JSON alone; take it out");
}

void PipelineReader::read_kafka(const Members& log) {
  KafkaAccess& kafka = pipeline.log.kafka;
  auto refuse = [&](const char* key, std::string message) {
    auto found = log.find(key);
    errors.push_back({file_, found == log.end() ? pipeline.log.target.place : place(*found->second),
                      fmt::format("log: {}", message)});
  };
  std::string_view address = std::string_view(pipeline.log.target.at).substr(kafka_scheme.size());
  if (auto parsed = parse_kafka_address(address); parsed.ok()) {
    kafka.user = parsed->user;
    kafka.brokers = parsed->brokers;
  } else {
    return refuse("at", parsed.error().message);
  }
  constexpr std::array<std::string_view, 3> mechanisms = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
  value(log, "sasl", kafka.sasl, one_of(mechanisms), fmt::format("one of {}", fmt::join(mechanisms, ", ")));
  flag(log, "tls", kafka.tls);
  value(log, "tls_ca", kafka.tls_ca, parse_file_name, "a file");
  value(log, "tls_certificate", kafka.tls_certificate, parse_file_name, "a file");
  value(log, "tls_key", kafka.tls_key, parse_file_name, "a file");
  constexpr std::array<std::string_view, 5> codecs = {"none", "gzip", "snappy", "lz4", "zstd"};
  value(log, "compression", kafka.compression, one_of(codecs), fmt::format("one of {}", fmt::join(codecs, ", ")));

  bool has_password = !pipeline.log.target.password.empty();
  if (!kafka.user.empty() && !has_password) refuse("at", "a user needs a password; write password: below");
  if (kafka.user.empty() && has_password) refuse("password", "it is nobody's; write at: kafka://USER@HOST:PORT");
  if (kafka.user.empty() && log.contains("sasl"))
    refuse("sasl", "sasl is how a user logs in; write at: kafka://USER@HOST");
  for (const char* key : {"tls_ca", "tls_certificate", "tls_key"}) {
    if (log.contains(key) && !kafka.tls) refuse(key, fmt::format("{} has no effect without tls: true", key));
  }
  if (kafka.tls_certificate.empty() != kafka.tls_key.empty()) {
    refuse(kafka.tls_key.empty() ? "tls_certificate" : "tls_key", "tls_certificate and tls_key go together");
  }
  // Who wants that says so.
  if (has_password && !kafka.user.empty() && !log.contains("tls")) {
    for (const std::string& broker : split_brokers(kafka.brokers)) {
      if (is_loopback(broker)) continue;
      return refuse(
          "password",
          fmt::format("it would go to {} in the clear; write tls: true, or tls: false if it shall", shown(broker)));
    }
  }
}

}  // namespace tributary
