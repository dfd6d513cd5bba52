// Cells as bytes, for keyed state: a row's values behind each other, and values whose bytes order as the values do.
//
//   std::string row;
//   append_cells(row, columns, 3);                       // all columns of row 3
//   read_cells(reader, columns);                         // appends them to columns of the same types
//
// docs/formats/state.md has both formats.
#pragma once

#include <span>
#include <string>

#include "base/bytes.h"
#include "model/column.h"

namespace tributary {

// One cell: u8 state, then for values the fixed bytes or a string, for cells held as text the text. Not for absent cells.
void append_cell(std::string& out, const Column& column, size_t row);
void append_cells(std::string& out, std::span<const Column> columns, size_t row);

// Appends what append_cell(s) wrote to columns of the same types. False (and the reader's ok() too) where it does not fit.
bool read_cell(ByteReader& reader, Column& column);
bool read_cells(ByteReader& reader, std::span<Column> columns);

// Appends a cell's place in the order of its type, as bytes of which none is the beginning of another: false before true,
// numbers by size, NaN above all of them, texts by their UTF-8 bytes; then cells held as text, by the text. NULLs first or
// last. `descending` turns the order of values around, not the place of NULLs.
void append_ordered(std::string& out, const Column& column, size_t row, bool descending, bool nulls_first);

}  // namespace tributary
