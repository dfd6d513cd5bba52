// PostgreSQL's text form of values into column cells. One parser a type serves streaming, peeking and snapshots, which
// therefore agree by construction.
//
// The text must have been written under the session settings of `postgres_text_settings`: the parsers read that one
// form. A text that the column's type cannot hold (NaN in a numeric, infinity, a year beyond the type) is kept as
// CellState::kText, never dropped and never rounded.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/column.h"

namespace tributary {

// "SET" statements that fix the text form, for every session that reads values.
inline constexpr std::string_view postgres_text_settings =
    "SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET extra_float_digits = 1; "
    "SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmlbinary = 'base64'; SET quote_all_identifiers = off; "
    "SET client_encoding = 'UTF8'";

// The type in which values of a PostgreSQL type travel. `type` is the base type where it is a domain; `modifier` is
// atttypmod (docs/types.md, "PostgreSQL types").
//
//   postgres_logical_type(1700, ((12 << 16) | 2) + 4)   → decimal(12,2)
LogicalType postgres_logical_type(uint32_t type, int32_t modifier);

// Appends `text` as a cell of `column`.
void append_postgres_text(Column& column, std::string_view text);

}  // namespace tributary
