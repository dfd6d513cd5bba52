#include "verify/source_characters.h"

#include <fmt/format.h>

#include <charconv>

namespace tributary {
namespace {

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (size_t i = 2; i + 1 < hex.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace

Result<SourceCharacters> SourceCharacters::find(std::string_view encoding, const Convert& convert) {
  SourceCharacters found;
  bool one_byte = encoding.starts_with("LATIN") || encoding.starts_with("ISO_8859_") || encoding.starts_with("WIN") ||
                  encoding.starts_with("KOI8");
  if (!one_byte) return found;
  found.characters_.resize(256);
  for (int byte = 0; byte < 128; ++byte) found.characters_[static_cast<size_t>(byte)] = static_cast<char>(byte);
  RETURN_IF_ERROR(found.find_range(convert, 128, 256));
  return found;
}

Status SourceCharacters::find_range(const Convert& convert, int begin, int end) {
  std::string hex;
  for (int byte = begin; byte < end; ++byte) hex += fmt::format("{:02x}", byte);
  ASSIGN_OR_RETURN(std::optional<std::string> converted, convert(hex));
  if (!converted && end - begin > 1) {
    RETURN_IF_ERROR(find_range(convert, begin, (begin + end) / 2));
    return find_range(convert, (begin + end) / 2, end);
  }
  std::string utf8;
  if (converted) {
    utf8 = bytes_of(*converted);
  } else {  // one byte without a character: U+F780 … U+F7FF
    utf8 = fmt::format("\xEF{}{}", static_cast<char>(0x9E + begin / 192), static_cast<char>(0x80 | (begin & 0x3F)));
  }
  size_t at = static_cast<size_t>(begin) - 1;
  for (char c : utf8) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++at;
    characters_.at(at).push_back(c);
  }
  return {};
}

std::string SourceCharacters::to_utf8(std::string_view bytes) const {
  std::string out;
  for (char c : bytes) out += characters_[static_cast<unsigned char>(c)];
  return out;
}

}  // namespace tributary
