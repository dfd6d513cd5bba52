// The validator's own DuckDB database: in memory, bounded, and in a folder's files for what is above the bound.
//
// One thread. No statement reaches files, extensions or the network. Text is all that comes out: callers cast.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sql/duckdb_api.h"

namespace tributary {

using ScratchRow = std::vector<std::optional<std::string>>;

class ScratchDatabase {
 public:
  static Result<std::unique_ptr<ScratchDatabase>> open(const std::string& spill_directory, size_t memory_bytes_max);
  ~ScratchDatabase();
  ScratchDatabase(const ScratchDatabase&) = delete;
  ScratchDatabase& operator=(const ScratchDatabase&) = delete;

  // A statement on which DuckDB's optimizer breaks (an "INTERNAL Error") is run again without it.
  Status run(const std::string& sql);
  // All rows, whose columns are VARCHAR. More than `rows_max` is an error.
  Result<std::vector<ScratchRow>> rows(const std::string& sql, size_t rows_max = 1'000'000);
  // The one number (BIGINT) that `sql` answers.
  Result<uint64_t> number(const std::string& sql);
  // The one text that `sql`, with one text parameter, answers.
  Result<std::string> text(const std::string& sql, std::string_view parameter);

  duckdb_connection connection() { return connection_; }

 private:
  ScratchDatabase() = default;

  duckdb_database database_ = nullptr;
  duckdb_connection connection_ = nullptr;
};

// Appends rows to a table whose columns are all VARCHAR. Text that is no UTF-8 is stored as "<bytes HEX>", on both sides of a
// comparison alike.
class TextLoader {
 public:
  TextLoader(ScratchDatabase& database, std::string table, size_t columns);
  ~TextLoader();
  TextLoader(const TextLoader&) = delete;
  TextLoader& operator=(const TextLoader&) = delete;

  // As many cells as columns.
  Status add(std::span<const std::optional<std::string_view>> cells);
  // All rows added before are in the table. More may follow.
  Status flush();

 private:
  Status open();
  Status append_chunk();

  ScratchDatabase& database_;
  std::string table_;
  size_t columns_;
  duckdb_appender appender_ = nullptr;
  duckdb_data_chunk chunk_ = nullptr;
  std::vector<duckdb_vector> vectors_;
  size_t chunk_rows_ = 0;
};

std::string quote_duckdb_identifier(std::string_view name);  // for DuckDB and PostgreSQL: a"b → "a""b"
std::string quote_duckdb_text(std::string_view text);  // for DuckDB: it's → 'it''s'

}  // namespace tributary
