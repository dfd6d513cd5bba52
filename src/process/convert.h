// Exact conversions between logical types, for columns that were widened.
#pragma once

#include "model/column.h"

namespace tributary {

// Appends the cell at `row` of `from` to `to`, converted to its type. True where the value is the same in both types
// (or is null, absent or held as text); else false, with the cell appended as text: nothing is lost or rounded.
bool append_converted(Column& to, const Column& from, size_t row);

// The text of a value, as the source would write it: for widening to text.
std::string value_to_text(const Column& column, size_t row);

}  // namespace tributary
