// Which stages a node of a pipeline runs. All of them, or, with a log that several processes can use, capture on any number
// of nodes and processing on one.
#pragma once

#include <optional>
#include <string_view>

namespace tributary {

enum class Stages { kAll, kCapture, kProcess };

// "", "all", "capture", "process"; nullopt: none of them.
inline std::optional<Stages> parse_stages(std::string_view text) {
  if (text.empty() || text == "all") return Stages::kAll;
  if (text == "capture") return Stages::kCapture;
  if (text == "process") return Stages::kProcess;
  return std::nullopt;
}

}  // namespace tributary
