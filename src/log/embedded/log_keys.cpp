#include "log/embedded/log_keys.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr std::string_view source_prefix = "log/source/";
constexpr std::string_view schema_prefix = "log/schema/";

void put_partition(std::string& out, const TopicPartition& at) {
  put_string(out, at.topic);
  put_u32_big(out, at.partition.value);
}

}  // namespace

std::string log_partition_prefix(const TopicPartition& at) {
  std::string key;
  put_partition(key, at);
  return key;
}

std::string log_block_key(const TopicPartition& at, Offset first) {
  std::string key = log_partition_prefix(at);
  put_u64_big(key, first.value);
  return key;
}

std::optional<Offset> offset_of_block_key(std::string_view key, const TopicPartition& at) {
  size_t prefix = log_partition_prefix(at).size();
  if (key.size() != prefix + sizeof(uint64_t)) return std::nullopt;
  return Offset(load_u64_big(key.data() + prefix));
}

std::string log_end_key(const TopicPartition& at) {
  std::string key(log_end_prefix);
  put_partition(key, at);
  return key;
}

std::optional<TopicPartition> partition_of_end_key(std::string_view key) {
  ByteReader reader(key.substr(log_end_prefix.size()));
  TopicPartition at;
  at.topic = reader.string();
  at.partition = PartitionId(reader.u32_big());
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return at;
}

std::string log_source_prefix() { return std::string(source_prefix); }

std::optional<ClientId> client_of_source_key(std::string_view key) {
  ByteReader reader(key.substr(source_prefix.size()));
  std::string_view client = reader.string();
  return reader.ok() ? std::optional(ClientId(std::string(client))) : std::nullopt;
}

std::string log_source_prefix(const ClientId& client) {
  std::string key(source_prefix);
  put_string(key, client.value);
  return key;
}

std::string log_schema_prefix() { return std::string(schema_prefix); }

std::string log_schema_key(const ClientId& client, std::string_view table, uint32_t version) {
  std::string key(schema_prefix);
  put_string(key, client.value);
  put_string(key, table);
  put_u32_big(key, version);
  return key;
}

std::string LogIndexEntry::encode() const {
  std::string out;
  put_u32(out, events);
  put_u64(out, bytes);
  put_u64(out, static_cast<uint64_t>(appended_micros));
  return out;
}

std::optional<LogIndexEntry> LogIndexEntry::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  LogIndexEntry entry;
  entry.events = reader.u32();
  entry.bytes = reader.u64();
  entry.appended_micros = static_cast<int64_t>(reader.u64());
  if (!reader.ok() || !reader.at_end() || entry.events == 0) return std::nullopt;
  return entry;
}

std::string encode_u64(uint64_t value) {
  std::string out;
  put_u64_big(out, value);
  return out;
}

std::optional<uint64_t> decode_u64(std::string_view bytes) {
  if (bytes.size() != sizeof(uint64_t)) return std::nullopt;
  return load_u64_big(bytes.data());
}

}  // namespace tributary
