#include "process/row_state.h"

#include <algorithm>
#include <tuple>

#include "base/bytes.h"
#include "process/convert.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;

// Of a withdrawn value: above every value that came along with the same key change.
constexpr Position last_origin{UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};

enum CellFlags : uint8_t { kStateMask = 3, kOwnPosition = 4, kHasOrigin = 8 };

Position read_position(ByteReader& reader) {
  return Position::decode(reader.bytes(Position::encoded_bytes)).value_or(Position{});
}

// A value that the row's own fact carries comes before all that came along with a key change on the same position.
auto order_of(const CellValue& cell) {
  bool own = cell.state != CellState::kAbsent && cell.origin == Position{};
  return std::tuple(cell.position, own, cell.origin, cell.state, std::string_view(cell.bytes));
}

// Whether `offered` takes the place of `held`. The last two parts of the order only break ties between two reads of one
// row under one position, so that the outcome does not depend on their order.
// A plain absent cell has the zero position, so it loses against everything.
bool wins(const CellValue& offered, const CellValue& held) { return order_of(held) < order_of(offered); }

CellValue cell_of(const Column& column, size_t row, const Position& position) {
  CellValue cell;
  cell.state = column.state(row);
  if (cell.state != CellState::kAbsent) cell.position = position;
  if (cell.state == CellState::kValue) cell.bytes = column.bytes(row);
  if (cell.state == CellState::kText) cell.bytes = column.text(row);
  return cell;
}

void append_cell(Column& column, const CellValue& cell) {
  switch (cell.state) {
    case CellState::kValue: column.append_bytes(cell.bytes); break;
    case CellState::kText: column.append_text(cell.bytes); break;
    case CellState::kNull: column.append_null(); break;
    case CellState::kAbsent: column.append_absent(); break;
  }
}

// `cell` of type `from` as a cell of type `to`; absent where that would not be exact.
CellValue convert_cell(const CellValue& cell, const LogicalType& from, const LogicalType& to) {
  if (from == to || cell.state == CellState::kNull || cell.state == CellState::kAbsent) return cell;
  Column source(from);
  append_cell(source, cell);
  Column target(to);
  if (!append_converted(target, source, 0)) return {};
  CellValue converted = cell_of(target, 0, cell.position);
  converted.origin = cell.origin;
  return converted;
}

std::vector<CellValue> convert_cells(const std::vector<CellValue>& cells, const TableSchema& from,
                                     const TableSchema& to) {
  std::vector<CellValue> converted(to.columns.size());
  for (size_t i = 0; i < to.columns.size(); ++i) {
    if (auto at = from.find(to.columns[i].name)) {
      converted[i] = convert_cell(cells[*at], from.columns[*at].type, to.columns[i].type);
    }
  }
  return converted;
}

void drop_below_floor(RowState& state) {
  if (state.position <= state.floor) {
    state.position = {};
    state.fill = 0;
  }
  bool any = state.live();
  for (CellValue& cell : state.cells) {
    if (cell.position <= state.floor) {
      cell = {};
    } else {
      any = true;  // also when not live: values that came along before the row itself
    }
  }
  if (!any) {
    state.schema = nullptr;
    state.cells.clear();
  }
}

// Offers `cells`, laid out by `schema`, to the state; `position` is the fact's.
void merge_cells(RowState& state, const Position& position, const SchemaPtr& schema, std::vector<CellValue> cells,
                 bool is_row_fact) {
  if (state.schema == nullptr) {
    state.schema = schema;
    state.cells.assign(schema->columns.size(), {});
  } else if (schema != state.schema && !schema->same_content(*state.schema)) {
    if (schema->version > state.schema->version) {
      change_schema(state, schema);
    } else {
      cells = convert_cells(cells, *schema, *state.schema);
    }
  }
  bool changed = false;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (!wins(cells[i], state.cells[i])) continue;
    changed = changed || cells[i].state != state.cells[i].state || cells[i].bytes != state.cells[i].bytes;
    state.cells[i] = std::move(cells[i]);
  }
  if (is_row_fact && position > state.position) {
    state.position = position;
    state.fill = 0;
  } else if (changed) {
    ++state.fill;
  }
}

