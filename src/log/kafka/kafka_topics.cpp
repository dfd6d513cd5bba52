#include "log/kafka/kafka_topics.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "codec/event_record.h"

namespace tributary {
namespace {

constexpr int request_milliseconds = 20'000;
constexpr std::chrono::seconds visible_limit{20};
constexpr std::chrono::milliseconds visible_poll{50};
// A lagging reader of the state topic must see a lease before what it made void is compacted away.
constexpr const char* state_compaction_lag = "600000";
// Only closed segments are compacted, and a node that starts reads all of the others.
constexpr const char* nodes_segment = "600000";

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  if (size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), with);
  return text;
}

struct WantedTopic {
  std::string name;
  uint32_t partitions;
  std::map<std::string, std::string> settings;
};

struct FoundTopic {
  size_t partitions = 0;
  size_t replication = 0;
};

using Found = std::map<std::string, FoundTopic>;
using Queue = KafkaQueueHandle;
using Event = std::unique_ptr<rd_kafka_event_t, KafkaDelete<rd_kafka_event_destroy>>;

Result<Found> find_topics(KafkaClient& client) {
  const rd_kafka_metadata_t* metadata = nullptr;
  rd_kafka_resp_err_t code = rd_kafka_metadata(client.handle(), 1, nullptr, &metadata, request_milliseconds);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return client.unreachable(code);
  Found found;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = metadata->topics[i];
    if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR || topic.partition_cnt == 0) continue;
    found[topic.topic] = {static_cast<size_t>(topic.partition_cnt),
                          static_cast<size_t>(topic.partitions[0].replica_cnt)};
  }
  rd_kafka_metadata_destroy(metadata);
  return found;
}

Status create(KafkaClient& client, const std::vector<const WantedTopic*>& wanted, int replication) {
  std::vector<std::unique_ptr<rd_kafka_NewTopic_t, KafkaDelete<rd_kafka_NewTopic_destroy>>> topics;
  std::vector<rd_kafka_NewTopic_t*> pointers;
  std::string reason(512, '\0');
  for (const WantedTopic* topic : wanted) {
    auto* made = rd_kafka_NewTopic_new(topic->name.c_str(), static_cast<int>(topic->partitions), replication,
                                       reason.data(), reason.size());
    if (made == nullptr) {
      return Error{ErrorCode::kInvalidInput, fmt::format("kafka: topic {}: {}", topic->name, reason.c_str())};
    }
    topics.emplace_back(made);
    pointers.push_back(made);
    for (const auto& [name, value] : topic->settings) rd_kafka_NewTopic_set_config(made, name.c_str(), value.c_str());
  }
  Queue queue(rd_kafka_queue_new(client.handle()));
  rd_kafka_CreateTopics(client.handle(), pointers.data(), pointers.size(), nullptr, queue.get());
  Event event(rd_kafka_queue_poll(queue.get(), request_milliseconds));
  if (event == nullptr) return Error{ErrorCode::kUnavailable, "kafka: no broker answers a request to make topics"};
  if (auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(code, fmt::format("making topic {} and others", wanted.front()->name));
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) {
    auto code = rd_kafka_topic_result_error(results[i]);
    // Another node may make them at the same time.
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
    Error error = kafka_error(code, fmt::format("making topic {}", rd_kafka_topic_result_name(results[i])));
    if (const char* text = rd_kafka_topic_result_error_string(results[i])) error.message += fmt::format(" ({})", text);
    return error;
  }
  return {};
}

