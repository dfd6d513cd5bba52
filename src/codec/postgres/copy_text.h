// COPY … TO STDOUT, both formats that capture reads. Format: PostgreSQL's documentation of COPY, "File Formats".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/postgres/pgoutput.h"

namespace tributary {

// Splits one line of text format ("1\tan\\nother\t\\N\n") into cells. Values without escapes are views into `line`, the
// others into `scratch`, whose earlier content is dropped. kCorrupt where the line has another number of cells.
Status split_copy_line(std::string_view line, size_t columns, std::vector<PgCell>& cells, std::string& scratch);

// Rows of (lsn pg_lsn, data bytea) in binary format, as pg_logical_slot_peek_binary_changes gives them.
class PeekRowReader {
 public:
  struct Row {
    uint64_t lsn = 0;
    std::string_view data;  // into the bytes given to read()
  };

  // `bytes` is what one CopyData message held: the file's header and a row, a row, or the trailer (nullopt).
  Result<std::optional<Row>> read(std::string_view bytes);

 private:
  bool header_read_ = false;
};

}  // namespace tributary