// The values of `cells` that are older than `move`, as a fact about the key it went to.
void send_after(const RowMove& move, const SchemaPtr& schema, const std::vector<CellValue>& cells,
                std::vector<MovedValues>& moved) {
  MovedValues values{.to_key = move.to_key, .position = move.position, .schema = schema, .cells = {}};
  bool any = false;
  for (const CellValue& cell : cells) {
    CellValue& carried = values.cells.emplace_back();
    if (cell.position == Position{} || cell.position >= move.position) continue;
    carried = cell;
    carried.position = move.position;
    carried.origin = cell.origin == Position{} ? cell.position : cell.origin;
    any = true;
  }
  // A key column's value is the new key's own: the create always carries it.
  for (uint32_t key : schema->key_columns) values.cells[key] = {};
  if (any) moved.push_back(std::move(values));
}

const RowMove* next_move(const RowState& state, const Position& position) {
  for (const RowMove& move : state.moves) {
    if (move.position > position) return &move;
  }
  return nullptr;
}

// A fact about a row that has left this key: what was sent after the row may be older than it should be, so the values
// that came along are withdrawn, and the row is read again.
void withdraw_moved(const RowState& state, const EventBatch& batch, size_t row, std::vector<MovedValues>& moved) {
  const RowMove* move = next_move(state, batch.positions[row]);
  if (move == nullptr) return;
  MovedValues values{.to_key = move->to_key, .position = move->position, .schema = batch.schema, .cells = {}};
  values.cells.assign(batch.schema->columns.size(), CellValue{CellState::kAbsent, move->position, last_origin, {}});
  for (uint32_t key : batch.schema->key_columns) values.cells[key] = {};
  moved.push_back(std::move(values));
}

void add_move(RowState& state, RowMove move) {
  auto at = std::lower_bound(state.moves.begin(), state.moves.end(), move,
                             [](const RowMove& a, const RowMove& b) { return a.position < b.position; });
  if (at != state.moves.end() && at->position == move.position) return;
  state.moves.insert(at, std::move(move));
  if (state.moves.size() > RowState::moves_max) state.moves.erase(state.moves.begin());
}

}  // namespace

bool RowState::complete() const {
  return std::none_of(cells.begin(), cells.end(),
                      [](const CellValue& cell) { return cell.state == CellState::kAbsent; });
}

Position predecessor(const Position& position) {
  Position before = position;
  if (before.ordinal-- > 0) return before;
  if (before.change-- > 0) return before;
  if (before.commit-- > 0) return before;
  CHECK(before.epoch > 0, "the zero position has no predecessor");
  --before.epoch;
  return before;
}

void raise_floor(RowState& state, const Position& floor) {
  if (floor <= state.floor) return;
  state.floor = floor;
  drop_below_floor(state);
}

void change_schema(RowState& state, const SchemaPtr& schema) {
  if (state.schema == nullptr || state.schema == schema) return;
  state.cells = convert_cells(state.cells, *state.schema, *schema);
  state.schema = schema;
}

void merge_fact(RowState& state, const EventBatch& batch, size_t row, std::vector<MovedValues>& moved) {
  const Position& position = batch.positions[row];
  const std::string* other_key = batch.moved_key(row);
  if (position < state.floor) withdraw_moved(state, batch, row, moved);
  if (batch.ops[row] == Op::kDelete) {
    if (other_key != nullptr) {
      // Where the key already has a newer row, what the old one held is not known any more: it is read again, and an
      // older value that comes late must not be taken for it.
      RowMove move{position, *other_key};
      if (state.position <= position) {
        if (state.schema != nullptr) send_after(move, state.schema, state.cells, moved);
        add_move(state, std::move(move));
      }
    }
    raise_floor(state, position);
    return;
  }
  if (position <= state.floor) return;
  if (batch.ops[row] == Op::kCreate) raise_floor(state, predecessor(position));
  std::vector<CellValue> cells;
  cells.reserve(batch.columns.size());
  for (const Column& column : batch.columns) cells.push_back(cell_of(column, row, position));
  merge_cells(state, position, batch.schema, std::move(cells), true);
}

