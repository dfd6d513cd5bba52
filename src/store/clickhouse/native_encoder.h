// A batch of a view's rows as ClickHouse's Native format, with the list of its columns in front, so that it can be
// inserted later, by another process, into a table that has grown meanwhile (docs/formats/analytics-insert.md).
//
// Source of the format: ClickHouse's documentation, "Native format": per block the counts of columns and rows as
// varints; per column its name, its type's name and its values, little-endian, column after column. Nullable is a byte
// a row (1: NULL) and then all values; Map is the end of each row's entries (UInt64), all keys, all values.
//
// What a column's type cannot hold is NULL (the type's zero where it is not nullable), and its text is in
// _unrepresentable under the column's name: cells held as text, dates outside 1900-01-01 to 2299-12-31, decimals with
// more digits than the type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contracts/analytics.h"

namespace tributary {

// kInvalidInput when `rows` does not have the table's columns; kInternal for absent cells.
Result<std::string> encode_rows(const TableDefinition& table, const OutputBatch& rows);

// Both views into the encoded bytes.
struct EncodedRows {
  std::string_view columns;  // equal bytes: equal column lists
  std::string_view block;
  std::vector<std::string> column_names() const;
};
// kCorrupt where the bytes were not made by encode_rows.
Result<EncodedRows> open_encoded(std::string_view encoded);

}  // namespace tributary
