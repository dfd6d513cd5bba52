// The outbox: what a committed round has for the analytics store, kept until it is acknowledged
// (docs/formats/outbox.md). Keys order as checkpoint (u64 big-endian) · index within it (u32 big-endian).
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "contracts/analytics.h"

namespace tributary {

struct OutboxRows {
  std::string table;
  uint64_t rows = 0;
  std::string encoded;  // as AnalyticsStore::encode() gave it
};

struct OutboxWithdrawal {
  Withdrawal withdrawal;
};

// The last entry of every round: what is queryable once everything before it is acknowledged.
struct OutboxProgress {
  struct Client {
    ClientId client;
    uint64_t events = 0;         // of this round
    int64_t commit_micros = 0;   // newest commit time in it
    Position position;           // newest position in it
  };
  struct Consumed {
    std::string topic;
    PartitionId partition;
    Offset next;
  };
  std::vector<Client> clients;
  std::vector<Consumed> consumed;
};

// A view's new build is whole once everything before it is acknowledged: readers are to see its table from now on.
struct OutboxSwitch {
  std::string view;
  uint32_t generation = 0;
};

using OutboxEntry = std::variant<OutboxRows, OutboxWithdrawal, OutboxProgress, OutboxSwitch>;

std::string outbox_key(Checkpoint checkpoint, uint32_t index);
Result<Checkpoint> outbox_checkpoint(std::string_view key);
// An entry's bytes in two parts: rows, of which there may be many, are the entry's own.
struct OutboxBytes {
  std::string head;
  std::string_view tail;  // valid as long as the entry

  std::string text() const { return head + std::string(tail); }
};
OutboxBytes encode_outbox_entry(const OutboxEntry& entry);
Result<OutboxEntry> decode_outbox_entry(std::string_view bytes);

}  // namespace tributary