void merge_moved(RowState& state, const MovedValues& values, std::vector<MovedValues>& moved) {
  if (values.position <= state.floor) {
    const RowMove* move = next_move(state, values.position);
    if (move == nullptr) return;
    MovedValues onward = values;
    onward.to_key = move->to_key;
    onward.position = move->position;
    for (CellValue& cell : onward.cells) {
      if (cell.position != Position{}) cell.position = move->position;
    }
    moved.push_back(std::move(onward));
    return;
  }
  merge_cells(state, values.position, values.schema, values.cells, false);
}

namespace {

const Error corrupt_state{ErrorCode::kCorrupt, "a stored row state does not decode"};
const Error unfit_state{ErrorCode::kCorrupt, "a stored row state does not fit its schema"};

// Walks over stored bytes: begins with what is before the cells, then gives each of them.
class StoredReader {
 public:
  explicit StoredReader(std::string_view bytes) : reader_(bytes) {}

  // False where the format is not known. `move` gets each move.
  template <typename Move>
  bool begin(StoredRow& row, Move&& move) {
    if (reader_.u8() != format_version) return false;
    row.floor = read_position(reader_);
    uint64_t moves = reader_.varint();
    row.plain = moves == 0;
    for (uint64_t i = 0; i < moves && reader_.ok(); ++i) {
      Position position = read_position(reader_);
      move(position, reader_.string());
    }
    row.schema_version = static_cast<uint32_t>(reader_.varint());
    if (row.schema_version == 0) return reader_.ok();
    row.position = read_position(reader_);
    row.fill = static_cast<uint32_t>(reader_.varint());
    cells_ = reader_.varint();
    return reader_.ok() && cells_ <= reader_.remaining();
  }
  size_t cells() const { return cells_; }

  struct Cell {
    CellState state;
    std::optional<Position> position;
    Position origin;
    std::string_view bytes;
    bool plain;
  };
  Cell next() {
    uint8_t flags = reader_.u8();
    Cell cell{static_cast<CellState>(flags & kStateMask), {}, {}, {}, (flags & (kOwnPosition | kHasOrigin)) == 0};
    if ((flags & kOwnPosition) != 0) cell.position = read_position(reader_);
    if ((flags & kHasOrigin) != 0) cell.origin = read_position(reader_);
    if (cell.state == CellState::kValue || cell.state == CellState::kText) cell.bytes = reader_.string();
    return cell;
  }
  bool good() const { return reader_.ok() && reader_.at_end(); }

 private:
  ByteReader reader_;
  uint64_t cells_ = 0;
};

bool fits(const StoredCell& cell, const LogicalType& type) {
  size_t width = type.fixed_width();
  return cell.state != CellState::kValue || width == 0 || cell.bytes.size() == width;
}

}  // namespace

Result<StoredRow> StoredRow::read(std::string_view bytes) {
  StoredRow row;
  StoredReader reader(bytes);
  if (!reader.begin(row, [](const Position&, std::string_view) {})) return corrupt_state;
  for (size_t i = 0; i < reader.cells(); ++i) {
    auto cell = reader.next();
    row.plain = row.plain && cell.plain;
    row.whole = row.whole && cell.state != CellState::kAbsent;
  }
  // Without the row itself, values are there by positions of their own.
  row.plain = row.plain && (row.schema_version == 0 || row.position != Position{});
  if (!reader.good()) return corrupt_state;
  return row;
}

