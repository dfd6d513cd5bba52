#include "capture/postgres/server_encoding.h"

#include <vector>

namespace tributary {
namespace {

constexpr size_t first_byte = 0x80;

std::string convert_sql(const std::string& encoding, size_t begin, size_t end) {
  std::string bytes;
  for (size_t byte = begin; byte < end; ++byte) bytes += fmt::format("{:02x}", first_byte + byte);
  return fmt::format("SELECT convert('\\x{}'::bytea, {}, 'UTF8')", bytes, quote_pg_literal(encoding));
}

// "\xc3a9c2a3" → "é", "£". False: there are not `count` of them.
bool split_characters(std::string_view hex, std::string* out, size_t count) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  if (!hex.starts_with("\\x")) return false;
  std::string* end = out + count;
  for (size_t i = 2; i + 1 < hex.size(); i += 2) {
    int byte = digit(hex[i]) * 16 + digit(hex[i + 1]);
    bool continues = (byte & 0xC0) == 0x80;
    if (!continues && out == end) return false;
    if (!continues) (out++)->clear();
    (out - 1)->push_back(static_cast<char>(byte));
  }
  return out == end;
}

}  // namespace

asio::awaitable<Result<ServerText>> find_server_text(PgConnection& connection) {
  std::string encoding = connection.server_encoding();
  if (!is_single_byte_encoding(encoding)) co_return ServerText();
  ServerText::Characters characters;
  std::vector<std::pair<size_t, size_t>> ranges = {{0, characters.size()}};
  while (!ranges.empty()) {
    auto [begin, end] = ranges.back();
    ranges.pop_back();
    std::string sql = convert_sql(encoding, begin, end);
    Result<PgRows> rows = co_await connection.query(sql);
    if (rows.ok()) {
      if (!split_characters(rows->text(0, 0), characters.data() + begin, end - begin)) {
        co_return Error{ErrorCode::kInternal, fmt::format("the characters of {} do not decode", encoding)};
      }
      continue;
    }
    bool no_character = connection.sqlstate() == "22P05" || connection.sqlstate() == "22021";
    if (!no_character) co_return rows.error();
    if (end - begin == 1) continue;
    size_t middle = begin + (end - begin) / 2;
    ranges.emplace_back(begin, middle);
    ranges.emplace_back(middle, end);
  }
  co_return ServerText(std::move(characters));
}

asio::awaitable<Status> take_server_bytes(PgConnection& connection, const ServerText& text) {
  if (!text.converts()) co_return Status();
  co_return co_await connection.execute("SET client_encoding = 'SQL_ASCII'");
}

}  // namespace tributary
