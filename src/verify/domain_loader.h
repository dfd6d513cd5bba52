// One domain of one client as a table of the scratch database: source.NAME, with row_column and texts_column before the
// domain's own columns, and the view main.NAME of the latter alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "verify/scratch_database.h"
#include "verify/source_reader.h"
#include "verify/verify.h"

namespace tributary {

struct DomainColumn {
  OutputColumn column;
  std::optional<SourceColumn> source;  // none: this client's table does not have it
};

struct DomainTable {
  std::string name;
  SourceTable table;
  std::vector<DomainColumn> columns;
  std::vector<size_t> key;  // into columns, in the key's order
  std::vector<std::string> notes;
  uint64_t rows = 0;
};

// Matches the domain's columns with the table's, by name; their names are told apart then.
Result<DomainTable> describe_domain(const VerifyDomain& domain, SourceTable table);

// DuckDB's names differ in more than case: "v" behind "V" becomes "v (2)". False: they all do.
bool tell_apart(std::vector<OutputColumn>& columns);

// Its tables, empty: enough for SQL to be bound.
Status create_domain(ScratchDatabase& database, DomainTable& domain);

struct DomainLoadOptions {
  const std::vector<VerifyKey>* keys = nullptr;  // these rows only
  uint64_t rows_per_second = 0;  // 0: unlimited
  std::function<Status(uint64_t rows)> progress;  // at least every second; an error ends the reading. May be empty
};

// Reads the domain's rows in the reader's open snapshot; replaces what the tables held.
Status load_domain(ScratchDatabase& database, SourceReader& reader, DomainTable& domain,
                   const DomainLoadOptions& options);

// JSON pointer (RFC 6901) to a member: a/b → /a~1b, as SQL text.
std::string member_path(std::string_view name);

// SQL: a column of source.NAME as PostgreSQL's text, also where its type cannot hold the value.
std::string source_text_of(const DomainColumn& column);

}  // namespace tributary
