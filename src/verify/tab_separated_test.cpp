#include "verify/tab_separated.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

using Cells = std::vector<std::optional<std::string>>;

TEST(TabSeparated, RowsAreTheSameHoweverTheBytesAreCut) {
  const std::string text = "1\ta\\tb\\\\c\\nd\t\\N\n2\t\t\\\\N\n3\tü\tx\\0y\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    std::vector<Cells> rows;
    TabSeparatedReader reader(3, [&](TabSeparatedReader::Row cells) -> Status {
      Cells& row = rows.emplace_back();
      for (const auto& cell : cells) row.push_back(cell ? std::optional(std::string(*cell)) : std::nullopt);
      return {};
    });
    for (size_t at = 0; at < text.size(); at += piece) {
      ASSERT_TRUE(reader.feed(std::string_view(text).substr(at, piece)).ok());
    }
    ASSERT_TRUE(reader.finish().ok());
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0], (Cells{"1", "a\tb\\c\nd", std::nullopt}));
    EXPECT_EQ(rows[1], (Cells{"2", "", "\\N"}));
    EXPECT_EQ(rows[2], (Cells{"3", "ü", std::string("x\0y", 3)}));
  }
}

TEST(TabSeparated, ACutOrStrangeAnswerIsAnError) {
  TabSeparatedReader cut(2, [](TabSeparatedReader::Row) -> Status { return {}; });
  ASSERT_TRUE(cut.feed("1\t2\n3\t").ok());
  EXPECT_FALSE(cut.finish().ok());

  TabSeparatedReader strange(2, [](TabSeparatedReader::Row) -> Status { return {}; });
  Status status = strange.feed("Code: 241. DB::Exception: Memory limit exceeded\n");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("Memory limit"), std::string::npos);
}

}  // namespace
}  // namespace tributary
