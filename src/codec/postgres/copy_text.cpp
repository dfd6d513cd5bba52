#include "codec/postgres/copy_text.h"

#include "base/bytes.h"

namespace tributary {
namespace {

// Undoes the escapes of one value. COPY writes only \b \f \n \r \t \v and \\; octal and hex forms are for reading files.
void unescape(std::string_view value, std::string& out) {
  for (size_t i = 0; i < value.size(); ++i) {
    char c = value[i];
    if (c != '\\' || i + 1 == value.size()) {
      out.push_back(c);
      continue;
    }
    switch (c = value[++i]) {
      case 'b': out.push_back('\b'); break;
      case 'f': out.push_back('\f'); break;
      case 'n': out.push_back('\n'); break;
      case 'r': out.push_back('\r'); break;
      case 't': out.push_back('\t'); break;
      case 'v': out.push_back('\v'); break;
      default: out.push_back(c); break;
    }
  }
}

constexpr std::string_view binary_signature("PGCOPY\n\377\r\n\0", 11);

}  // namespace

Status split_copy_line(std::string_view line, size_t columns, std::vector<PgCell>& cells, std::string& scratch) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  cells.clear();
  scratch.clear();
  scratch.reserve(line.size());  // views into it stay valid: unescaped values are never longer
  if (columns == 0 && line.empty()) return {};
  size_t begin = 0;
  while (true) {
    size_t end = line.find('\t', begin);
    std::string_view value = line.substr(begin, end == std::string_view::npos ? end : end - begin);
    if (value == "\\N") {
      cells.push_back({PgCell::Kind::kNull, {}});
    } else if (value.find('\\') == std::string_view::npos) {
      cells.push_back({PgCell::Kind::kText, value});
    } else {
      size_t at = scratch.size();
      unescape(value, scratch);
      cells.push_back({PgCell::Kind::kText, std::string_view(scratch).substr(at)});
    }
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  if (cells.size() == columns) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("a COPY line has {} values where {} were asked for", cells.size(), columns)};
}

Result<std::optional<PeekRowReader::Row>> PeekRowReader::read(std::string_view bytes) {
  // Made only where it is wanted: a message a row comes this way.
  auto corrupt = [&] {
    return Error{ErrorCode::kCorrupt, fmt::format("a binary COPY row of {} bytes does not decode", bytes.size())};
  };
  ByteReader reader(bytes);
  if (!header_read_) {
    if (reader.bytes(binary_signature.size()) != binary_signature) return corrupt();
    reader.u32_big();  // flags
    uint32_t extension = reader.u32_big();
    reader.bytes(extension);
    if (!reader.ok()) return corrupt();
    header_read_ = true;
    if (reader.at_end()) return std::optional<Row>();
  }
  auto fields = static_cast<int16_t>(reader.u16_big());
  if (reader.ok() && fields == -1 && reader.at_end()) return std::optional<Row>();
  Row row;
  if (fields != 2 || reader.u32_big() != 8) return corrupt();
  row.lsn = reader.u64_big();
  uint32_t size = reader.u32_big();
  row.data = reader.bytes(size);
  if (!reader.ok() || !reader.at_end()) return corrupt();
  return std::optional<Row>(row);
}

}  // namespace tributary
