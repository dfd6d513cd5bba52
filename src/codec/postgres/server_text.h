// Text of a database whose encoding is one byte a character (LATIN1, WIN1252, KOI8R …) as UTF-8, done by us.
//
// The server refuses to convert a byte that has no character in its encoding (0x81 in WIN1252), and with it the whole
// reading. So it is asked for the bytes as they are. A byte without a character becomes U+F700 + byte, of Unicode's
// private use area, as the web's "x-user-defined" has it: 0x81 → U+F781. Nothing is lost, and the way back is known.
//
//   ServerText text(characters);                    // of bytes 0x80 … 0xFF, as the server converts them
//   std::string scratch;
//   append_postgres_text(column, text.to_utf8("caf\xE9", scratch));
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace tributary {

class ServerText {
 public:
  // Of the bytes 0x80 … 0xFF in UTF-8; empty: the byte has no character.
  using Characters = std::array<std::string, 128>;

  ServerText() = default;  // the server's text is taken as it comes
  explicit ServerText(Characters characters);

  bool converts() const { return converts_; }
  // `text` itself where it needs no conversion, else a view into `scratch`.
  std::string_view to_utf8(std::string_view text, std::string& scratch) const {
    return converts_ && !is_ascii(text) ? converted(text, scratch) : text;
  }
  void make_utf8(std::string& text) const;

  // The server's bytes of a text that has a byte without a character; nullopt: it has none, or is no text of the server.
  std::optional<std::string> bytes_without_characters(std::string_view utf8) const;

 private:
  static bool is_ascii(std::string_view text);
  std::string_view converted(std::string_view text, std::string& scratch) const;

  bool converts_ = false;
  Characters characters_;
};

// "WIN1252": whether a server's encoding has one byte a character, by PostgreSQL's documentation, "Character Set Support".
bool is_single_byte_encoding(std::string_view encoding);

}  // namespace tributary
