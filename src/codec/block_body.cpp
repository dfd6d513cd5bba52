#include "codec/block_body.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t ops_uniform = 0;
constexpr uint8_t ops_each = 1;
constexpr uint8_t states_each = 0xFF;  // else the state that all cells have; never kText
constexpr size_t varint_bytes_max = 10;
constexpr uint16_t shown_scale_max = 16383;  // PostgreSQL's largest display scale

Error corrupt(const std::string& what) { return {ErrorCode::kCorrupt, "block: " + what}; }

uint64_t zigzag(uint64_t difference) {
  return (difference << 1) ^ static_cast<uint64_t>(static_cast<int64_t>(difference) >> 63);
}
uint64_t unzigzag(uint64_t raw) { return (raw >> 1) ^ (~(raw & 1) + 1); }

// Varints of a whole column: room for the worst case first, then no check a byte.
template <typename Next>
void put_varints(std::string& out, size_t count, Next next) {
  size_t at = out.size();
  out.resize(at + count * varint_bytes_max);
  char* to = out.data() + at;
  for (size_t i = 0; i < count; ++i) {
    uint64_t value = next(i);
    while (value >= 0x80) {
      *to++ = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    *to++ = static_cast<char>(value);
  }
  out.resize(static_cast<size_t>(to - out.data()));
}

// Differences between neighbours, modulo 2^64, so that any values survive.
template <typename Get>
void put_differences(std::string& out, size_t count, uint64_t base, Get get) {
  uint64_t previous = base;
  put_varints(out, count, [&](size_t i) {
    uint64_t value = get(i);
    uint64_t difference = zigzag(value - previous);
    previous = value;
    return difference;
  });
}

template <typename Set>
void read_differences(ByteReader& reader, size_t count, uint64_t base, Set set) {
  uint64_t value = base;
  for (size_t i = 0; i < count; ++i) {
    value += unzigzag(reader.varint());
    set(i, value);
  }
}

bool uniform(const void* bytes, size_t count) {
  const char* at = static_cast<const char*>(bytes);
  return count < 2 || std::memcmp(at, at + 1, count - 1) == 0;
}

// ---- writing ----

void put_ops(std::string& out, const std::vector<Op>& ops) {
  if (ops.empty()) return;
  bool same = uniform(ops.data(), ops.size());
  put_u8(out, same ? ops_uniform : ops_each);
  out.append(reinterpret_cast<const char*>(ops.data()), same ? 1 : ops.size());
}

void put_lengths(std::string& out, const std::vector<uint32_t>& ends) {
  size_t at = out.size();
  out.resize(at + ends.size() * sizeof(uint32_t));
  char* to = out.data() + at;
  uint32_t begin = 0;
  for (uint32_t end : ends) {
    uint32_t length = end - begin;
    std::memcpy(to, &length, sizeof length);
    to += sizeof length;
    begin = end;
  }
}

void put_shown_scales(std::string& out, const Column& column) {
  const std::vector<uint16_t>& scales = column.shown_scales();
  put_varint(out, scales.size());
  for (uint16_t scale : scales) put_u16(out, scale);
}

void put_column(std::string& out, const Column& column, uint16_t format) {
  put_u8(out, static_cast<uint8_t>(column.type().id));
  put_u8(out, column.type().precision);
  put_u8(out, column.type().scale);
  const std::vector<CellState>& states = column.states();
  if (states.empty()) return;
  bool same = states[0] != CellState::kText && uniform(states.data(), states.size());
  put_u8(out, same ? static_cast<uint8_t>(states[0]) : states_each);
  if (same && states[0] != CellState::kValue) return;
  if (!same) out.append(reinterpret_cast<const char*>(states.data()), states.size());
  if (column.type().is_variable()) {
    put_lengths(out, column.ends());
    out.append(column.variable_data());
  } else {
    out.append(column.fixed_data());
  }
  if (format >= 2 && column.type().id == TypeId::kDecimal) put_shown_scales(out, column);
  if (same) return;
  put_varint(out, column.texts().size());
  for (const Column::TextCell& cell : column.texts()) {
    put_varint(out, cell.row);
    put_string(out, cell.text);
  }
}

void put_ranges(std::string& out, const std::vector<RangeFact>& ranges) {
  for (const RangeFact& range : ranges) {
    put_u8(out, static_cast<uint8_t>(range.kind));
    range.position.append_to(out);
    put_string(out, range.low);
    put_string(out, range.high);
    put_varint_signed(out, range.commit_micros);
    put_varint(out, range.transaction);
  }
}

// ---- reading ----

Status read_ops(ByteReader& reader, const BlockHeader& header, std::vector<Op>& ops) {
  uint8_t mask = header.ranges > 0 ? block_has_range : 0;
  if (header.rows > 0) {
    uint8_t mode = reader.u8();
    if (mode > ops_each) return corrupt("unknown way of writing ops");
    std::string_view bytes = reader.bytes(mode == ops_uniform ? 1 : header.rows);
    if (bytes.empty()) return corrupt("its ops are truncated");
    std::array<bool, 256> seen{};
    for (char c : bytes) seen[static_cast<uint8_t>(c)] = true;
    for (int byte = 0; byte < 256; ++byte) {
      if (!seen[static_cast<size_t>(byte)]) continue;
      uint8_t bit = op_mask_bit(static_cast<Op>(byte));
      if (bit == 0) return corrupt(fmt::format("unknown op {:#04x}", byte));
      mask |= bit;
    }
    ops.resize(header.rows);
    if (mode == ops_uniform) {
      std::fill(ops.begin(), ops.end(), static_cast<Op>(bytes[0]));
    } else {
      std::memcpy(ops.data(), bytes.data(), bytes.size());
    }
  }
  if (mask != header.op_mask) return corrupt("its ops are not those of its header");
  return {};
}

void read_positions(ByteReader& reader, const Position& base, std::vector<Position>& positions) {
  size_t rows = positions.size();
  read_differences(reader, rows, base.epoch,
                   [&](size_t i, uint64_t value) { positions[i].epoch = static_cast<uint32_t>(value); });
  read_differences(reader, rows, base.commit, [&](size_t i, uint64_t value) { positions[i].commit = value; });
  read_differences(reader, rows, base.change, [&](size_t i, uint64_t value) { positions[i].change = value; });
  read_differences(reader, rows, 0,
                   [&](size_t i, uint64_t value) { positions[i].ordinal = static_cast<uint32_t>(value); });
}

Result<std::vector<CellState>> read_states(ByteReader& reader, uint8_t mode, uint32_t rows) {
  if (mode <= static_cast<uint8_t>(CellState::kAbsent)) {
    return std::vector<CellState>(rows, static_cast<CellState>(mode));
  }
  if (mode != states_each) return corrupt("unknown way of writing cell states");
  std::string_view bytes = reader.bytes(rows);
  if (!reader.ok()) return corrupt("its cell states are truncated");
  uint8_t highest = 0;
  for (char c : bytes) highest = std::max(highest, static_cast<uint8_t>(c));
  if (highest > static_cast<uint8_t>(CellState::kText)) return corrupt("unknown cell state");
  std::vector<CellState> states(rows);
  std::memcpy(states.data(), bytes.data(), rows);
  return states;
}

Status read_texts(ByteReader& reader, const std::vector<CellState>& states, std::vector<Column::TextCell>& texts) {
  uint64_t count = reader.varint();
  auto expected = static_cast<uint64_t>(std::count(states.begin(), states.end(), CellState::kText));
  if (!reader.ok() || count != expected) return corrupt("its texts are not those of the cell states");
  texts.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t row = reader.varint();
    std::string_view text = reader.string();
    if (!reader.ok() || row >= states.size() || states[row] != CellState::kText || (i > 0 && row <= texts.back().row)) {
      return corrupt("a text belongs to no cell");
    }
    texts.push_back({static_cast<uint32_t>(row), std::string(text)});
  }
  return {};
}

