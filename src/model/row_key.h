// Row key bytes: which row of its table a fact is about. Equal keys have equal bytes, whichever way the row was read,
// and integers of any width have the same bytes, so that widening a key column keeps its rows (docs/formats/row-key.md).
//
// Per key column, in the key's order, a tag byte and the value:
//   01 null · 02 integer: int64 big-endian with its sign bit flipped · 03 unsigned integer above int64: uint64 big-endian
//   04 bool: 1 byte · 05 float: IEEE 754 double, big-endian, order-preserving, −0 as 0, one NaN
//   06 decimal: normalized text, escaped · 07 date: as 02 · 08 timestamp, 09 timestamptz: microseconds as 02
//   0A uuid: 16 bytes · 0B text, 0C bytes: escaped (00 → 00 FF), ended by 00 00 · 0D held as text: escaped
//
// Integers, dates, timestamps, uuids, text and bytes order as their bytes; decimals do not.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/column.h"

namespace tributary {

// Appends the part of one key column. The cell must not be absent.
void append_key_part(std::string& out, const Column& column, size_t row);

// "(42, 'eu')": for people. Bytes that are no key are shown as hex.
std::string row_key_to_string(std::string_view key);

// The key columns' values as the source writes them, in the key's order; nullopt for NULL. Empty where the bytes are no key.
std::vector<std::optional<std::string>> row_key_values(std::string_view key);

// Stable hash that picks partitions: XXH3 64 of client, NUL, key. Other programs can compute it
// (docs/formats/partitioning.md).
uint64_t partition_hash(std::string_view client, std::string_view key);

}  // namespace tributary
