// Makes a view's batch SQL say exactly what the SQL means in the pipeline, where DuckDB would answer arbitrarily or inexactly:
//
//   sum(x) of doubles             → exact_sum(x): the exact sum, rounded once
//   avg(x) of doubles             → exact_sum(x) / count(x)
//   avg(x) of integers, decimals  → exact_quotient(sum(x), count(x)): the exact quotient, rounded once
//   arg_max(a, o)                 → of rows equal in o the least a, by arg_min(a, create_sort_key(o DESC, a ASC))
//   QUALIFY row_number() OVER (… ORDER BY o) = 1 → ORDER BY o, and then the select items, ascending, NULLs last
#pragma once

#include <nlohmann/json.hpp>
#include <set>

#include "verify/scratch_database.h"

namespace tributary {

// A view's SQL as DuckDB's json_serialize_sql gives it; an error is the SQL's.
Result<nlohmann::json> parse_sql(ScratchDatabase& database, std::string_view sql);

// What to write after FROM to read a tree's answer. It is SQL where DuckDB prints the tree so that it reads it back the
// same, which answers in pieces and spills; else json_execute_serialized_sql, which holds the whole answer in memory.
std::string readable(ScratchDatabase& database, const nlohmann::json& tree);

// Rewrites every SELECT in `tree`; all relations that it names exist in the database, maybe empty. Gives the columns of
// the result that are averages of integers or decimals and nothing else.
Result<std::set<size_t>> rewrite_aggregates(ScratchDatabase& database, nlohmann::json& tree);

}  // namespace tributary
