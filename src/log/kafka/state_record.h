// Records of a pipeline's state topic as bytes (docs/formats/kafka-state.md). Pure.
//
//   source/acme/3/stream          an entry of what acme's capture remembers, written under its lease 3
//   source/acme/3/                all entries at once: what is not among them is gone
//   lease/acme/3/9f…              somebody takes acme's sources as the third; the first such record counts
//   schema/acme/2/9f…/public.orders   version 2 of a table; likewise
//   ends/acme                     nothing but where partitions end now
//   topic/shop.order.created      a topic that events may have been written to
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/event_log.h"

namespace tributary {

enum class StateRecordKind : uint8_t { kSource, kLease, kSchema, kEnds, kTopic };

struct StateRecordKey {
  StateRecordKind kind = StateRecordKind::kEnds;
  std::string client;
  uint64_t number = 0;  // of the lease, or the schema's version
  std::string writer;   // of a lease or schema: who wrote it, random, so that two writers' records stay apart
  std::string name;     // the entry's, the table's, or the topic's

  std::string encode() const;
  // Nothing: a kind that this program does not know.
  static std::optional<StateRecordKey> decode(std::string_view bytes);
};

// Where a partition ends after an append, and what the append put there of one client.
struct AppendedPart {
  TopicPartition at;
  Offset next;
  uint64_t records = 0;  // each has an offset: a block of events is one, and so is a tombstone
  uint64_t events = 0;
  uint64_t bytes = 0;
  friend bool operator==(const AppendedPart&, const AppendedPart&) = default;
};

// Value of a record of kind kSource or kEnds.
struct SourceRecordValue {
  std::vector<AppendedPart> parts;
  std::string bytes;  // the entry's, or encode_entries(); empty: the entry is removed

  std::string encode() const;
  static std::optional<SourceRecordValue> decode(std::string_view bytes);
};

std::string encode_entries(const SourceState& entries);
std::optional<SourceState> decode_entries(std::string_view bytes);

}  // namespace tributary
