#include "codec/postgres/server_text.h"

#include <algorithm>

namespace tributary {
namespace {

constexpr size_t ascii_end = 0x80;

// U+F780 … U+F7FF: EF 9E 80 … EF 9F BF.
std::string without_character(size_t byte) {
  size_t point = 0xF700 + byte;
  return {static_cast<char>(0xE0 | point >> 12), static_cast<char>(0x80 | (point >> 6 & 0x3F)),
          static_cast<char>(0x80 | (point & 0x3F))};
}

}  // namespace

ServerText::ServerText(Characters characters) : converts_(true), characters_(std::move(characters)) {
  for (size_t i = 0; i < characters_.size(); ++i) {
    if (characters_[i].empty()) characters_[i] = without_character(ascii_end + i);
  }
}

bool ServerText::is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) >= ascii_end; });
}

std::string_view ServerText::converted(std::string_view text, std::string& scratch) const {
  scratch.clear();
  for (char c : text) {
    auto byte = static_cast<uint8_t>(c);
    if (byte < ascii_end) {
      scratch.push_back(c);
    } else {
      scratch += characters_[byte - ascii_end];
    }
  }
  return scratch;
}

void ServerText::make_utf8(std::string& text) const {
  std::string scratch;
  if (converts_ && !is_ascii(text)) text = std::string(converted(text, scratch));
}

std::optional<std::string> ServerText::bytes_without_characters(std::string_view utf8) const {
  if (!converts_) return std::nullopt;
  std::string bytes;
  bool found = false;
  while (!utf8.empty()) {
    if (static_cast<uint8_t>(utf8[0]) < ascii_end) {
      bytes.push_back(utf8[0]);
      utf8.remove_prefix(1);
      continue;
    }
    auto at = std::ranges::find_if(characters_, [&](const std::string& one) { return utf8.starts_with(one); });
    if (at == characters_.end()) return std::nullopt;
    auto byte = ascii_end + static_cast<size_t>(at - characters_.begin());
    bytes.push_back(static_cast<char>(byte));
    found = found || *at == without_character(byte);
    utf8.remove_prefix(at->size());
  }
  return found ? std::optional(bytes) : std::nullopt;
}

bool is_single_byte_encoding(std::string_view encoding) {
  constexpr std::string_view families[] = {"LATIN", "ISO_8859_", "KOI8", "WIN"};
  return std::ranges::any_of(families, [&](std::string_view family) { return encoding.starts_with(family); });
}

}  // namespace tributary
