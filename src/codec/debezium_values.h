// One value of a row as Debezium's JSON has it, and back: the connector's default modes, except
// decimal.handling.mode=string (docs/formats/event.md, "Values").
//
//   put_debezium_value(out, schema.columns[1], batch.columns[1], row);        → "12.50"
//   append_debezium_value(columns[1], schema.columns[1], value, spare);       ← "12.50"
//
// Pure. What JSON cannot say (put gives false) has to travel beside it.
#pragma once

#include <simdjson.h>

#include <string>

#include "model/event_batch.h"

namespace tributary {

// In place of a value that the source did not send (unchanged TOAST), as the connector's unavailable.value.placeholder.
constexpr std::string_view debezium_unavailable_value = "__debezium_unavailable_value";

// Whether a timestamp column is written in milliseconds: it has a precision of at most 3 digits.
bool debezium_in_millis(const ColumnSchema& column);

// The cell at `row`, which is a value. False where reading it back gives another value: bytes that are not UTF-8 in a
// text, microseconds of a column of milliseconds, a NaN with a payload.
bool put_debezium_value(std::string& out, const ColumnSchema& schema, const Column& column, size_t row);
// A cell held as text: the source's text.
void put_debezium_text(std::string& out, const Column& column, std::string_view text);
void put_debezium_unavailable(std::string& out, const Column& column);

// Appends a cell: null, a value, or, where the column's type has no such value, the text. The placeholder of a value that
// was not sent is an absent cell. kInvalidInput, with nothing appended: of another JSON type than the column's.
// `spare` is memory to be used again.
Status append_debezium_value(Column& column, const ColumnSchema& schema, simdjson::ondemand::value value,
                             std::string& spare);

}  // namespace tributary
