#include "base/percent.h"

#include "base/hex.h"

namespace tributary {

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    auto byte = from_hex(text.substr(i + 1, 2));
    if (!byte || byte->front() == '\0') return std::nullopt;
    out += *byte;
    i += 2;
  }
  return out;
}

}  // namespace tributary
