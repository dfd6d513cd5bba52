// Of what capture remembers of a source (docs/formats/capture-state.md) the one thing that others may know: its epoch. What was
// read again counts in a later one than what was read before.
#pragma once

#include <algorithm>

#include "base/bytes.h"
#include "contracts/event_log.h"

namespace tributary {

inline constexpr std::string_view stream_state_key = "stream";
inline constexpr std::string_view debezium_state_key = "debezium";

// The epoch of a source under one of these keys: its bytes begin with u8 version, u32 epoch. 0: nothing is remembered.
inline uint32_t source_epoch(const SourceState& state, std::string_view key) {
  auto found = state.find(std::string(key));
  if (found == state.end()) return 0;
  ByteReader reader(found->second);
  reader.u8();
  uint32_t epoch = reader.u32();
  return reader.ok() ? epoch : 0;
}

// By whichever of the two it was read.
inline uint32_t source_epoch(const SourceState& state) {
  return std::max(source_epoch(state, stream_state_key), source_epoch(state, debezium_state_key));
}

}  // namespace tributary
