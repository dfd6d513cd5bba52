#include <array>
#include <charconv>

#include "base/clickhouse_tokens.h"
#include "engine/query_handler.h"

namespace tributary {
namespace {

// After FORMAT and its name: blanks, and the end of that line.
size_t data_after(std::string_view sql, size_t at) {
  while (at < sql.size() && (sql[at] == ' ' || sql[at] == '\t' || sql[at] == '\r')) ++at;
  return at < sql.size() && sql[at] == '\n' ? at + 1 : at;
}

}  // namespace

InsertParts split_insert(std::string_view sql) {
  ClickHouseTokens tokens(sql);
  SqlToken token = tokens.next();
  if (!token.is_word("INSERT")) return {};
  size_t begin = token.begin;
  token = tokens.next();
  if (token.is_word("INTO")) token = tokens.next();
  if (token.is_word("TABLE")) token = tokens.next();
  // The table's name may be any word, also FORMAT: step over it, with its database.
  SqlToken after = tokens.next();
  if (after.is_symbol('.')) {
    tokens.next();
    after = tokens.next();
  }
  int depth = 0;
  for (token = after; token.kind != SqlTokenKind::kEnd && token.kind != SqlTokenKind::kBroken; token = tokens.next()) {
    if (token.is_symbol('(')) ++depth;
    if (token.is_symbol(')')) --depth;
    if (depth != 0) continue;
    if (token.is_word("SELECT") || token.is_word("WITH")) return {};
    std::string statement(sql.substr(begin, token.begin - begin));
    if (token.is_word("VALUES")) return {std::move(statement), "Values", token.end(), true};
    if (!token.is_word("FORMAT")) continue;
    SqlToken name = tokens.next();
    if (name.kind != SqlTokenKind::kWord) return {};
    if (name.is_word("VALUES")) return {std::move(statement), "Values", name.end(), true};
    return {std::move(statement), std::string(name.text), data_after(sql, name.end()), true};
  }
  return {};
}

int exception_code_of(std::string_view message) {
  constexpr std::string_view prefix = "Code: ";
  size_t at = message.find(prefix);
  int code = 0;
  if (at != std::string_view::npos) {
    const char* begin = message.data() + at + prefix.size();
    std::from_chars(begin, message.data() + message.size(), code);
  }
  return code > 0 ? code : 1002;
}

int http_status_of(int code) {
  switch (code) {
    case 194: return 401;                                          // REQUIRED_PASSWORD
    case 192:
    case 193:
    case 497:
    case 516: return 403;            // users, passwords, ACCESS_DENIED
    case 6:
    case 26:
    case 27:
    case 36:
    case 38:
    case 41:
    case 42:
    case 43:
    case 47:
    case 53:
    case 62:
    case 69:
    case 72:
    case 115:
    case 117:
    case 130:
    case 131:
    case 138:
    case 456:
    case 457: return 400;  // what was sent is wrong
    case 16:
    case 46:
    case 60:
    case 73:
    case 81: return 404;       // unknown column, function, table, format, database
    case 48: return 501;                                           // NOT_IMPLEMENTED
    case 159: return 408;                                          // TIMEOUT_EXCEEDED
    case 202:
    case 203: return 503;                                // too many queries
    default: return 500;
  }
}

}  // namespace tributary
