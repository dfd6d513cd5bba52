#include "codec/json_text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tributary {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

void put_escaped(std::string& out, unsigned char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  constexpr std::string_view digits = "0123456789abcdef";
  out += "\\u00";
  out.push_back(digits[c >> 4]);
  out.push_back(digits[c & 15]);
}

struct Sequence {
  size_t bytes;  // that belong together: a character, or the part of one that is to be replaced
  bool valid;
};

// The character that begins with a byte >= 0x80 (Unicode 15, table 3-7).
Sequence read_character(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  uint8_t lead = byte(0);
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  size_t size = 0;
  if (lead >= 0xC2 && lead <= 0xDF) size = 2;
  if (lead >= 0xE0 && lead <= 0xEF) size = 3;
  if (lead >= 0xF0 && lead <= 0xF4) size = 4;
  if (size == 0) return {1, false};
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (size_t i = 1; i < size; ++i) {
    if (byte(i) < low || byte(i) > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {size, true};
}

bool is_plain(unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

// Where the plain characters from `at` on end: eight at a time, by the high bit of each byte of a word.
size_t plain_end(std::string_view text, size_t at) {
  constexpr uint64_t ones = 0x0101010101010101;
  constexpr uint64_t highs = ones * 0x80;
  // Sets the high bit of a byte that is less than `limit`. A borrow may set one too many behind such a byte, and none before.
  auto below = [](uint64_t word, uint64_t limit) { return word - ones * limit; };
  for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, sizeof word);
    uint64_t special = (below(word, 0x20) | below(word ^ ones * '"', 1) | below(word ^ ones * '\\', 1) | word) & highs;
    if (special != 0) break;
  }
  while (at < text.size() && is_plain(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

}  // namespace

bool put_json_string(std::string& out, std::string_view text) {
  bool exact = true;
  out.push_back('"');
  size_t at = 0;
  while (at < text.size()) {
    size_t begin = at;
    at = plain_end(text, at);
    out.append(text, begin, at - begin);
    if (at == text.size()) break;
    auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80) {
      put_escaped(out, c);
      ++at;
      continue;
    }
    Sequence sequence = read_character(text.substr(at));
    out.append(sequence.valid ? text.substr(at, sequence.bytes) : replacement);
    exact = exact && sequence.valid;
    at += sequence.bytes;
  }
  out.push_back('"');
  return exact;
}

void put_base64(std::string& out, std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t at = 0; at < bytes.size(); at += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? static_cast<uint8_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) out.push_back(i <= count ? digits[group >> (18 - 6 * i) & 63] : '=');
  }
}

bool append_from_base64(std::string& out, std::string_view text) {
  auto digit = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
  };
  if (text.size() % 4 != 0) return false;
  size_t before = out.size();
  size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  for (size_t at = 0; at < text.size(); at += 4) {
    bool last = at + 4 == text.size();
    size_t count = last ? 3 - padding : 3;
    uint32_t group = 0;
    bool valid = true;
    for (size_t i = 0; i < 4; ++i) {
      int value = i <= count ? digit(text[at + i]) : 0;
      valid = valid && value >= 0;
      group = group << 6 | static_cast<uint32_t>(value & 63);
    }
    if (!valid) {
      out.resize(before);
      return false;
    }
    for (size_t i = 0; i < count; ++i) out.push_back(static_cast<char>(group >> (16 - 8 * i)));
  }
  return true;
}

}  // namespace tributary
