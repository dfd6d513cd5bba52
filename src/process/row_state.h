// RowState: all that is known of one row key, as a join of facts.
//
// Merging is commutative, associative and idempotent (a join semilattice), so any order, duplication and grouping of
// the same facts gives the same state:
//   floor     the greatest position through which everything is void: a delete, the edge of a range fact, or what was
//             under the key just before its row was created
//   position  the greatest position of a fact about the row above the floor
//   cells     per column, the value with the greatest (position, origin) above the floor; a value of the fact itself, which
//             has no origin, counts as the greatest
//
// A cell's position is the row's unless the row's newest fact left the value out. `origin` orders values that came along
// with a key change: they count as of the change, and the value that was newest under the old key wins.
//
// A row is live when a fact is above the floor, and complete when no cell is absent. A live row that is not complete is
// parked: never emitted, read again from the source.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/event_batch.h"

namespace tributary {

struct CellValue {
  CellState state = CellState::kAbsent;
  Position position;  // meaningless while absent
  Position origin;  // zero but for values moved by a key change; an absent cell that has one was withdrawn
  std::string bytes;  // kValue: the column's bytes (fixed types: width bytes); kText: the text

  friend bool operator==(const CellValue&, const CellValue&) = default;
};

// A row that left this key for another one, taking the values with it that its new fact leaves out. Where facts of one key come
// in order that is exact. An older fact that comes late withdraws them, and the row is read again.
struct RowMove {
  Position position;
  std::string to_key;
  friend bool operator==(const RowMove&, const RowMove&) = default;
};

struct RowState {
  static constexpr size_t moves_max = 4;  // older ones are forgotten: their rows are read again if they lack a value

  Position floor;
  Position position;  // zero: not live
  uint32_t fill = 0;  // times that the values under `position` changed after they were complete
  SchemaPtr schema;  // of `cells`; null while there are none
  std::vector<CellValue> cells;  // schema->columns.size()
  std::vector<RowMove> moves;  // ascending by position

  bool live() const { return position != Position{}; }
  bool complete() const;

  std::string encode() const;
  // `find_schema(version)` gives the schema of the table that the state was written under.
  template <typename FindSchema>
  static Result<RowState> decode(std::string_view bytes, FindSchema&& find_schema);
};

// What stored bytes say of a row without being decoded.
struct StoredRow {
  Position floor;
  Position position;  // zero: not live
  uint32_t fill = 0;
  uint32_t schema_version = 0;  // of the cells; 0: there are none
  bool plain =
      true;  // no moves, and no cell with a position or origin of its own: all that is known is older than `position`
  bool whole = true;  // no cell is absent

  static Result<StoredRow> read(std::string_view bytes);  // all of them, or kCorrupt
};

// The cells of stored bytes, of a state with `schema`: views into `bytes`.
struct StoredCell {
  CellState state = CellState::kAbsent;
  std::string_view bytes;
};
Status read_stored_cells(std::string_view bytes, const TableSchema& schema, std::vector<StoredCell>& cells);

// RowState::encode() of a state that one fact without absent values makes, with its floor.
std::string encode_whole_row(const Position& floor, const EventBatch& batch, size_t row);

// Values that a key change carried to another key: a fact about that key.
struct MovedValues {
  std::string to_key;
  Position position;  // of the key change
  SchemaPtr schema;
  std::vector<CellValue> cells;  // absent where there is nothing to carry
};

// Merges row `row` of `batch` into `state`. Values that must follow a key change are appended to `moved`.
void merge_fact(RowState& state, const EventBatch& batch, size_t row, std::vector<MovedValues>& moved);

// Merges values that came along with a key change. Where the row has moved on, they are sent after it.
void merge_moved(RowState& state, const MovedValues& values, std::vector<MovedValues>& moved);

// Everything through `floor` is void.
void raise_floor(RowState& state, const Position& floor);

// The greatest position less than `position`. Not for the zero position.
Position predecessor(const Position& position);

// Changes the layout of `state` to `schema`: cells go by column name; where a type differs the value is converted if it is
// exact, else it is absent.
void change_schema(RowState& state, const SchemaPtr& schema);

namespace internal {
Result<RowState> decode_row_state(std::string_view bytes, uint32_t& schema_version);
Status finish_row_state(RowState& state, SchemaPtr schema);
}  // namespace internal

template <typename FindSchema>
Result<RowState> RowState::decode(std::string_view bytes, FindSchema&& find_schema) {
  uint32_t version = 0;
  ASSIGN_OR_RETURN(RowState state, internal::decode_row_state(bytes, version));
  if (version != 0) {
    ASSIGN_OR_RETURN(SchemaPtr schema, find_schema(version));
    RETURN_IF_ERROR(internal::finish_row_state(state, std::move(schema)));
  }
  return state;
}

}  // namespace tributary
