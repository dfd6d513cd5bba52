// IDs are types: a ClientId is not a PartitionId, and neither is an integer by accident.
//
//   using Offset = Strong<uint64_t, struct OffsetTag>;
//   Offset next{offset.value + 1};
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace tributary {

template <typename T, typename Tag>
struct Strong {
  T value{};

  Strong() = default;
  explicit Strong(T v) : value(std::move(v)) {}

  friend auto operator<=>(const Strong&, const Strong&) = default;
  friend bool operator==(const Strong&, const Strong&) = default;
};

using ClientId = Strong<std::string, struct ClientIdTag>;  // [a-z][a-z0-9_]{0,39}
using PartitionId = Strong<uint32_t, struct PartitionIdTag>;
using Offset = Strong<uint64_t, struct OffsetTag>;          // index of an event in its partition, from 0
using Checkpoint = Strong<uint64_t, struct CheckpointTag>;  // never goes back

}  // namespace tributary

template <typename T, typename Tag>
struct std::hash<tributary::Strong<T, Tag>> {
  size_t operator()(const tributary::Strong<T, Tag>& id) const noexcept { return std::hash<T>{}(id.value); }
};

template <typename T, typename Tag>
struct fmt::formatter<tributary::Strong<T, Tag>> : fmt::formatter<T> {
  auto format(const tributary::Strong<T, Tag>& id, fmt::format_context& context) const {
    return fmt::formatter<T>::format(id.value, context);
  }
};