Status read_variable(ByteReader& reader, uint32_t rows, std::vector<uint32_t>& ends, std::string& bytes) {
  std::string_view lengths = reader.bytes(size_t{rows} * sizeof(uint32_t));
  if (!reader.ok()) return corrupt("its value lengths are truncated");
  ends.resize(rows);
  uint64_t end = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t length;
    std::memcpy(&length, lengths.data() + row * sizeof length, sizeof length);
    end += length;
    ends[row] = static_cast<uint32_t>(end);
  }
  if (end > reader.remaining()) return corrupt("its values are truncated");  // so no entry of `ends` wrapped round
  bytes = reader.bytes(end);
  return {};
}

Status read_shown_scales(ByteReader& reader, uint32_t rows, std::vector<uint16_t>& scales) {
  uint64_t count = reader.varint();
  if (!reader.ok() || count > rows || count * sizeof(uint16_t) > reader.remaining()) {
    return corrupt("its shown scales are not those of its rows");
  }
  scales.resize(count);
  for (uint16_t& scale : scales) {
    scale = reader.u16();
    if (scale > shown_scale_max) return corrupt("a shown scale is larger than any number's");
  }
  return {};
}

Result<Column> read_column(ByteReader& reader, const LogicalType& type, uint32_t rows, uint16_t format) {
  LogicalType written;
  written.id = static_cast<TypeId>(reader.u8());
  written.precision = reader.u8();
  written.scale = reader.u8();
  if (!reader.ok() || written != type) return corrupt("a column has another type than its schema says");
  if (rows == 0) return Column(type);
  uint8_t mode = reader.u8();
  if (!reader.ok()) return corrupt("a column is truncated");
  ASSIGN_OR_RETURN(std::vector<CellState> states, read_states(reader, mode, rows));
  std::string fixed;
  std::string bytes;
  std::vector<uint32_t> ends;
  std::vector<Column::TextCell> texts;
  std::vector<uint16_t> shown_scales;
  bool has_data = mode == static_cast<uint8_t>(CellState::kValue) || mode == states_each;
  if (type.is_variable()) {
    if (has_data) {
      RETURN_IF_ERROR(read_variable(reader, rows, ends, bytes));
    } else {
      ends.assign(rows, 0);
    }
  } else if (has_data) {
    fixed = reader.bytes(rows * type.fixed_width());
  } else {
    fixed.assign(rows * type.fixed_width(), '\0');
  }
  if (has_data && format >= 2 && type.id == TypeId::kDecimal) {
    RETURN_IF_ERROR(read_shown_scales(reader, rows, shown_scales));
  }
  if (mode == states_each) RETURN_IF_ERROR(read_texts(reader, states, texts));
  if (!reader.ok()) return corrupt("a column is truncated");
  return Column::from_parts(type, std::move(states), std::move(fixed), std::move(bytes), std::move(ends),
                            std::move(texts), std::move(shown_scales));
}

