// The topics of a pipeline's log on Kafka: their names, and that they are there as the pipeline file wants them.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kafka/kafka_client.h"
#include "model/partitioning.h"

namespace tributary {

struct KafkaDomain {
  std::string name;   // "orders"
  std::string event;  // "order"
  std::string table;  // "public.orders"
};

// Which topic has what, by the template of the pipeline file:
//   "{pipeline}.{event}"   shop.order.created, shop.order.updated, …, shop.order.absent
//   "{pipeline}.{domain}"  shop.orders, and shop.orders.absent
// "absent" events are no events of Debezium's, so they always have a topic of their own (docs/formats/kafka-record.md).
// Where topics are compacted, "truncated" is there as well, since a compacted topic takes no record without a key.
class KafkaTopics {
 public:
  KafkaTopics(std::string pipeline, std::string name_template, const std::vector<KafkaDomain>& domains, bool compact);

  // Of an event as its header says it: topic_of("orders", "order.created"). The domain is one of those given.
  const std::string& topic_of(const std::string& domain, const std::string& event) const;
  // The domain whose events a topic holds, or nullptr: it is none of those that names() has.
  const std::string* domain_of(const std::string& topic) const;
  // The domain of a table's event that is in a topic, which may be one that the pipeline file named earlier (note_earlier): the
  // file's domain of that table, else the one that it was then. nullptr: nobody knows.
  const std::string* domain_of(const std::string& topic, const std::string& table) const;
  // Domains by the topics that the pipeline file ever named.
  void note_earlier(std::map<std::string, std::string> domains) { earlier_ = std::move(domains); }
  // "order": what the names of a domain's events begin with.
  const std::string& event_of(const std::string& domain) const;
  // Whether all records of a topic have a key that stands for a row.
  bool keyed(const std::string& topic) const;
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
  std::map<std::string, std::string> tables_;  // domains, by table
  std::map<std::string, std::string> earlier_;  // domains, by topic
  std::set<std::string> unkeyed_;
};

struct KafkaTopicShape {
  uint32_t partitions = partitions_default;
  int replication = -1;  // -1: the broker's default
  std::chrono::milliseconds retention{0};
  bool nodes = false;  // the topic by which nodes talk is wanted, too
  bool compact = false;  // topics of domains keep each key's newest record for ever, and all others for `retention`
};

// What of those that are there is in another shape, each by name; nothing is changed. Settings that we may not ask about
// are left out.
Result<std::vector<std::string>> topic_differences(KafkaClient& client, const KafkaTopics& topics,
                                                   const KafkaTopicShape& shape);
// Of these topics those that are there, with their partitions.
Result<std::map<std::string, uint32_t>> topics_there(KafkaClient& client, const std::vector<std::string>& names);
// Makes the topics that are not there, and returns when the brokers know them.
// kAlreadyExists: one is there in another shape; the message names it. kPermissionDenied: we may not make one.
Status ensure_topics(KafkaClient& client, const KafkaTopics& topics, const KafkaTopicShape& shape);

}  // namespace tributary
