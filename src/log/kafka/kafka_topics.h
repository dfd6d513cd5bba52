// The topics of a pipeline's log on Kafka: their names, and that they are there as the pipeline file wants them.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "kafka/kafka_client.h"

namespace tributary {

struct KafkaDomain {
  std::string name;   // "orders"
  std::string event;  // "order"
};

// Which topic has what, by the template of the pipeline file:
//   "{pipeline}.{event}"   shop.order.created, shop.order.updated, …, shop.order.absent
//   "{pipeline}.{domain}"  shop.orders, and shop.orders.absent
// "absent" events are no events of Debezium's, so they always have a topic of their own (docs/formats/kafka-record.md).
class KafkaTopics {
 public:
  KafkaTopics(std::string pipeline, std::string name_template, std::vector<KafkaDomain> domains);

  // Of an event as its header says it: topic_of("orders", "order.created"). The domain is one of those given.
  const std::string& topic_of(const std::string& domain, const std::string& event) const;
  // The domain whose events a topic holds, or nullptr.
  const std::string* domain_of(const std::string& topic) const;
  // "order": what the names of a domain's events begin with.
  const std::string& event_of(const std::string& domain) const;
  // All topics with events, in order.
  std::vector<std::string> names() const;
  // What capture remembers, schemas, leases (docs/formats/kafka-state.md).
  std::string state() const { return pipeline_ + "._state"; }
  // What nodes tell each other (docs/formats/kafka-nodes.md).
  std::string nodes() const { return pipeline_ + "._nodes"; }

 private:
  std::string pipeline_;
  std::map<std::string, std::string> events_;  // by domain
  std::map<std::pair<std::string, std::string>, std::string> topics_;  // by domain and event
  std::map<std::string, std::string> domains_;  // by topic
};

struct KafkaTopicShape {
  uint32_t partitions = 12;
  int replication = -1;  // -1: the broker's default
  std::chrono::milliseconds retention{0};
  bool nodes = false;  // the topic by which nodes talk is wanted, too
};

// Makes the topics that are not there, and returns when the brokers know them.
// kAlreadyExists: one is there in another shape; the message names it. kPermissionDenied: we may not make one.
Status ensure_topics(KafkaClient& client, const KafkaTopics& topics, const KafkaTopicShape& shape);

}  // namespace tributary