// A setting of each topic, as the broker has it in effect. Topics that we may not ask about are left out.
Result<std::map<std::string, std::map<std::string, std::string>>> settings_of(KafkaClient& client,
                                                                              const std::vector<std::string>& names) {
  std::map<std::string, std::map<std::string, std::string>> found;
  if (names.empty()) return found;
  std::vector<rd_kafka_ConfigResource_t*> resources;
  resources.reserve(names.size());
  for (const std::string& name : names) {
    resources.push_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
  }
  Queue queue(rd_kafka_queue_new(client.handle()));
  rd_kafka_DescribeConfigs(client.handle(), resources.data(), resources.size(), nullptr, queue.get());
  Event event(rd_kafka_queue_poll(queue.get(), request_milliseconds));
  rd_kafka_ConfigResource_destroy_array(resources.data(), resources.size());
  if (event == nullptr || rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__TIMED_OUT) {
    return Error{ErrorCode::kUnavailable, "kafka: no broker answers what settings its topics have"};
  }
  const auto* result = rd_kafka_event_DescribeConfigs_result(event.get());
  if (result == nullptr) return found;
  size_t count = 0;
  const rd_kafka_ConfigResource_t** described = rd_kafka_DescribeConfigs_result_resources(result, &count);
  for (size_t i = 0; i < count; ++i) {
    if (rd_kafka_ConfigResource_error(described[i]) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    size_t entries = 0;
    const rd_kafka_ConfigEntry_t** configs = rd_kafka_ConfigResource_configs(described[i], &entries);
    for (size_t j = 0; j < entries; ++j) {
      const char* value = rd_kafka_ConfigEntry_value(configs[j]);
      found[rd_kafka_ConfigResource_name(described[i])][rd_kafka_ConfigEntry_name(configs[j])] =
          value == nullptr ? "" : value;
    }
  }
  return found;
}

// What of a topic is not as it is wanted: "topic shop.orders exists with partitions 3, and the pipeline file wants 12".
void compare(const WantedTopic& wanted, const FoundTopic& found, int replication,
             const std::map<std::string, std::string>& settings, std::vector<std::string>& differences) {
  auto differs = [&](std::string_view what, const std::string& has, const std::string& wants) {
    differences.push_back(
        fmt::format("topic {} exists with {} {}, and the pipeline file wants {}", wanted.name, what, has, wants));
  };
  if (found.partitions != wanted.partitions) {
    differs("partitions", std::to_string(found.partitions), std::to_string(wanted.partitions));
  }
  if (replication > 0 && found.replication != static_cast<size_t>(replication)) {
    differs("replication", std::to_string(found.replication), std::to_string(replication));
  }
  for (const auto& [name, value] : wanted.settings) {
    auto has = settings.find(name);
    if (has != settings.end() && has->second != value) differs(name, has->second, value);
  }
}

std::vector<WantedTopic> wanted_topics(const KafkaTopics& topics, const KafkaTopicShape& shape) {
  std::vector<WantedTopic> wanted{
      {topics.state(), 1, {{"cleanup.policy", "compact"}, {"min.compaction.lag.ms", state_compaction_lag}}}};
  if (shape.nodes) {
    wanted.push_back({topics.nodes(), 1, {{"cleanup.policy", "compact"}, {"segment.ms", nodes_segment}}});
  }
  // A compacted topic keeps every record, tombstones too, for as long as the others keep theirs: nobody who reads within
  // that time misses an event.
  bool for_ever = shape.retention.count() == 0;
  std::string retention = for_ever ? "-1" : std::to_string(shape.retention.count());
  std::string lag = for_ever ? std::to_string(INT64_MAX) : retention;
  for (std::string& name : topics.names()) {
    std::map<std::string, std::string> settings{{"cleanup.policy", "delete"}, {"retention.ms", retention}};
    if (shape.compact && topics.keyed(name)) {
      settings = {{"cleanup.policy", "compact"}, {"min.compaction.lag.ms", lag}, {"delete.retention.ms", lag}};
    }
    wanted.push_back({std::move(name), shape.partitions, std::move(settings)});
  }
  return wanted;
}

Result<std::vector<std::string>> differences_of(KafkaClient& client, const std::vector<WantedTopic>& wanted,
                                                const Found& found, int replication) {
  std::vector<std::string> there;
  for (const WantedTopic& topic : wanted) {
    if (found.contains(topic.name)) there.push_back(topic.name);
  }
  ASSIGN_OR_RETURN(auto settings, settings_of(client, there));
  std::vector<std::string> differences;
  for (const WantedTopic& topic : wanted) {
    auto at = found.find(topic.name);
    if (at != found.end()) compare(topic, at->second, replication, settings[topic.name], differences);
  }
  return differences;
}

Status wait_visible(KafkaClient& client, const std::vector<const WantedTopic*>& wanted) {
  auto deadline = std::chrono::steady_clock::now() + visible_limit;
  while (true) {
    ASSIGN_OR_RETURN(Found found, find_topics(client));
    auto missing = std::find_if(wanted.begin(), wanted.end(),
                                [&](const WantedTopic* topic) { return !found.contains(topic->name); });
    if (missing == wanted.end()) return {};
    if (std::chrono::steady_clock::now() > deadline) {
      return Error{ErrorCode::kUnavailable, fmt::format("kafka: topic {} was made and is not there", (*missing)->name)};
    }
    std::this_thread::sleep_for(visible_poll);
  }
}

}  // namespace

