#include "base/clickhouse_tokens.h"

#include <gtest/gtest.h>

#include <vector>

namespace tributary {
namespace {

std::vector<std::string> words(std::string_view sql) {
  std::vector<std::string> out;
  ClickHouseTokens tokens(sql);
  for (SqlToken token = tokens.next();; token = tokens.next()) {
    if (token.kind == SqlTokenKind::kEnd) return out;
    if (token.kind == SqlTokenKind::kBroken) {
      out.emplace_back("<broken>");
      return out;
    }
    out.emplace_back(token.text);
  }
}

using Words = std::vector<std::string>;

TEST(ClickHouseTokens, QuotesAndComments) {
  EXPECT_EQ(words("SELECT a.b, 'it''s; \\' x' -- not; this\n, /* ; */ `c``d`"),
            (Words{"SELECT", "a", ".", "b", ",", "'it''s; \\' x'", ",", "`c``d`"}));
  EXPECT_EQ(words("# x\n#!y\n1e5"), Words{"1e5"});
  EXPECT_EQ(words("$$a;'$$ $t$b$$c$t$ $1"), (Words{"$$a;'$$", "$t$b$$c$t$", "$", "1"}));
  EXPECT_EQ(words("a 'open"), (Words{"a", "<broken>"}));
  EXPECT_EQ(words("a /* open"), (Words{"a", "<broken>"}));
  EXPECT_EQ(words("'\\"), Words{"<broken>"});
  EXPECT_EQ(words(""), Words{});
}

TEST(ClickHouseTokens, StatementsAreSplitAtTheirFormat) {
  auto split = [](std::string_view sql) {
    StatementParts parts = split_statement(sql);
    return std::string(parts.body) + "|" + std::string(parts.format) + "|" + std::string(parts.rest);
  };
  EXPECT_EQ(split(" SELECT 1 FORMAT JSON ; "), "SELECT 1 |JSON|");
  EXPECT_EQ(split("SELECT 1;"), "SELECT 1||");
  EXPECT_EQ(split("SELECT 1 FORMAT JSON SETTINGS a = 1"), "SELECT 1 |JSON|SETTINGS a = 1");
  EXPECT_EQ(split("SELECT format FROM t"), "SELECT format FROM t||");
  EXPECT_EQ(split("SELECT format x, 1 FORMAT CSV"), "SELECT format x, 1 |CSV|");
  EXPECT_EQ(split("SELECT 'FORMAT JSON'"), "SELECT 'FORMAT JSON'||");
  EXPECT_EQ(split("SELECT (SELECT 1 FORMAT JSON)"), "SELECT (SELECT 1 FORMAT JSON)||");
  EXPECT_EQ(split("SELECT 1; SELECT 2"), "SELECT 1; SELECT 2||");
  EXPECT_TRUE(split_statement("SELECT 'x").broken);
  EXPECT_EQ(split_statement("-- c\n(SELECT 1)").first_word, "(");
}

TEST(ClickHouseTokens, QuotingKeepsAnyBytes) {
  EXPECT_EQ(quote_identifier("a`b\\c"), "`a\\`b\\\\c`");
  EXPECT_EQ(quote_text("it's \\"), "'it\\'s \\\\'");
}

}  // namespace
}  // namespace tributary
