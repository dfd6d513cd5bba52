// What the validator does to a view's SQL before it runs it: attributes become constants, aggregates and the first rows of
// partitions are made exact (aggregate_rewrite.h), and a view of one row of one domain carries that row's number along. All
// of it is done in the tree of DuckDB's own parser (json_serialize_sql), which is printed back only where that is proved to
// lose nothing: printing turns 1.5e0 into the decimal 1.5.
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
  std::string answer;  // what to write after FROM to have the view's rows
  std::vector<std::string> relations;  // all that it reads, in lower case: domains and other views
  std::optional<std::set<std::string>>
      used;  // names of columns that the SQL names, in lower case; nullopt: a * is in it
  std::set<size_t> exact_averages;  // columns of the result that are averages of integers or decimals
  // A function of one row of one domain, relations[0]. Then there are also `rows`, which has row_column and texts_column
  // behind the view's own columns and reads the domain from the schema "source", which has those; and `piece`, which reads it
  // from the schema "piece".
  bool by_row = false;
  std::string rows;
  std::string piece;
  std::vector<std::optional<std::string>> passed;  // by_row: per result column, the relation's column that it is
  std::set<std::string> computed;  // by_row: columns of the relation used by other result columns
};

// `relation_columns`: columns by relation, of all relations that there are (in lower case as DuckDB compares names), which
// exist in the database, maybe empty; `domains` are those that are domains. An error is DuckDB's, or names an attribute that
// the client does not have. Where a relation does not exist only `relations` is given.
Result<PreparedView> prepare_view(ScratchDatabase& database, const std::string& sql,
                                  const std::map<std::string, std::vector<std::string>>& relation_columns,
                                  const std::set<std::string>& domains, const std::vector<VerifyAttribute>& attributes);

std::string lower_case(std::string_view text);  // ASCII, as DuckDB compares names

}  // namespace tributary
