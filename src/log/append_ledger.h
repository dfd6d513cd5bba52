// How much of a log lies behind what was read of it, by partition and by client, from what each append said that it put
// where: no event is read again for it. Shared by the logs.
//
//   ledger.add({acme, {"orders", 3}, Offset(120), 20, 20, 4096, now});  // the append's last event has offset 119
//   ledger.lag(ends, {{{"orders", 3}, Offset(100)}}, may_hold)          // acme: 20 events
//
// Of each client and partition few entries are kept; neighbours grow together, so that what is partly read counts whole.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>

#include "contracts/event_log.h"

namespace tributary {

// Events of the log behind some offset of each partition.
struct ClientLag {
  uint64_t events = 0;
  uint64_t bytes = 0;  // as the log keeps them
  int64_t oldest_micros = 0;  // when the first of them was appended; 0: none, or not known
  // False: some were appended before this process came to the log, and nobody tells whose they are. `events` then counts all
  // of those in partitions where the client's events are.
  bool exact = true;
};
struct PartitionLag {
  Offset end;
  uint64_t events = 0;
  uint64_t bytes = 0;  // of those that were appended since this process came to the log
  int64_t oldest_micros = 0;  // likewise
};
struct LogLag {
  std::map<ClientId, ClientLag> clients;  // those that have events there
  std::map<TopicPartition, PartitionLag> partitions;  // likewise
};

class AppendLedger {
 public:
  static constexpr size_t entries_max = 32;  // of one client in one partition

  struct Entry {
    ClientId client;
    TopicPartition at;
    Offset next;  // behind the append's last event
    uint64_t offsets = 0;  // that its events have: several may share one, and one may be no event's
    uint64_t events = 0;
    uint64_t bytes = 0;
    int64_t micros = 0;
  };

  // Thread-safe.
  void add(const Entry& entry);
  // What lies behind `from`, where each partition not named is wanted from its beginning. Where an earlier call's
  // `from` was further, that one holds. `may_hold`: whether events of the client can be in the partition; asked of `clients`.
  LogLag lag(const std::map<TopicPartition, Offset>& ends, const std::map<TopicPartition, Offset>& from,
             const std::vector<ClientId>& clients,
             const std::function<bool(const ClientId&, const TopicPartition&)>& may_hold);

 private:
  struct Kept {
    Offset next;
    uint64_t offsets;
    uint64_t events;
    uint64_t bytes;
    int64_t micros;
  };
  using OfPartition = std::map<ClientId, std::deque<Kept>>;

  std::mutex mutex_;
  std::map<TopicPartition, OfPartition> kept_;
  std::map<TopicPartition, Offset> read_;  // the furthest `from`
};

}  // namespace tributary
