#include "capture/client_share.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tributary {
namespace {

// FNV-1a, with its bits mixed once more at the end: nodes differ in a digit or two.
uint64_t weight(std::string_view node, std::string_view client) {
  uint64_t hash = 14695981039346656037ULL;
  auto take = [&](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  };
  take(node);
  take(std::string_view("\0", 1));
  take(client);
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93ULL;
  return hash ^ (hash >> 32);
}

}  // namespace

std::map<std::string, std::string> share_clients(const std::map<std::string, std::set<std::string>>& ready) {
  std::set<std::string> nodes;
  size_t clients = 0;
  for (const auto& [client, of] : ready) {
    nodes.insert(of.begin(), of.end());
    clients += of.empty() ? 0 : 1;
  }
  std::map<std::string, std::string> share;
  if (nodes.empty()) return share;
  size_t even = (clients + nodes.size() - 1) / nodes.size();
  std::map<std::string, size_t> load;
  for (const auto& [client, of] : ready) {
    std::vector<std::string> ranked(of.begin(), of.end());
    std::sort(ranked.begin(), ranked.end(), [&client = client](const std::string& one, const std::string& other) {
      return weight(one, client) > weight(other, client);
    });
    auto chosen =
        std::find_if(ranked.begin(), ranked.end(), [&](const std::string& node) { return load[node] < even; });
    // All who reach it have their share already.
    if (chosen == ranked.end()) {
      chosen = std::min_element(ranked.begin(), ranked.end(), [&](const std::string& one, const std::string& other) {
        return load[one] < load[other];
      });
    }
    if (chosen == ranked.end()) continue;
    ++load[*chosen];
    share[client] = *chosen;
  }
  return share;
}

}  // namespace tributary
