#include "capture/debezium/debezium_state.h"

#include <algorithm>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t state_version = 2;  // 1: without a topic's absence and the last three of a partition
constexpr uint8_t dead_version = 1;

Error corrupt(const char* what) {
  return {ErrorCode::kCorrupt, std::string("capture's state in the log: ") + what + " is not what this version wrote"};
}

}  // namespace

uint32_t DebeziumState::newest_epoch() const {
  uint32_t newest = epoch;
  for (const auto& [name, topic] : topics) newest = std::max(newest, topic.epoch);
  return newest;
}

std::string DebeziumState::encode() const {
  std::string out;
  put_u8(out, state_version);
  put_u32(out, newest_epoch());  // native capture reads as far as this
  put_u32(out, epoch);
  put_u32(out, dead);
  put_u32(out, static_cast<uint32_t>(topics.size()));
  for (const auto& [name, topic] : topics) {
    put_string(out, name);
    put_u32(out, topic.epoch);
    put_u64(out, topic.snapshot_change);
    put_u64(out, static_cast<uint64_t>(topic.snapshot_micros));
    put_u32(out, topic.absence_due);
  }
  put_u32(out, static_cast<uint32_t>(partitions.size()));
  for (const auto& [key, partition] : partitions) {
    put_string(out, key.topic);
    put_u32(out, static_cast<uint32_t>(key.partition));
    put_u64(out, static_cast<uint64_t>(partition.next));
    partition.highest.append_to(out);
    put_u64(out, static_cast<uint64_t>(partition.latest_micros));
    partition.repeated.append_to(out);
    put_u64(out, static_cast<uint64_t>(partition.repeated_micros));
    put_u64(out, static_cast<uint64_t>(partition.last_offset));
    put_u64(out, partition.last_fingerprint);
    put_u8(out, partition.may_be_anew ? 1 : 0);
  }
  return out;
}

Result<DebeziumState> DebeziumState::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  uint8_t version = reader.u8();
  if (version == 0 || version > state_version) return corrupt("debezium");
  DebeziumState state;
  reader.u32();
  state.epoch = reader.u32();
  state.dead = reader.u32();
  uint32_t count = reader.u32();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    DebeziumTopic& topic = state.topics[std::string(reader.string())];
    topic.epoch = reader.u32();
    topic.snapshot_change = reader.u64();
    topic.snapshot_micros = static_cast<int64_t>(reader.u64());
    if (version > 1) topic.absence_due = reader.u32();
  }
  count = reader.u32();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    TopicPartitionKey key;
    key.topic = reader.string();
    key.partition = static_cast<int32_t>(reader.u32());
    DebeziumPartition& partition = state.partitions[key];
    partition.next = static_cast<int64_t>(reader.u64());
    auto highest = Position::decode(reader.bytes(Position::encoded_bytes));
    partition.latest_micros = static_cast<int64_t>(reader.u64());
    auto repeated = Position::decode(reader.bytes(Position::encoded_bytes));
    partition.repeated_micros = static_cast<int64_t>(reader.u64());
    if (version > 1) {
      partition.last_offset = static_cast<int64_t>(reader.u64());
      partition.last_fingerprint = reader.u64();
      partition.may_be_anew = reader.u8() != 0;
    }
    if (!highest || !repeated) return corrupt("debezium");
    partition.highest = *highest;
    partition.repeated = *repeated;
  }
  if (!reader.ok() || !reader.at_end()) return corrupt("debezium");
  return state;
}

std::string DebeziumDeadMessage::encode() const {
  std::string out;
  put_u8(out, dead_version);
  put_string(out, reason);
  put_string(out, key);
  put_string(out, value);
  return out;
}

Result<DebeziumDeadMessage> DebeziumDeadMessage::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.u8() != dead_version) return corrupt("a dead message");
  DebeziumDeadMessage message;
  message.reason = reader.string();
  message.key = reader.string();
  message.value = reader.string();
  if (!reader.ok() || !reader.at_end()) return corrupt("a dead message");
  return message;
}

}  // namespace tributary
