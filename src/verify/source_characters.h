// Text of a source in an encoding of one byte a character. COPY would break off at the first byte that has no character there
// (0x81 in WIN1252), so its bytes are read as they are and converted here: such a byte is U+F700 + byte (docs/types.md).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tributary {

class SourceCharacters {
 public:
  // PostgreSQL's hexadecimal form of bytes in UTF-8, "\xc3a9"; nullopt where a byte has no character.
  using Convert = std::function<Result<std::optional<std::string>>(const std::string& hex)>;

  // `encoding` is server_encoding. `convert` is asked only where it has one byte a character.
  static Result<SourceCharacters> find(std::string_view encoding, const Convert& convert);

  bool converts() const { return !characters_.empty(); }
  std::string to_utf8(std::string_view bytes) const;

 private:
  Status find_range(const Convert& convert, int begin, int end);

  std::vector<std::string> characters_;  // of all 256 bytes, or none
};

}  // namespace tributary