Status read_stored_cells(std::string_view bytes, const TableSchema& schema, std::vector<StoredCell>& cells) {
  StoredRow row;
  StoredReader reader(bytes);
  if (!reader.begin(row, [](const Position&, std::string_view) {})) return corrupt_state;
  if (reader.cells() != schema.columns.size()) return unfit_state;
  cells.clear();
  for (size_t i = 0; i < reader.cells(); ++i) {
    auto cell = reader.next();
    cells.push_back({cell.state, cell.bytes});
    if (!fits(cells.back(), schema.columns[i].type)) return unfit_state;
  }
  return reader.good() ? Status() : Status(corrupt_state);
}

std::string encode_whole_row(const Position& floor, const EventBatch& batch, size_t row) {
  size_t bytes = 2 * Position::encoded_bytes + 16;
  for (const Column& column : batch.columns) bytes += 3 + (column.is_value(row) ? column.bytes(row).size() : 0);
  std::string out;
  out.reserve(bytes);
  put_u8(out, format_version);
  floor.append_to(out);
  put_varint(out, 0);  // moves
  put_varint(out, batch.schema->version);
  batch.positions[row].append_to(out);
  put_varint(out, 0);  // fill
  put_varint(out, batch.columns.size());
  for (const Column& column : batch.columns) {
    CellState state = column.state(row);
    put_u8(out, static_cast<uint8_t>(state));
    if (state == CellState::kValue) put_string(out, column.bytes(row));
    if (state == CellState::kText) put_string(out, column.text(row));
  }
  return out;
}

std::string RowState::encode() const {
  std::string out;
  put_u8(out, format_version);
  floor.append_to(out);
  put_varint(out, moves.size());
  for (const RowMove& move : moves) {
    move.position.append_to(out);
    put_string(out, move.to_key);
  }
  put_varint(out, schema != nullptr ? schema->version : 0);
  if (schema == nullptr) return out;
  position.append_to(out);
  put_varint(out, fill);
  put_varint(out, cells.size());
  for (const CellValue& cell : cells) {
    auto flags = static_cast<uint8_t>(cell.state);
    if (cell.position != (cell.state == CellState::kAbsent ? Position{} : position)) flags |= kOwnPosition;
    if (cell.origin != Position{}) flags |= kHasOrigin;
    put_u8(out, flags);
    if ((flags & kOwnPosition) != 0) cell.position.append_to(out);
    if ((flags & kHasOrigin) != 0) cell.origin.append_to(out);
    if (cell.state == CellState::kValue || cell.state == CellState::kText) put_string(out, cell.bytes);
  }
  return out;
}

namespace internal {

Result<RowState> decode_row_state(std::string_view bytes, uint32_t& schema_version) {
  RowState state;
  StoredRow row;
  StoredReader reader(bytes);
  auto add_move = [&](const Position& at, std::string_view key) { state.moves.push_back({at, std::string(key)}); };
  if (!reader.begin(row, add_move)) return corrupt_state;
  schema_version = row.schema_version;
  state.floor = row.floor;
  state.position = row.position;
  state.fill = row.fill;
  state.cells.resize(reader.cells());
  for (CellValue& cell : state.cells) {
    auto stored = reader.next();
    cell.state = stored.state;
    if (cell.state != CellState::kAbsent) cell.position = state.position;
    if (stored.position) cell.position = *stored.position;
    cell.origin = stored.origin;
    cell.bytes = stored.bytes;
  }
  if (!reader.good()) return corrupt_state;
  return state;
}

Status finish_row_state(RowState& state, SchemaPtr schema) {
  if (schema == nullptr || schema->columns.size() != state.cells.size()) return unfit_state;
  for (size_t i = 0; i < state.cells.size(); ++i) {
    if (!fits({state.cells[i].state, state.cells[i].bytes}, schema->columns[i].type)) return unfit_state;
  }
  state.schema = std::move(schema);
  return {};
}

}  // namespace internal
}  // namespace tributary
