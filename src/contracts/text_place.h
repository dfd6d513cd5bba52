// Byte offsets in a text as line and column, and back. Columns count characters (UTF-8 code points), as editors do.
#pragma once

#include <algorithm>
#include <string_view>

#include "contracts/view_plan.h"

namespace tributary {

inline bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

// The place of the byte at `offset`; of the text's end where `offset` is beyond it.
inline TextPlace place_at(std::string_view text, size_t offset) {
  TextPlace place;
  for (char byte : text.substr(0, std::min(offset, text.size()))) {
    if (byte == '\n') {
      ++place.line;
      place.column = 1;
    } else if (starts_character(byte)) {
      ++place.column;
    }
  }
  return place;
}

// The inverse of place_at: the offset of the byte that begins at `place`, or of its line's end.
inline size_t offset_at(std::string_view text, TextPlace place) {
  size_t offset = 0;
  for (size_t line = 1; line < place.line; ++line) {
    size_t end = text.find('\n', offset);
    if (end == std::string_view::npos) return text.size();
    offset = end + 1;
  }
  size_t column = 0;
  for (; offset < text.size() && text[offset] != '\n'; ++offset) {
    if (starts_character(text[offset]) && ++column == place.column) return offset;
  }
  return offset;
}

}  // namespace tributary
