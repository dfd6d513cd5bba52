#include "base/nearest_name.h"

#include <algorithm>
#include <vector>

namespace tributary {
namespace {

constexpr size_t name_bytes_max = 200;  // longer ones are compared by their beginning

std::string folded(std::string_view text) {
  std::string out(text.substr(0, name_bytes_max));
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// Optimal string alignment distance.
size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> table(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) table[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) table[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      table[i][j] =
          std::min({table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        table[i][j] = std::min(table[i][j], table[i - 2][j - 2] + 1);
      }
    }
  }
  return table[a.size()][b.size()];
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view wanted, std::span<const std::string> names) {
  std::string folded_wanted = folded(wanted);
  size_t best = std::max<size_t>(1, folded_wanted.size() / 3) + 1;
  std::optional<std::string> found;
  for (const std::string& name : names) {
    size_t distance = edits(folded_wanted, folded(name));
    if (distance >= best) continue;
    best = distance;
    found = name;
  }
  return found;
}

}  // namespace tributary
