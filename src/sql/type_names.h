// Our types' names in DuckDB's SQL.
#pragma once

#include <string>

#include "model/type.h"

namespace tributary {

// Without what is in parentheses: "DECIMAL". What DuckDB sees as text is VARCHAR, JSON among it.
const char* duckdb_type_name(TypeId type);

// The whole type, as in CAST(x AS …): "DECIMAL(12,2)", "JSON".
std::string duckdb_type_text(const LogicalType& type);

}  // namespace tributary
