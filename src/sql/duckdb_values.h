// Our columns as DuckDB's vectors and back (docs/sql.md has the table of types).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/column.h"
#include "sql/duckdb_handles.h"

namespace tributary {

// The type by which expressions see a column of ours: decimals as DECIMAL, big decimals as VARCHAR, JSON as JSON.
DuckDbType duckdb_type_of(LogicalType type);

// What becomes of an expression's result.
struct ResultType {
  LogicalType type;
  std::string cast;    // the SQL type to cast the expression to first; empty: none
  std::string native;  // the type before that cast, where casting back gives the same value: "HUGEINT"
};
ResultType result_type_of(duckdb_logical_type type);

// Writes the rows [first, first + count) of `column`, or those of `selection` where it is not null, into the first
// `count` rows of `vector`, whose type is duckdb_type_of(column.type()). Texts are not copied: `column` outlives the use of
// the vector. Cells that are no value become NULL.
void write_vector(const Column& column, const uint32_t* selection, size_t first, size_t count, duckdb_vector vector);

// Gathers a result column, chunk by chunk; then finish() makes the column. Infinite dates and timestamps, which our types
// do not have, become cells held as text.
class ResultColumn {
 public:
  explicit ResultColumn(LogicalType type) : type_(type), width_(type.fixed_width()) {}

  // kInvalidInput where the column's text would pass 4 GiB, which is all that a Column holds.
  Status append_vector(duckdb_vector vector, size_t count);
  Column finish() &&;

 private:
  void append_decimals(const void* data, size_t count);
  void append_uuids(const char* data, size_t count);
  Status append_strings(const duckdb_string_t* strings, const uint64_t* validity, size_t count);
  void mark_infinite(size_t first);

  LogicalType type_;
  size_t width_;
  std::vector<CellState> states_;
  std::string fixed_;
  std::string bytes_;
  std::vector<uint32_t> ends_;
  std::vector<Column::TextCell> texts_;
};

}  // namespace tributary
