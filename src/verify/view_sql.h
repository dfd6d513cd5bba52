// What the validator does to a view's SQL before it runs it: attributes become constants, and a view of one row of one
// relation carries that row's number along. The SQL is taken apart by DuckDB's own parser (json_serialize_sql) and run as
// the tree it gave (json_execute_serialized_sql), never printed back: printing turns 1.5e0 into the decimal 1.5.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "verify/scratch_database.h"
#include "verify/verify.h"

namespace tributary {

// Columns that domains' tables have beside their own. No domain has columns of these names: those that begin with "_"
// end with "_".
inline constexpr const char* row_column = "__row";  // BIGINT: number of the row in its table
inline constexpr const char* texts_column =
    "__texts";  // VARCHAR: {"amount":"NaN"}, the values that their types cannot hold

struct PreparedView {
  std::string serialized;  // for json_execute_serialized_sql
  std::string serialized_piece;  // by_row: the same, reading the relation from the schema "piece"
  std::vector<std::string> relations;  // all that it reads, in lower case
  // A function of one row of one relation, relations[0]; its result has row_column and texts_column behind its own columns. It
  // reads the relation from the schema "source", which has those columns.
  bool by_row = false;
  std::vector<std::optional<std::string>> passed;  // by_row: per result column, the relation's column that it is
  std::set<std::string> computed;  // by_row: columns of the relation used by other result columns
};

// `relation_columns`: columns by relation, of all relations that there are (both in lower case as DuckDB compares names).
// An error is DuckDB's, or names an attribute that the client does not have.
Result<PreparedView> prepare_view(ScratchDatabase& database, const std::string& sql,
                                  const std::map<std::string, std::vector<std::string>>& relation_columns,
                                  const std::vector<VerifyAttribute>& attributes);

std::string lower_case(std::string_view text);  // ASCII, as DuckDB compares names

}  // namespace tributary
