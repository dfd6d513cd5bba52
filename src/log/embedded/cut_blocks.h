// From a batch of any size to blocks of bounded size, each for its partition. Pure.
#pragma once

#include <string>
#include <vector>

#include "codec/block.h"
#include "contracts/event_log.h"
#include "model/partitioning.h"

namespace tributary {

struct BlockLimits {
  uint32_t rows;
  size_t bytes;  // of values; a block holds at least one row, however large
};

// A block that has no offset yet.
struct CutBlock {
  ClientId client;
  TopicPartition at;
  uint32_t events = 0;
  std::string bytes;
};

// Appends the blocks of `batch` to `out`. kInvalidInput, with nothing appended: one row is larger than a block can be.
Status cut_blocks(const EventBatch& batch, const Partitioning& partitioning, const BlockLimits& limits,
                  std::vector<CutBlock>& out);

}  // namespace tributary
