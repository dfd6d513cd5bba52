// Which events of a batch are not in other batches: the set semantics of the raw store. Pure.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/event_batch.h"
#include "store/raw/raw_index.h"

namespace tributary {

// An event is the same as another one when position, kind and row key are; a range fact when position, kind, low and high are.
class NewEvents {
 public:
  // Both outlive this object. Events that are in `batch` twice count once, at their first place.
  NewEvents(const EventBatch& batch, const BatchKeys& keys);

  // Takes out what is in `other` too.
  void remove(const EventBatch& other, const BatchKeys& other_keys);

  bool all() const { return removed_ == 0; }
  bool none() const { return removed_ == batch_.rows() + batch_.ranges.size(); }
  // What is left, in order.
  EventBatch left() const;

 private:
  bool same(size_t row, const EventBatch& other, const BatchKeys& other_keys, size_t other_row) const;
  void build_index();

  const EventBatch& batch_;
  const BatchKeys& keys_;
  std::vector<uint8_t> row_gone_;
  std::vector<uint8_t> range_gone_;
  size_t removed_ = 0;
  std::unordered_multimap<uint64_t, uint32_t> rows_by_identity_;  // built when there is something to compare with
};

}  // namespace tributary
