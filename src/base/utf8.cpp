#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace tributary {

bool is_utf8(std::string_view text) {
  const auto* next = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = next + text.size();
  while (next < end) {
    uint64_t eight;
    if (end - next >= 8 && (std::memcpy(&eight, next, 8), (eight & 0x8080808080808080ULL) == 0)) {
      next += 8;
      continue;
    }
    uint8_t lead = *next++;
    if (lead < 0x80) continue;
    int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || end - next < more) return false;
    // The second byte excludes overlong forms, surrogates and what is above U+10FFFF (Unicode 15, table 3-7).
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (next[0] < low || next[0] > high) return false;
    for (int i = 1; i < more; ++i) {
      if ((next[i] & 0xC0) != 0x80) return false;
    }
    next += more;
  }
  return true;
}

}  // namespace tributary
