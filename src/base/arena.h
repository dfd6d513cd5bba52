// Arena: memory for what lives as long as one call or one round, and goes as a whole. What is made in it and needs no
// destructor need not be destroyed. Not thread-safe.
//
//   Arena arena;
//   std::pmr::unordered_map<std::string_view, size_t> index(&arena);
//   index.emplace(arena.keep(key), 7);
#pragma once

#include <cstring>
#include <memory_resource>
#include <string_view>

namespace tributary {

class Arena final : public std::pmr::monotonic_buffer_resource {
 public:
  // A copy of `bytes`.
  std::string_view keep(std::string_view bytes) {
    if (bytes.empty()) return {};
    auto* at = static_cast<char*>(allocate(bytes.size(), 1));
    std::memcpy(at, bytes.data(), bytes.size());
    return {at, bytes.size()};
  }
};

}  // namespace tributary
