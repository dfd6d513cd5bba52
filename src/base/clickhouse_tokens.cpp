#include "base/clickhouse_tokens.h"

#include <cctype>

namespace tributary {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

std::string quote(std::string_view text, char mark) {
  std::string out(1, mark);
  for (char c : text) {
    if (c == mark || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back(mark);
  return out;
}

}  // namespace

bool SqlToken::is_word(std::string_view keyword) const {
  if (kind != SqlTokenKind::kWord || text.size() != keyword.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::toupper(static_cast<unsigned char>(text[i])) != keyword[i]) return false;
  }
  return true;
}

bool ClickHouseTokens::skip_blanks() {
  while (at_ < sql_.size()) {
    std::string_view rest = sql_.substr(at_);
    if (is_space(rest[0])) {
      ++at_;
    } else if (rest.starts_with("--") || rest.starts_with("#!") || rest.starts_with("# ")) {
      size_t end = sql_.find('\n', at_);
      at_ = end == std::string_view::npos ? sql_.size() : end + 1;
    } else if (rest.starts_with("/*")) {
      size_t end = sql_.find("*/", at_ + 2);
      if (end == std::string_view::npos) return false;
      at_ = end + 2;
    } else {
      return true;
    }
  }
  return true;
}

// Past the closing quote; npos without one. A quote is kept by doubling it or after a backslash.
size_t ClickHouseTokens::quoted_end(size_t begin) const {
  char mark = sql_[begin];
  for (size_t i = begin + 1; i < sql_.size(); ++i) {
    if (sql_[i] == '\\') {
      ++i;
    } else if (sql_[i] == mark) {
      if (i + 1 >= sql_.size() || sql_[i + 1] != mark) return i + 1;
      ++i;
    }
  }
  return std::string_view::npos;
}

SqlToken ClickHouseTokens::token(SqlTokenKind kind, size_t end) {
  SqlToken result{kind, sql_.substr(at_, end - at_), at_};
  if (kind != SqlTokenKind::kBroken) at_ = end;
  return result;
}

SqlToken ClickHouseTokens::next() {
  if (!skip_blanks()) return token(SqlTokenKind::kBroken, at_);
  if (at_ >= sql_.size()) return token(SqlTokenKind::kEnd, at_);
  char c = sql_[at_];
  if (c == '\'' || c == '`' || c == '"') {
    size_t end = quoted_end(at_);
    if (end == std::string_view::npos) return token(SqlTokenKind::kBroken, at_);
    return token(c == '\'' ? SqlTokenKind::kString : SqlTokenKind::kQuotedIdentifier, end);
  }
  auto word_end = [&](size_t i) {
    while (i < sql_.size() && (is_word_start(sql_[i]) || is_digit(sql_[i]) || sql_[i] == '$')) ++i;
    return i;
  };
  if (is_word_start(c)) return token(SqlTokenKind::kWord, word_end(at_));
  if (is_digit(c)) return token(SqlTokenKind::kNumber, word_end(at_));
  if (c == '$') {  // $tag$ … $tag$
    size_t second = sql_.find('$', at_ + 1);
    if (second != std::string_view::npos && word_end(at_ + 1) > second) {
      std::string_view mark = sql_.substr(at_, second + 1 - at_);
      size_t end = sql_.find(mark, second + 1);
      if (end == std::string_view::npos) return token(SqlTokenKind::kBroken, at_);
      return token(SqlTokenKind::kString, end + mark.size());
    }
  }
  return token(SqlTokenKind::kSymbol, at_ + 1);
}

StatementParts split_statement(std::string_view sql) {
  StatementParts parts;
  ClickHouseTokens tokens(sql);
  SqlToken first = tokens.next();
  parts.first_word = first.text;
  int depth = 0;
  size_t end = first.begin;  // of the last token but a final ";"
  // A FORMAT clause is FORMAT, a name, and then the end or SETTINGS: anything else after the name unmakes it.
  SqlToken format;
  SqlToken name;
  size_t rest_begin = 0;
  for (SqlToken token = first; token.kind != SqlTokenKind::kEnd; token = tokens.next()) {
    if (token.kind == SqlTokenKind::kBroken) {
      parts.broken = true;
      break;
    }
    if (token.is_symbol('(')) ++depth;
    if (token.is_symbol(')')) --depth;
    if (token.is_symbol(';') && depth == 0) continue;
    end = token.end();
    if (depth == 0 && token.is_word("FORMAT") && format.text.empty()) {
      format = token;
    } else if (!format.text.empty() && name.text.empty()) {
      if (token.kind == SqlTokenKind::kWord)
        name = token;
      else
        format = {};
    } else if (!name.text.empty() && rest_begin == 0) {
      if (token.is_word("SETTINGS")) {
        rest_begin = token.begin;
      } else {
        bool again = token.is_word("FORMAT");
        format = again ? token : SqlToken{};
        name = {};
      }
    }
  }
  if (name.text.empty()) {
    parts.body = sql.substr(first.begin, end - first.begin);
    return parts;
  }
  parts.body = sql.substr(first.begin, format.begin - first.begin);
  parts.format = name.text;
  if (rest_begin != 0) parts.rest = sql.substr(rest_begin, end - rest_begin);
  return parts;
}

std::string quote_identifier(std::string_view name) { return quote(name, '`'); }
std::string quote_text(std::string_view text) { return quote(text, '\''); }

}  // namespace tributary
