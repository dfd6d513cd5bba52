#include "verify/tab_separated.h"

#include <fmt/format.h>

#include <algorithm>

namespace tributary {
namespace {

char unescape(char code) {
  switch (code) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case '0': return '\0';
    default: return code;  // itself: backslash, quotes
  }
}

}  // namespace

Status TabSeparatedReader::feed(std::string_view piece) {
  while (!piece.empty()) {
    size_t end = piece.find('\n');
    if (end == std::string_view::npos) {
      open_.append(piece);
      if (open_.size() > line_bytes_max) {
        return Error{ErrorCode::kResourceExhausted, fmt::format("row {} is longer than 1 GiB", rows_ + 1)};
      }
      return {};
    }
    if (open_.empty()) {
      RETURN_IF_ERROR(line(piece.substr(0, end)));
    } else {
      open_.append(piece.substr(0, end));
      RETURN_IF_ERROR(line(open_));
      open_.clear();
    }
    piece.remove_prefix(end + 1);
  }
  return {};
}

Status TabSeparatedReader::finish() {
  if (open_.empty()) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("the answer ends in the middle of row {}: {}", rows_ + 1, open_.substr(0, 300))};
}

Status TabSeparatedReader::line(std::string_view text) {
  ++rows_;
  cells_.clear();
  unescaped_.clear();
  unescaped_.reserve(text.size());  // so that views into it stay
  size_t begin = 0;
  while (true) {
    size_t end = std::min(text.find('\t', begin), text.size());
    std::string_view cell = text.substr(begin, end - begin);
    if (cell == "\\N") {
      cells_.push_back(std::nullopt);
    } else if (cell.find('\\') == std::string_view::npos) {
      cells_.push_back(cell);
    } else {
      size_t start = unescaped_.size();
      for (size_t i = 0; i < cell.size(); ++i) {
        bool escape = cell[i] == '\\' && i + 1 < cell.size();
        unescaped_.push_back(escape ? unescape(cell[++i]) : cell[i]);
      }
      cells_.push_back(std::string_view(unescaped_).substr(start));
    }
    if (end == text.size()) break;
    begin = end + 1;
  }
  if (cells_.size() != columns_) {
    return Error{ErrorCode::kCorrupt, fmt::format("row {} has {} columns and not {}: {}", rows_, cells_.size(),
                                                  columns_, text.substr(0, 300))};
  }
  return visit_(cells_);
}

}  // namespace tributary
