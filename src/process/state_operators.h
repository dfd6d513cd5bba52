// What kinds of entries keyed state has. Stored: never reuse a number (docs/formats/state.md).
#pragma once

#include <cstdint>

namespace tributary {

enum class StateOperator : uint16_t {
  kMergedRow = 1,
  kFloor = 2,
  kParked = 3,
  kDeadLetter = 4,
  kStateful = 5,
  kGroup = 6,
  kGroupValue = 7,
  kFirstRow = 8,       // the first row of a partition
  kPartitionRow = 9,   // every row of it, in order
  kJoinRow = 10,
  kJoinKey = 11,       // what is known of a join key: numbers of rows, and a change on its way through many rows
  kJoinPending = 12,   // join keys with such a change
  kJoinQueue = 13,     // rows that wait until it is through
  kSweep = 14,         // ranges of a domain's keys whose rows are to be looked at again
  kClientRow = 15,     // a client's attributes as a join has met them
};

}  // namespace tributary