KafkaTopics::KafkaTopics(std::string pipeline, std::string name_template, const std::vector<KafkaDomain>& domains,
                         bool compact)
    : pipeline_(std::move(pipeline)) {
  std::string base = replaced(std::move(name_template), "{pipeline}", pipeline_);
  bool by_event = base.find("{event}") != std::string::npos;
  for (const KafkaDomain& domain : domains) {
    events_[domain.name] = domain.event;
    tables_[domain.table] = domain.name;
    std::string whole = replaced(base, "{domain}", domain.name);
    for (std::string_view kind : {op_event_name(Op::kCreate), op_event_name(Op::kUpdate), op_event_name(Op::kDelete),
                                  op_event_name(Op::kSnapshot), truncated_event, absent_event}) {
      std::string event = fmt::format("{}.{}", domain.event, kind);
      std::string topic = by_event ? replaced(base, "{event}", event) : whole;
      bool of_range = kind == absent_event || kind == truncated_event;
      if (!by_event && (kind == absent_event || (compact && of_range))) topic += fmt::format(".{}", absent_event);
      domains_[topic] = domain.name;
      if (of_range) unkeyed_.insert(topic);
      topics_[{domain.name, event}] = std::move(topic);
    }
  }
}

const std::string& KafkaTopics::topic_of(const std::string& domain, const std::string& event) const {
  auto found = topics_.find({domain, event});
  CHECK(found != topics_.end(), "no topic for {} of {}", event, domain);
  return found->second;
}

const std::string* KafkaTopics::domain_of(const std::string& topic) const {
  auto found = domains_.find(topic);
  return found == domains_.end() ? nullptr : &found->second;
}

const std::string* KafkaTopics::domain_of(const std::string& topic, const std::string& table) const {
  if (const std::string* domain = domain_of(topic)) return domain;
  if (auto found = tables_.find(table); found != tables_.end()) return &found->second;
  auto found = earlier_.find(topic);
  return found == earlier_.end() ? nullptr : &found->second;
}

const std::string& KafkaTopics::event_of(const std::string& domain) const {
  auto found = events_.find(domain);
  CHECK(found != events_.end(), "no domain {}", domain);
  return found->second;
}

bool KafkaTopics::keyed(const std::string& topic) const { return !unkeyed_.contains(topic); }

std::vector<std::string> KafkaTopics::names() const {
  std::vector<std::string> names;
  names.reserve(domains_.size());
  for (const auto& [topic, domain] : domains_) names.push_back(topic);
  return names;
}

Result<std::map<std::string, uint32_t>> topics_there(KafkaClient& client, const std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(Found found, find_topics(client));
  std::map<std::string, uint32_t> there;
  for (const std::string& name : names) {
    if (found.contains(name)) there[name] = static_cast<uint32_t>(found[name].partitions);
  }
  return there;
}

Result<std::vector<std::string>> topic_differences(KafkaClient& client, const KafkaTopics& topics,
                                                   const KafkaTopicShape& shape) {
  ASSIGN_OR_RETURN(Found found, find_topics(client));
  return differences_of(client, wanted_topics(topics, shape), found, shape.replication);
}

Status ensure_topics(KafkaClient& client, const KafkaTopics& topics, const KafkaTopicShape& shape) {
  std::vector<WantedTopic> wanted = wanted_topics(topics, shape);
  ASSIGN_OR_RETURN(Found found, find_topics(client));
  ASSIGN_OR_RETURN(auto differences, differences_of(client, wanted, found, shape.replication));
  if (!differences.empty()) {
    return Error{ErrorCode::kAlreadyExists,
                 fmt::format("kafka: {}{}; change the one or the other, or name the topics otherwise by log: topics",
                             differences.front(),
                             differences.size() == 1 ? "" : fmt::format(" (and {} more)", differences.size() - 1))};
  }
  std::vector<const WantedTopic*> missing;
  for (const WantedTopic& topic : wanted) {
    if (!found.contains(topic.name)) missing.push_back(&topic);
  }
  if (missing.empty()) return {};
  RETURN_IF_ERROR(create(client, missing, shape.replication));
  return wait_visible(client, missing);
}

}  // namespace tributary
