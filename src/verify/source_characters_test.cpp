#include "verify/source_characters.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

// A server on which 0x81 has no character, as in WIN1252, and every other byte is é.
Result<std::optional<std::string>> without_81(const std::string& hex) {
  std::string utf8 = "\\x";
  for (size_t i = 0; i < hex.size(); i += 2) {
    if (hex.substr(i, 2) == "81") return std::optional<std::string>();
    utf8 += "c3a9";
  }
  return std::optional(utf8);
}

TEST(SourceCharacters, AByteWithoutACharacterHasAPlaceOfItsOwn) {
  auto characters = SourceCharacters::find("WIN1252", without_81);
  ASSERT_TRUE(characters.ok());
  EXPECT_EQ(characters->to_utf8("a\x81\xE9"), "a\xEF\x9E\x81\xC3\xA9");
}

TEST(SourceCharacters, EncodingsOfSeveralBytesAreTheServersAffair) {
  EXPECT_FALSE(SourceCharacters::find("EUC_JP", without_81)->converts());
}

// An answer that did not come is no byte without a character: rows would differ that do not.
TEST(SourceCharacters, AServerThatIsAwayIsAnError) {
  auto away = [](const std::string&) -> Result<std::optional<std::string>> {
    return Error{ErrorCode::kUnavailable, "gone"};
  };
  auto characters = SourceCharacters::find("LATIN1", away);
  ASSERT_FALSE(characters.ok());
  EXPECT_EQ(characters.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace tributary
