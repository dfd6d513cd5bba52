// KeyedState: what operators remember between rounds, by (operator, client, key). RocksDB natively, Flink's keyed state
// under Flink. Calls are batched, since a call may cross a language boundary.
//
// Within a round an operator sees its own writes. They become durable with the round's checkpoint and not before; a
// failed round leaves no trace.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tributary {

class KeyedState {
 public:
  virtual ~KeyedState() = default;

  // One entry per key, in their order; nullopt where there is none.
  virtual Result<std::vector<std::optional<std::string>>> get(std::span<const std::string> keys) = 0;
  virtual void put(std::string_view key, std::string_view value) = 0;
  virtual void erase(std::string_view key) = 0;

  // Entries whose key starts with `prefix` and is >= `from`, in key order, until `visit` returns false.
  virtual Status scan(std::string_view prefix, std::string_view from,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit) = 0;
};

// operator (u16 big-endian) · client length (u8) · client · key (docs/formats/state.md). A client's state under one
// operator is one contiguous range.
std::string state_key(uint16_t operator_id, std::string_view client, std::string_view key);

}  // namespace tributary
