// Two functions that the validator adds to its DuckDB, since DuckDB's own sums of doubles depend on the order of the rows,
// and its averages of decimals go through doubles:
//
//   exact_sum(DOUBLE) → DOUBLE, an aggregate: the exact sum, rounded once to the nearest double; NaN where a NaN or both
//       infinities are in it; NULL without values. exact_sum of 1e16, 1, −1e16 is 1.
//   exact_quotient(sum VARCHAR, count BIGINT) → DOUBLE: a decimal's text divided by count, rounded once; NULL for count 0.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "sql/duckdb_api.h"

namespace tributary {

Status add_exact_functions(duckdb_connection connection);

// What exact_quotient computes: exact_quotient("-10.00", 3) is the double nearest to −3.33….
double exact_quotient(std::string_view sum, uint64_t count);

}  // namespace tributary
