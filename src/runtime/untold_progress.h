// What rounds have read, of which the sender is not told yet: a client's events are queryable once the rows that they make are
// in the outbox, and some rows come rounds later (a change on its way through a million joined rows, a sweep). One client's do
// not hold up what is said of another.
//
// Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "contracts/event_log.h"
#include "runtime/outbox.h"
#include "runtime/stored_facts.h"

namespace tributary {

class UntoldProgress {
 public:
  using Unfinished = std::function<bool(const ClientId&)>;

  void add(const LogBlock& block, const EventBatch& events);
  // Read before the program started: nobody knows whose events are in it.
  void add_earlier(const TopicPartition& partition, Offset next);

  // Takes what can be told: of clients that are not unfinished, and of partitions that hold nothing of any that is.
  OutboxProgress take(const Unfinished& unfinished, bool any_unfinished);
  bool can_be_told(const Unfinished& unfinished, bool any_unfinished) const;
  // Whose events are untold; nullopt: perhaps anybody's.
  std::optional<std::set<ClientId>> clients() const;

 private:
  struct Partition {
    Offset next;
    std::set<ClientId> clients;  // whose events are untold
    bool earlier = false;
  };
  static bool waits(const Partition& partition, const Unfinished& unfinished, bool any_unfinished);

  std::map<ClientId, OutboxProgress::Client> clients_;
  std::map<TopicPartition, Partition> partitions_;
};

}  // namespace tributary
