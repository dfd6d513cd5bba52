#include "log/kafka/state_follower.h"

#include <algorithm>

namespace tributary {

Result<std::unique_ptr<StateFollower>> StateFollower::open(const KafkaProperties& brokers, const std::string& topic,
                                                           AppendLedger* ledger) {
  std::unique_ptr<StateFollower> follower(new StateFollower(ledger));
  auto take = [self = follower.get()](const TopicRecord& record) { return self->take(record); };
  ASSIGN_OR_RETURN(follower->topic_,
                   TopicFollower::open(brokers, topic, {.thread = "kafka-state", .offset_reset = "error"}, take));
  return follower;
}

Status StateFollower::take(const TopicRecord& record) {
  ASSIGN_OR_RETURN(std::vector<AppendedPart> parts, fold_.apply(record.key, record.value));
  for (const AppendedPart& part : parts) end(part.at, part.next);
  if (!parts.empty()) ++generation_;
  if (ledger_ != nullptr) note(record, parts);
  return {};
}

void StateFollower::note(const TopicRecord& record, const std::vector<AppendedPart>& parts) {
  if (parts.empty()) return;
  auto key = StateRecordKey::decode(record.key);
  if (!key || key->client.empty()) return;
  for (const AppendedPart& part : parts) {
    ledger_->add({ClientId{key->client}, part.at, part.next, part.records, part.events, part.bytes, record.micros});
  }
}

std::vector<ClientId> StateFollower::clients() const {
  auto lock = topic_->lock();
  return fold_.clients();
}

StateFold::Client StateFollower::client(const ClientId& id) const {
  auto lock = topic_->lock();
  return fold_.client(id);
}

void StateFollower::forget_outdated(const ClientId& id) {
  auto lock = topic_->lock();
  fold_.forget_outdated(id);
}

std::map<std::string, std::string> StateFollower::topics() const {
  auto lock = topic_->lock();
  return fold_.topics();
}

void StateFollower::forget_ends(const std::string& topic) {
  auto lock = topic_->lock();
  std::erase_if(ends_, [&](const auto& entry) { return entry.first.topic == topic; });
  std::erase_if(suspects_, [&](const TopicPartition& at) { return at.topic == topic; });
}

std::map<TopicPartition, Offset> StateFollower::ends() const {
  auto lock = topic_->lock();
  return ends_;
}

void StateFollower::set_ends(const std::map<TopicPartition, Offset>& ends) {
  auto lock = topic_->lock();
  for (const auto& [at, told] : ends) end(at, told);
}

void StateFollower::end(const TopicPartition& at, Offset told) {
  Offset& known = ends_[at];
  if (told < known) suspects_.insert(at);
  known = std::max(known, told);
}

std::map<TopicPartition, Offset> StateFollower::take_suspects() {
  auto lock = topic_->lock();
  std::map<TopicPartition, Offset> taken;
  for (const TopicPartition& at : suspects_) taken[at] = ends_[at];
  suspects_.clear();
  return taken;
}

void StateFollower::suspect(const TopicPartition& at) {
  auto lock = topic_->lock();
  suspects_.insert(at);
}

bool StateFollower::lower_end(const TopicPartition& at, Offset known, Offset end) {
  auto lock = topic_->lock();
  if (ends_[at] != known) {
    suspects_.insert(at);
    return false;
  }
  ends_[at] = end;
  ++generation_;
  return true;
}

uint64_t StateFollower::generation() const {
  auto lock = topic_->lock();
  return generation_;
}

void StateFollower::wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) const {
  topic_->wait(limit, [&] { return generation_ != known_generation; });
}

}  // namespace tributary
