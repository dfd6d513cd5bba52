#include "store/raw/new_events.h"

#include "model/gather.h"

namespace tributary {
namespace {

// Equal for the same events; different ones are told apart by comparing them.
uint64_t identity_hash(const Position& position, Op op, uint64_t key_hash) {
  constexpr uint64_t factor = 0x9E3779B97F4A7C15;
  uint64_t hash = key_hash;
  for (uint64_t part : {uint64_t{position.epoch} << 32 | position.ordinal, position.commit, position.change,
                        static_cast<uint64_t>(op)}) {
    hash = (hash ^ part) * factor;
    hash ^= hash >> 32;
  }
  return hash;
}

bool strictly_rising(const std::vector<Position>& positions) {
  for (size_t i = 1; i < positions.size(); ++i) {
    if (!(positions[i - 1] < positions[i])) return false;
  }
  return true;
}

bool same_range(const RangeFact& a, const RangeFact& b) {
  return a.position == b.position && a.kind == b.kind && a.low == b.low && a.high == b.high;
}

}  // namespace

NewEvents::NewEvents(const EventBatch& batch, const BatchKeys& keys)
    : batch_(batch), keys_(keys), row_gone_(batch.rows()), range_gone_(batch.ranges.size()) {
  for (size_t i = 0; i < batch.ranges.size(); ++i) {
    for (size_t j = 0; j < i && range_gone_[i] == 0; ++j) {
      if (same_range(batch.ranges[i], batch.ranges[j])) range_gone_[i] = 1;
    }
    removed_ += range_gone_[i];
  }
  // Events of a stream have positions of their own: nothing is in it twice, and no index is needed yet.
  if (!strictly_rising(batch.positions)) build_index();
}

bool NewEvents::same(size_t row, const EventBatch& other, const BatchKeys& other_keys, size_t other_row) const {
  return batch_.positions[row] == other.positions[other_row] && batch_.ops[row] == other.ops[other_row] &&
         keys_.key(row) == other_keys.key(other_row);
}

void NewEvents::build_index() {
  rows_by_identity_.reserve(batch_.rows());
  for (uint32_t row = 0; row < batch_.rows(); ++row) {
    uint64_t hash = identity_hash(batch_.positions[row], batch_.ops[row], keys_.hashes[row]);
    auto [begin, end] = rows_by_identity_.equal_range(hash);
    bool seen = false;
    for (auto at = begin; at != end && !seen; ++at) seen = same(at->second, batch_, keys_, row);
    if (seen) {
      row_gone_[row] = 1;
      ++removed_;
    } else {
      rows_by_identity_.emplace(hash, row);
    }
  }
}

void NewEvents::remove(const EventBatch& other, const BatchKeys& other_keys) {
  if (rows_by_identity_.empty() && batch_.rows() > 0) build_index();
  for (size_t row = 0; row < other.rows(); ++row) {
    uint64_t hash = identity_hash(other.positions[row], other.ops[row], other_keys.hashes[row]);
    auto [begin, end] = rows_by_identity_.equal_range(hash);
    for (auto at = begin; at != end; ++at) {
      if (row_gone_[at->second] != 0 || !same(at->second, other, other_keys, row)) continue;
      row_gone_[at->second] = 1;
      ++removed_;
    }
  }
  for (size_t i = 0; i < batch_.ranges.size(); ++i) {
    for (size_t j = 0; j < other.ranges.size() && range_gone_[i] == 0; ++j) {
      if (!same_range(batch_.ranges[i], other.ranges[j])) continue;
      range_gone_[i] = 1;
      ++removed_;
    }
  }
}

EventBatch NewEvents::left() const {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < batch_.rows(); ++row) {
    if (row_gone_[row] == 0) rows.push_back(row);
  }
  EventBatch out = gather(batch_, rows);
  for (size_t i = 0; i < batch_.ranges.size(); ++i) {
    if (range_gone_[i] == 0) out.ranges.push_back(batch_.ranges[i]);
  }
  return out;
}

}  // namespace tributary
