#include "runtime/untold_progress.h"

#include <algorithm>

namespace tributary {

void UntoldProgress::add(const LogBlock& block, const EventBatch& events) {
  Partition& partition = partitions_[block.at];
  partition.next = std::max(partition.next, block.next);
  partition.clients.insert(events.client);
  OutboxProgress::Client& client =
      clients_.try_emplace(events.client, OutboxProgress::Client{.client = events.client, .position = {}})
          .first->second;
  client.events += block.events;
  for (const Position& position : events.positions) client.position = std::max(client.position, position);
  for (const RangeFact& range : events.ranges) client.position = std::max(client.position, range.position);
  for (int64_t micros : events.commit_micros) client.commit_micros = std::max(client.commit_micros, micros);
}

void UntoldProgress::add_earlier(const TopicPartition& partition, Offset next) {
  Partition& of = partitions_[partition];
  of.next = std::max(of.next, next);
  of.earlier = true;
}

bool UntoldProgress::waits(const Partition& partition, const Unfinished& unfinished, bool any_unfinished) {
  return (partition.earlier && any_unfinished) ||
         std::any_of(partition.clients.begin(), partition.clients.end(), unfinished);
}

bool UntoldProgress::can_be_told(const Unfinished& unfinished, bool any_unfinished) const {
  return std::any_of(clients_.begin(), clients_.end(), [&](const auto& of) { return !unfinished(of.first); }) ||
         std::any_of(partitions_.begin(), partitions_.end(),
                     [&](const auto& of) { return !waits(of.second, unfinished, any_unfinished); });
}

std::optional<std::set<ClientId>> UntoldProgress::clients() const {
  std::set<ClientId> all;
  for (const auto& [at, partition] : partitions_) {
    if (partition.earlier) return std::nullopt;
  }
  for (const auto& [client, of] : clients_) all.insert(client);
  return all;
}

OutboxProgress UntoldProgress::take(const Unfinished& unfinished, bool any_unfinished) {
  OutboxProgress told;
  for (const auto& [at, partition] : partitions_) {
    if (!waits(partition, unfinished, any_unfinished))
      told.consumed.push_back({at.topic, at.partition, partition.next});
  }
  std::erase_if(partitions_, [&](const auto& of) { return !waits(of.second, unfinished, any_unfinished); });
  for (const auto& [client, of] : clients_) {
    if (!unfinished(client)) told.clients.push_back(of);
  }
  std::erase_if(clients_, [&](const auto& of) { return !unfinished(of.first); });
  return told;
}

}  // namespace tributary
