// Keys and small values of the embedded log in the storage (docs/formats/log-block.md, "In the embedded log").
//
//   kLog       topic · partition · first offset   →  block
//   kLogIndex  the same key                       →  LogIndexEntry
//   kMeta      "log/end/" topic · partition       →  next offset
//   kMeta      "log/bytes"                        →  bytes of all blocks kept
//   kMeta      "log/source/" client · name        →  what capture gave
//   kMeta      "log/schema/" client · table · version → TableSchema::encode()
//
// Topic, client and table are length-prefixed, numbers big-endian: a partition's blocks are one range, in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "contracts/event_log.h"

namespace tributary {

constexpr std::string_view log_end_prefix = "log/end/";
constexpr std::string_view log_bytes_key = "log/bytes";

std::string log_partition_prefix(const TopicPartition& at);
std::string log_block_key(const TopicPartition& at, Offset first);
// The first offset in a block's key, which begins with log_partition_prefix(at).
std::optional<Offset> offset_of_block_key(std::string_view key, const TopicPartition& at);

std::string log_end_key(const TopicPartition& at);
std::optional<TopicPartition> partition_of_end_key(std::string_view key);

std::string log_source_prefix();  // of all clients
std::string log_source_prefix(const ClientId& client);
std::optional<ClientId> client_of_source_key(std::string_view key);
std::string log_schema_prefix();
std::string log_schema_key(const ClientId& client, std::string_view table, uint32_t version);

// What retention needs to know of a block without reading it.
struct LogIndexEntry {
  uint32_t events = 0;
  uint64_t bytes = 0;
  int64_t appended_micros = 0;  // UTC, by this machine's clock

  std::string encode() const;
  static std::optional<LogIndexEntry> decode(std::string_view bytes);
};

std::string encode_u64(uint64_t value);
std::optional<uint64_t> decode_u64(std::string_view bytes);

}  // namespace tributary
