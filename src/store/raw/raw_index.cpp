#include "store/raw/raw_index.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t value_version = 1;
constexpr size_t bloom_bits_per_key = 10;  // with six probes: 0.9 % false answers
constexpr int bloom_probes = 6;
constexpr uint64_t bloom_bytes_min = 8;
constexpr size_t key_tail_bytes = 2 * Position::encoded_bytes + sizeof(uint64_t);

std::string_view cut(std::string_view key) { return key.substr(0, raw_key_bound_bytes); }

// The bit that a probe looks at: a 64-bit number scaled to the number of bits by a multiplication.
uint64_t bloom_bit(uint64_t hash, int probe, uint64_t bits) {
  uint64_t step = (hash >> 32 | hash << 32) | 1;
  uint64_t mixed = (hash + static_cast<uint64_t>(probe) * step) * 0x9E3779B97F4A7C15;
  return static_cast<uint64_t>((static_cast<unsigned __int128>(mixed) * bits) >> 64);
}

}  // namespace

KeyBloom::KeyBloom(std::span<const uint64_t> hashes) {
  if (hashes.empty()) return;
  bits_.resize(std::max<uint64_t>(bloom_bytes_min, hashes.size() * bloom_bits_per_key / 8), '\0');
  for (uint64_t hash : hashes) {
    for (int probe = 0; probe < bloom_probes; ++probe) {
      uint64_t bit = bloom_bit(hash, probe, bits_.size() * 8);
      bits_[bit / 8] = static_cast<char>(bits_[bit / 8] | 1 << bit % 8);
    }
  }
}

bool KeyBloom::may_contain(uint64_t hash) const {
  if (bits_.empty()) return false;
  for (int probe = 0; probe < bloom_probes; ++probe) {
    uint64_t bit = bloom_bit(hash, probe, bits_.size() * 8);
    if ((bits_[bit / 8] >> bit % 8 & 1) == 0) return false;
  }
  return true;
}

uint64_t row_key_hash(std::string_view key) { return XXH3_64bits(key.data(), key.size()); }

BatchKeys::BatchKeys(const EventBatch& batch) {
  ends.reserve(batch.rows());
  hashes.reserve(batch.rows());
  for (size_t row = 0; row < batch.rows(); ++row) {
    size_t begin = bytes.size();
    batch.append_row_key(bytes, row);
    ends.push_back(bytes.size());
    hashes.push_back(row_key_hash(std::string_view(bytes).substr(begin)));
  }
}

bool BlockSummary::may_hold_key(std::string_view key, uint64_t hash) const {
  return rows > 0 && cut(key) >= min_key && cut(key) <= max_key && bloom.may_contain(hash);
}

bool BlockSummary::may_share_events(const BlockSummary& other) const {
  if (min_position > other.max_position || max_position < other.min_position) return false;
  uint8_t kinds = op_mask & other.op_mask;
  if (kinds == 0) return false;
  if ((kinds & block_has_range) != 0) return true;
  return min_key <= other.max_key && other.min_key <= max_key;
}

std::string BlockSummary::encode_value() const {
  std::string out;
  put_u8(out, value_version);
  put_u32(out, rows);
  put_u32(out, ranges);
  put_u8(out, op_mask);
  put_u64(out, static_cast<uint64_t>(min_commit_micros));
  put_u64(out, static_cast<uint64_t>(max_commit_micros));
  put_string(out, min_key);
  put_string(out, max_key);
  put_string(out, bloom.bits());
  return out;
}

BlockSummary summarize(const BlockHeader& header, const BatchKeys& keys) {
  BlockSummary summary;
  summary.min_position = header.min_position;
  summary.max_position = header.max_position;
  summary.fingerprint = header.checksum;
  summary.rows = header.rows;
  summary.ranges = header.ranges;
  summary.op_mask = header.op_mask;
  summary.min_commit_micros = header.min_commit_micros;
  summary.max_commit_micros = header.max_commit_micros;
  for (size_t row = 0; row < keys.ends.size(); ++row) {
    std::string_view key = cut(keys.key(row));
    if (row == 0 || key < summary.min_key) summary.min_key = key;
    if (row == 0 || key > summary.max_key) summary.max_key = key;
  }
  summary.bloom = KeyBloom(keys.hashes);
  return summary;
}

std::string raw_client_prefix(const ClientId& client, std::string_view domain) {
  std::string key;
  put_string(key, client.value);
  if (!domain.empty()) put_string(key, domain);
  return key;
}

std::string raw_place_prefix(const ClientId& client, std::string_view domain, PartitionId partition) {
  std::string key = raw_client_prefix(client, domain);
  put_u32_big(key, partition.value);
  return key;
}

std::string raw_block_key(std::string_view place, const BlockSummary& summary) {
  std::string key(place);
  summary.min_position.append_to(key);
  put_u64_big(key, summary.fingerprint);
  return key;
}

std::string raw_index_key(std::string_view place, const BlockSummary& summary) {
  std::string key = raw_index_seek_key(place, summary.max_position);
  summary.min_position.append_to(key);
  put_u64_big(key, summary.fingerprint);
  return key;
}

std::string raw_index_seek_key(std::string_view place, const Position& position) {
  std::string key(place);
  position.append_to(key);
  return key;
}

std::optional<RawIndexEntry> decode_raw_index(std::string_view key, std::string_view value) {
  if (key.size() < key_tail_bytes) return std::nullopt;
  RawIndexEntry entry;
  entry.place = key.substr(0, key.size() - key_tail_bytes);
  BlockSummary& summary = entry.summary;
  ByteReader tail(key.substr(entry.place.size()));
  summary.max_position = *Position::decode(tail.bytes(Position::encoded_bytes));
  summary.min_position = *Position::decode(tail.bytes(Position::encoded_bytes));
  summary.fingerprint = tail.u64_big();
  ByteReader reader(value);
  if (reader.u8() != value_version) return std::nullopt;
  summary.rows = reader.u32();
  summary.ranges = reader.u32();
  summary.op_mask = reader.u8();
  summary.min_commit_micros = static_cast<int64_t>(reader.u64());
  summary.max_commit_micros = static_cast<int64_t>(reader.u64());
  summary.min_key = reader.string();
  summary.max_key = reader.string();
  summary.bloom = KeyBloom(reader.string());
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return entry;
}

}  // namespace tributary