// Columns of one state take no bytes in the block and do in memory: a small block must not ask for much of it.
Status check_memory(const BlockHeader& header, const TableSchema& schema) {
  uint64_t row_bytes = 0;
  for (const ColumnSchema& column : schema.columns) {
    row_bytes += 1 + (column.type.is_variable() ? sizeof(uint32_t) : column.type.fixed_width());
  }
  if (row_bytes * header.rows > block_body_bytes_max) return corrupt("its columns would take too much memory");
  return {};
}

Status read_columns(ByteReader& reader, const BlockHeader& header, const TableSchema& schema,
                    std::vector<Column>& columns) {
  if (reader.varint() != schema.columns.size()) return corrupt("its number of columns is not its schema's");
  columns.reserve(schema.columns.size());
  for (const ColumnSchema& column : schema.columns) {
    ASSIGN_OR_RETURN(Column cells, read_column(reader, column.type, header.rows, header.format));
    columns.push_back(std::move(cells));
  }
  return {};
}

Status read_ranges(ByteReader& reader, uint32_t count, std::vector<RangeFact>& ranges) {
  for (uint32_t i = 0; i < count; ++i) {
    RangeFact range;
    range.kind = static_cast<RangeKind>(reader.u8());
    auto position = Position::decode(reader.bytes(Position::encoded_bytes));
    range.low = reader.string();
    range.high = reader.string();
    range.commit_micros = reader.varint_signed();
    range.transaction = reader.varint();
    if (!reader.ok()) return corrupt("its range facts are truncated");
    if (range.kind != RangeKind::kTruncate && range.kind != RangeKind::kAbsence) return corrupt("unknown range fact");
    range.position = *position;
    ranges.push_back(std::move(range));
  }
  return {};
}

}  // namespace

