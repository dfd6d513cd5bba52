#include "capture/postgres/row_key_sql.h"

#include <bit>

#include "base/bytes.h"
#include "model/type.h"

namespace tributary {
namespace {

constexpr uint64_t sign_bit = uint64_t{1} << 63;

std::string read_escaped(ByteReader& reader) {
  std::string out;
  while (reader.ok()) {
    char c = static_cast<char>(reader.u8());
    if (c == '\0' && reader.u8() != 0xFF) break;
    out.push_back(c);
  }
  return out;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("{:02x}", c);
  return out;
}

// PostgreSQL writes years before 1 as "0044-03-15 BC".
std::string date_text(int64_t days, std::string_view time) {
  CivilDate date = civil_from_days(days);
  bool bc = date.year < 1;
  return fmt::format("{:04}-{:02}-{:02}{}{}", bc ? 1 - date.year : date.year, date.month, date.day, time,
                     bc ? " BC" : "");
}

std::string timestamp_text(int64_t micros) {
  constexpr int64_t day_micros = 86'400'000'000;
  int64_t days = micros / day_micros - (micros % day_micros < 0);
  int64_t rest = micros - days * day_micros;
  return date_text(days, fmt::format(" {:02}:{:02}:{:02}.{:06}", rest / 3'600'000'000, rest / 60'000'000 % 60,
                                     rest / 1'000'000 % 60, rest % 1'000'000));
}

// The value of one key part as text; the tags are those of model/row_key.h.
std::optional<std::string> read_part(ByteReader& reader, bool& null) {
  null = false;
  auto integer = [&] { return static_cast<int64_t>(reader.u64_big() ^ sign_bit); };
  switch (reader.u8()) {
    case 1: null = true; return std::string();
    case 2: return fmt::format("{}", integer());
    case 3: return fmt::format("{}", reader.u64_big());
    case 4: return reader.u8() != 0 ? "true" : "false";
    case 5: {
      uint64_t bits = reader.u64_big();
      return fmt::format("{}", std::bit_cast<double>((bits & sign_bit) != 0 ? bits ^ sign_bit : ~bits));
    }
    case 7: return date_text(integer(), "");
    case 8: return timestamp_text(integer());
    case 9: return timestamp_text(integer());  // the session's time zone is UTC
    case 10: return hex(reader.bytes(16));
    case 12: return "\\x" + hex(read_escaped(reader));
    case 6:
    case 11:
    case 13: return read_escaped(reader);
    default: return std::nullopt;
  }
}

// A byte without a character cannot be sent as text.
std::string text_sql(const std::string& value, const ServerText& text) {
  std::optional<std::string> bytes = text.bytes_without_characters(value);
  return bytes ? fmt::format("convert_from('\\x{}', 'SQL_ASCII')", hex(*bytes)) : quote_pg_literal(value);
}

}  // namespace

std::optional<std::string> row_key_condition(const CatalogTable& table, std::string_view key, const ServerText& text) {
  ByteReader reader(key);
  std::string condition;
  for (const std::string& name : table.key) {
    const CatalogColumn* column = nullptr;
    for (const CatalogColumn& candidate : table.columns) {
      if (candidate.column.name == name) column = &candidate;
    }
    bool null = false;
    std::optional<std::string> value = read_part(reader, null);
    if (!value || !reader.ok() || column == nullptr) return std::nullopt;
    condition += fmt::format(
        "{}{} {}", condition.empty() ? "(" : " AND ", quote_pg_identifier(name),
        null ? "IS NULL" : fmt::format("{} {}::{}", column->equals, text_sql(*value, text), column->type.name));
  }
  if (!reader.at_end() || condition.empty()) return std::nullopt;
  return condition + ")";
}

}  // namespace tributary
