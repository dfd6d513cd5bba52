#include "model/position.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

// docs/formats/position.md: epoch · commit · change · ordinal, big-endian. Positions are in every store: these bytes stay.
const std::string stored(
    "\x00\x00\x00\x02\x00\x00\x00\x00\x01\xA2\xB3\xC8\x00\x00\x00\x00\x01\xA2\xB3\x00\x00\x00\x00\x04", 24);
constexpr Position example{2, 0x1A2B3C8, 0x1A2B300, 4};

TEST(Position, StoredBytesStayReadableAndAreWrittenTheSame) {
  EXPECT_EQ(Position::decode(stored), example);
  std::string out;
  example.append_to(out);
  EXPECT_EQ(hex(out), hex(stored));
  EXPECT_EQ(example.to_string(), "2:0/1A2B3C8:0/1A2B300:4");
  EXPECT_FALSE(Position::decode(stored.substr(1)).has_value());
  EXPECT_FALSE(Position::decode(stored + "x").has_value());
}

TEST(Position, OrdersAsItsBytes) {
  std::vector<Position> ascending = {
      {1, 9, 9, 9}, Position::before_commit(2, 5), {2, 5, 0, 1},
      {2, 5, 1, 0}, Position::end_of_commit(2, 5), Position::before_commit(2, 256),
  };
  for (size_t i = 1; i < ascending.size(); ++i) {
    std::string before;
    std::string after;
    ascending[i - 1].append_to(before);
    ascending[i].append_to(after);
    EXPECT_LT(ascending[i - 1], ascending[i]);
    EXPECT_LT(before, after);
  }
}

// docs/formats/analytics-table.md, `_version`.
TEST(Version, StoredBytesAreWrittenTheSame) {
  auto bytes = [](const Version& version) {
    return hex({reinterpret_cast<const char*>(version.bytes.data()), version.bytes.size()});
  };
  EXPECT_EQ(bytes(Version::of_row(example, 3, 1)), hex(stored) + "0000000300000001");
  EXPECT_EQ(bytes(Version::of_checkpoint(1, 258)),
            "0000000000000000"
            "0000000000000001"
            "0000000000000102"
            "0000000000000000");
  EXPECT_EQ(Version::of_checkpoint(0, 1).to_decimal(), "18446744073709551616");
}

}  // namespace
}  // namespace tributary
