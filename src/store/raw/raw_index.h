// What the raw store knows of a block without reading it, and its keys (docs/formats/raw-block.md).
//
//   kRaw       place · min position · fingerprint                 →  block
//   kRawIndex  place · max position · min position · fingerprint  →  BlockSummary
//
// `place` is client · domain · partition. By their greatest position, the blocks that may share events with a new one are
// those from its least position on: mostly none.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/block.h"
#include "model/event_batch.h"

namespace tributary {

// Longer row keys are cut to this before they are compared with a block's bounds.
constexpr size_t raw_key_bound_bytes = 64;

// A set of row keys that may answer "perhaps" for one in a hundred that is not in it.
class KeyBloom {
 public:
  KeyBloom() = default;
  explicit KeyBloom(std::span<const uint64_t> hashes);
  explicit KeyBloom(std::string_view bits) : bits_(bits) {}

  bool may_contain(uint64_t hash) const;
  const std::string& bits() const { return bits_; }

 private:
  std::string bits_;
};

uint64_t row_key_hash(std::string_view key);

// The row keys of a batch and their hashes.
struct BatchKeys {
  std::string bytes;
  std::vector<size_t> ends;
  std::vector<uint64_t> hashes;

  explicit BatchKeys(const EventBatch& batch);
  std::string_view key(size_t row) const {
    size_t begin = row == 0 ? 0 : ends[row - 1];
    return std::string_view(bytes).substr(begin, ends[row] - begin);
  }
};

struct BlockSummary {
  // In the key.
  Position min_position;
  Position max_position;
  uint64_t fingerprint = 0;  // the block's checksum
  // In the value.
  uint32_t rows = 0;
  uint32_t ranges = 0;
  uint8_t op_mask = 0;
  int64_t min_commit_micros = 0;
  int64_t max_commit_micros = 0;
  std::string min_key;  // of the rows, cut
  std::string max_key;
  KeyBloom bloom;

  bool may_hold_key(std::string_view key, uint64_t hash) const;
  // Whether an event may be in both, by positions, kinds and key bounds.
  bool may_share_events(const BlockSummary& other) const;

  std::string encode_value() const;
};

BlockSummary summarize(const BlockHeader& header, const BatchKeys& keys);

std::string raw_place_prefix(const ClientId& client, std::string_view domain, PartitionId partition);
// All of a client, or of one domain of it.
std::string raw_client_prefix(const ClientId& client, std::string_view domain);

std::string raw_block_key(std::string_view place, const BlockSummary& summary);
std::string raw_index_key(std::string_view place, const BlockSummary& summary);
// Where blocks whose greatest position is `position` or more begin.
std::string raw_index_seek_key(std::string_view place, const Position& position);

struct RawIndexEntry {
  std::string place;
  BlockSummary summary;
};
std::optional<RawIndexEntry> decode_raw_index(std::string_view key, std::string_view value);

}  // namespace tributary
