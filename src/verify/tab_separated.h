// Rows of tab-separated text with backslash escapes, from bytes that come in pieces. Both sides of a comparison speak it:
// PostgreSQL's COPY in text format (documentation of COPY, "Text Format") and ClickHouse's TabSeparated.
//
//   1\ta\\tb\t\\N\n   →   "1", "a<TAB>b", NULL
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tributary {

class TabSeparatedReader {
 public:
  using Row = std::span<const std::optional<std::string_view>>;
  // The cells live during the call.
  using Visit = std::function<Status(Row)>;

  TabSeparatedReader(size_t columns, Visit visit) : columns_(columns), visit_(std::move(visit)) {}

  // After an error, of ours or of the visitor, nothing more is read.
  Status feed(std::string_view piece);
  // At the end: an error where the last row is cut.
  Status finish();
  uint64_t rows() const { return rows_; }

 private:
  static constexpr size_t line_bytes_max = size_t{1} << 30;  // a value in PostgreSQL has at most 1 GiB

  Status line(std::string_view text);

  size_t columns_;
  Visit visit_;
  std::string open_;  // the beginning of a line whose end has not come
  std::string unescaped_;
  std::vector<std::optional<std::string_view>> cells_;
  uint64_t rows_ = 0;
};

}  // namespace tributary
