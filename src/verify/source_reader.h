// Reads a client's PostgreSQL for the validator: catalog, and rows by COPY in snapshots. Only reads: every transaction is
// READ ONLY.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "verify/source_characters.h"
#include "verify/tab_separated.h"
#include "verify/value_types.h"

struct pg_conn;

namespace tributary {

struct SourceTable {
  std::string quoted;  // "public"."orders", with ONLY before it where its children are tables of their own
  std::vector<SourceColumn> columns;  // without generated ones, which a log does not carry
  std::vector<std::string> key;  // of the replica identity's index, else the primary key; may be empty
};

// Not thread-safe. After an error of kUnavailable the connection is gone.
class SourceReader {
 public:
  // Without `sslmode` in the URL, a loopback or Unix-socket connection may be plain; any other is verified.
  static Result<std::unique_ptr<SourceReader>> connect(const std::string& url, const std::string& password);
  ~SourceReader();
  SourceReader(const SourceReader&) = delete;
  SourceReader& operator=(const SourceReader&) = delete;

  // `table` is "schema.table".
  Result<SourceTable> describe(const std::string& table);

  // Opens a snapshot and gives a log position at or after the commit of everything that it sees.
  Result<uint64_t> begin_snapshot();
  Status end_snapshot();

  // What fails between these two leaves the snapshot as it was, unless the connection is gone.
  Status begin_part();
  Status end_part(bool done);

  // Rows of `select` in the open snapshot, `columns` texts each.
  Status copy(const std::string& select, size_t columns, const TabSeparatedReader::Visit& visit);

  std::string literal(std::string_view text) const;

 private:
  explicit SourceReader(pg_conn* connection) : connection_(connection) {}

  Result<std::vector<std::vector<std::string>>> query(const std::string& sql);
  Error connection_error(std::string_view what) const;

  Status set_up();

  pg_conn* connection_;
  std::string sqlstate_;  // of the newest query that was refused
  SourceCharacters characters_;
};

}  // namespace tributary
