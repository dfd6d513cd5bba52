// What capture remembers of a client that it reads from Debezium's topics, in the log's SourceState under "debezium":
// bytes of docs/formats/capture-state.md. Written with the events up to it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "contracts/source_epoch.h"
#include "model/position.h"

namespace tributary {

// Messages that could not be read: "debezium/dead/TOPIC/PARTITION/OFFSET".
inline constexpr std::string_view debezium_dead_prefix = "debezium/dead/";
// Columns of a table that came since its rows were read, as put_strings(): "debezium/came/public.orders".
inline constexpr std::string_view debezium_came_prefix = "debezium/came/";

struct TopicPartitionKey {
  std::string topic;
  int32_t partition = 0;
  friend auto operator<=>(const TopicPartitionKey&, const TopicPartitionKey&) = default;
};

struct DebeziumPartition {
  int64_t next = 0;            // offset to go on at
  Position highest;            // of what was read, with the epoch that it is in
  int64_t latest_micros = 0;   // newest source.ts_us in that epoch
  Position repeated;           // the same as of the end of the epoch before: what is not above both came before
  int64_t repeated_micros = 0;
  // The newest record that was read: another one at its offset is another topic's of the same name.
  int64_t last_offset = -1;  // -1: not known
  uint64_t last_fingerprint = 0;
  bool may_be_anew = false;  // since a reset: such a topic is read from its beginning
  friend bool operator==(const DebeziumPartition&, const DebeziumPartition&) = default;
};

// The newest snapshot of a table: its rows share one position.
struct DebeziumTopic {
  uint32_t epoch = 0;
  uint64_t snapshot_change = 0;  // source.lsn; 0: none was seen
  int64_t snapshot_micros = 0;
  uint32_t absence_due = 0;  // the epoch of a snapshot whose last row was not seen; 0: none
  friend bool operator==(const DebeziumTopic&, const DebeziumTopic&) = default;
};

struct DebeziumState {
  uint32_t epoch = 0;  // of topics that were not read yet; 0: nothing was read at all
  std::map<std::string, DebeziumTopic> topics;
  std::map<TopicPartitionKey, DebeziumPartition> partitions;
  uint32_t dead = 0;  // messages set aside

  // The newest epoch of any topic.
  uint32_t newest_epoch() const;

  std::string encode() const;
  static Result<DebeziumState> decode(std::string_view bytes);
  friend bool operator==(const DebeziumState&, const DebeziumState&) = default;
};

// A message that could not be read, and why.
struct DebeziumDeadMessage {
  std::string reason;
  std::string key;
  std::string value;

  std::string encode() const;
  static Result<DebeziumDeadMessage> decode(std::string_view bytes);
  friend bool operator==(const DebeziumDeadMessage&, const DebeziumDeadMessage&) = default;
};

}  // namespace tributary
