// Sums of decimals and HUGEINTs that the validator adds to its DuckDB, whose own sum fails, and with it the whole statement,
// where the sum of one group is beyond 128 bits:
//
//   wide_sum_S(DECIMAL(38,S)) → DECIMAL(38,S), wide_sum_integer(HUGEINT) → HUGEINT, aggregates: the sum as DuckDB's; beyond 128
//       bits the greatest or least number of 128 bits, which like any sum of more than 38 digits fits into no decimal
//       (view_evaluation.h marks such rows).
//   wide_text_S(DECIMAL(38,S)) → VARCHAR, wide_text_integer(HUGEINT) → VARCHAR: the sum's digits, however many, for averages.
//
// All are NULL without values.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "sql/duckdb_api.h"

namespace tributary {

Status add_wide_sums(duckdb_connection connection);

// Which of the functions takes an argument of this type: "DECIMAL(38,2)" → "2", "HUGEINT" → "integer". "" where DuckDB's own
// sum does not fail: "BIGINT", "DECIMAL(18,2)".
std::string wide_sum_suffix(std::string_view duckdb_type);

}  // namespace tributary