uint8_t op_mask_of(const EventBatch& batch) {
  uint8_t mask = batch.ranges.empty() ? 0 : block_has_range;
  for (Op op : batch.ops) mask |= op_mask_bit(op);
  return mask;
}

uint16_t block_format_of(const EventBatch& batch) {
  auto shows_more = [](const Column& column) { return !column.shown_scales().empty(); };
  return std::ranges::any_of(batch.columns, shows_more) || std::ranges::any_of(batch.before, shows_more) ? 2 : 1;
}

std::string encode_block_body(const EventBatch& batch, const Position& min_position, uint16_t format) {
  size_t rows = batch.rows();
  std::string out;
  // Room for the values and for the varints' worst case, so that the string is not copied as it grows.
  out.reserve(batch.value_bytes() + rows * 6 * varint_bytes_max / 2 + 256);
  put_ops(out, batch.ops);
  const std::vector<Position>& positions = batch.positions;
  put_differences(out, rows, min_position.epoch, [&](size_t i) { return uint64_t{positions[i].epoch}; });
  put_differences(out, rows, min_position.commit, [&](size_t i) { return positions[i].commit; });
  put_differences(out, rows, min_position.change, [&](size_t i) { return positions[i].change; });
  put_differences(out, rows, 0, [&](size_t i) { return uint64_t{positions[i].ordinal}; });
  put_differences(out, rows, 0, [&](size_t i) { return static_cast<uint64_t>(batch.commit_micros[i]); });
  put_differences(out, rows, 0, [&](size_t i) { return batch.transactions[i]; });
  put_varint(out, batch.columns.size());
  for (const Column& column : batch.columns) put_column(out, column, format);
  put_u8(out, batch.before.empty() ? 0 : 1);
  if (!batch.before.empty()) put_varint(out, batch.before.size());
  for (const Column& column : batch.before) put_column(out, column, format);
  put_varint(out, batch.moved.size());
  for (const EventBatch::Moved& entry : batch.moved) {
    put_varint(out, entry.row);
    put_string(out, entry.key);
  }
  put_ranges(out, batch.ranges);
  return out;
}

Result<EventBatch> decode_block_body(std::string_view body, const BlockHeader& header, const SchemaPtr& schema) {
  RETURN_IF_ERROR(check_memory(header, *schema));
  ByteReader reader(body);
  EventBatch batch;
  batch.client = header.client;
  batch.domain = header.domain;
  batch.schema = schema;
  RETURN_IF_ERROR(read_ops(reader, header, batch.ops));
  size_t rows = header.rows;
  if (rows > reader.remaining()) return corrupt("its rows are truncated");  // each takes more than a byte
  batch.positions.resize(rows);
  batch.commit_micros.resize(rows);
  batch.transactions.resize(rows);
  read_positions(reader, header.min_position, batch.positions);
  read_differences(reader, rows, 0,
                   [&](size_t i, uint64_t value) { batch.commit_micros[i] = static_cast<int64_t>(value); });
  read_differences(reader, rows, 0, [&](size_t i, uint64_t value) { batch.transactions[i] = value; });
  if (!reader.ok()) return corrupt("its rows are truncated");
  RETURN_IF_ERROR(read_columns(reader, header, *schema, batch.columns));
  uint8_t has_before = reader.u8();
  if (has_before > 1) return corrupt("unknown before image");
  if (has_before == 1) RETURN_IF_ERROR(read_columns(reader, header, *schema, batch.before));
  uint64_t moved = reader.varint();
  for (uint64_t i = 0; i < moved; ++i) {
    uint64_t row = reader.varint();
    std::string_view key = reader.string();
    if (!reader.ok() || row >= rows) return corrupt("a moved row is truncated");
    batch.moved.push_back({static_cast<uint32_t>(row), std::string(key)});
  }
  RETURN_IF_ERROR(read_ranges(reader, header.ranges, batch.ranges));
  if (!reader.ok() || !reader.at_end()) return corrupt("its body does not end where its content does");
  RETURN_IF_ERROR(batch.validate());
  return batch;
}

}  // namespace tributary
