#include "base/key_order.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tributary {
namespace {

size_t common_prefix(std::span<const std::string_view> keys) {
  size_t common = keys.empty() ? 0 : keys[0].size();
  for (std::string_view key : keys) {
    if (key.size() >= common && std::memcmp(key.data(), keys[0].data(), common) == 0) continue;
    common =
        static_cast<size_t>(std::mismatch(key.begin(), key.end(), keys[0].begin(), keys[0].end()).first - key.begin());
  }
  return common;
}

// The first eight bytes as a number that is ordered as they are, with zeros behind a shorter key.
uint64_t head_of(std::string_view key) {
  uint64_t head = 0;
  std::memcpy(&head, key.data(), std::min(key.size(), sizeof head));
  return std::endian::native == std::endian::little ? __builtin_bswap64(head) : head;
}

}  // namespace

std::vector<uint32_t> key_order(std::span<const std::string_view> keys) {
  struct Place {
    uint64_t head;
    uint32_t index;
  };
  size_t common = common_prefix(keys);
  std::vector<Place> places;
  places.reserve(keys.size());
  for (std::string_view key : keys) {
    places.push_back({head_of(key.substr(common)), static_cast<uint32_t>(places.size())});
  }
  std::sort(places.begin(), places.end(), [&](const Place& a, const Place& b) {
    return a.head != b.head ? a.head < b.head : keys[a.index].substr(common) < keys[b.index].substr(common);
  });
  std::vector<uint32_t> order;
  order.reserve(places.size());
  for (const Place& place : places) order.push_back(place.index);
  return order;
}

}  // namespace tributary
