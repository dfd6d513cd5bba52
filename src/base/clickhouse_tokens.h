// Tokens of ClickHouse's SQL: enough to find the clauses of a statement, without understanding it. The engine's HTTP
// front and the gate in front of clients' queries use it; what a statement means only ClickHouse's own parser decides.
//
//   ClickHouseTokens tokens("INSERT INTO t (a) FORMAT Native\n…");
//   tokens.next();   // word INSERT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tributary {

enum class SqlTokenKind {
  kWord,              // keyword, bare identifier
  kQuotedIdentifier,  // `a` or "a", with its quotes
  kString,            // 'a', $tag$a$tag$, with their quotes
  kNumber,
  kSymbol,            // one character
  kEnd,
  kBroken,            // a quote or comment that never closes
};

struct SqlToken {
  SqlTokenKind kind = SqlTokenKind::kEnd;
  std::string_view text;  // of the statement given
  size_t begin = 0;
  size_t end() const { return begin + text.size(); }

  // Case-insensitive, as keywords are. `keyword` in upper case.
  bool is_word(std::string_view keyword) const;
  bool is_symbol(char symbol) const { return kind == SqlTokenKind::kSymbol && text[0] == symbol; }
};

class ClickHouseTokens {
 public:
  explicit ClickHouseTokens(std::string_view sql, size_t from = 0) : sql_(sql), at_(from) {}
  // The next token, skipping spaces and comments. After kEnd and kBroken the same again.
  SqlToken next();

 private:
  bool skip_blanks();  // false: a comment never closes
  size_t quoted_end(size_t begin) const;
  SqlToken token(SqlTokenKind kind, size_t end);

  std::string_view sql_;
  size_t at_;
};

// A statement without its trailing ";", with its last FORMAT clause found.
//   "SELECT 1 FORMAT JSON;" → {.body = "SELECT 1", .format = "JSON"}
// A FORMAT followed by SETTINGS is found too; `body` then ends before FORMAT, and `rest` is "SETTINGS …".
struct StatementParts {
  std::string_view body;
  std::string_view format;
  std::string_view rest;
  std::string_view first_word;  // as written; "(" where it begins with one
  bool broken = false;          // does not even consist of tokens
};
StatementParts split_statement(std::string_view sql);

// `name` as a quoted identifier, `text` as a string literal: any bytes but NUL are kept.
std::string quote_identifier(std::string_view name);
std::string quote_text(std::string_view text);

}  // namespace tributary
