#include "model/cells.h"

#include <bit>
#include <cmath>
#include <limits>

namespace tributary {
namespace {

enum OrderTag : uint8_t { kNullFirst = 0, kValueTag = 1, kTextTag = 2, kNullLast = 3 };

template <typename Signed>
void put_ordered_integer(std::string& out, Signed value) {
  using Unsigned = std::make_unsigned_t<Signed>;
  auto bits = static_cast<Unsigned>(value) ^ (Unsigned{1} << (sizeof(Signed) * 8 - 1));
  for (int shift = static_cast<int>(sizeof(Signed)) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(bits >> shift));
  }
}

void put_ordered_decimal(std::string& out, Int128 value) {
  put_ordered_integer(out, static_cast<int64_t>(value >> 64));
  put_u64_big(out, static_cast<uint64_t>(value));
}

void put_ordered_double(std::string& out, double value) {
  constexpr uint64_t sign = uint64_t{1} << 63;
  if (value == 0) value = 0;  // −0
  auto bits = std::isnan(value) ? std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN())
                                : std::bit_cast<uint64_t>(value);
  put_u64_big(out, (bits & sign) != 0 ? ~bits : bits | sign);
}

// No escaped text begins another one.
void put_ordered_bytes(std::string& out, std::string_view value) {
  for (char c : value) {
    out.push_back(c);
    if (c == '\0') out.push_back('\xFF');
  }
  out.append(2, '\0');
}

void put_ordered_value(std::string& out, const Column& column, size_t row) {
  switch (column.type().id) {
    case TypeId::kBool: out.push_back(static_cast<char>(column.fixed<uint8_t>(row))); return;
    case TypeId::kInt16: return put_ordered_integer(out, column.fixed<int16_t>(row));
    case TypeId::kInt32:
    case TypeId::kDate: return put_ordered_integer(out, column.fixed<int32_t>(row));
    case TypeId::kInt64:
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return put_ordered_integer(out, column.fixed<int64_t>(row));
    case TypeId::kUInt64: return put_u64_big(out, column.fixed<uint64_t>(row));
    case TypeId::kFloat32: return put_ordered_double(out, column.fixed<float>(row));
    case TypeId::kFloat64: return put_ordered_double(out, column.fixed<double>(row));
    case TypeId::kDecimal: return put_ordered_decimal(out, column.fixed<Int128>(row));
    case TypeId::kUuid: out.append(column.bytes(row)); return;
    case TypeId::kText:
    case TypeId::kBytes:
    case TypeId::kJson:
    case TypeId::kBigDecimal: return put_ordered_bytes(out, column.bytes(row));
  }
}

}  // namespace

void append_cell(std::string& out, const Column& column, size_t row) {
  CellState state = column.state(row);
  CHECK(state != CellState::kAbsent, "an absent cell in keyed state");
  put_u8(out, static_cast<uint8_t>(state));
  if (state == CellState::kText) {
    put_string(out, column.text(row));
  } else if (state == CellState::kValue) {
    if (column.width() == 0) {
      put_string(out, column.bytes(row));
    } else {
      out.append(column.bytes(row));
    }
  }
}

void append_cells(std::string& out, std::span<const Column> columns, size_t row) {
  for (const Column& column : columns) append_cell(out, column, row);
}

bool read_cell(ByteReader& reader, Column& column) {
  switch (static_cast<CellState>(reader.u8())) {
    case CellState::kNull: column.append_null(); break;
    case CellState::kText: column.append_text(reader.string()); break;
    case CellState::kValue: {
      std::string_view value = column.width() == 0 ? reader.string() : reader.bytes(column.width());
      if (!reader.ok()) return false;
      column.append_bytes(value);
      break;
    }
    default: return false;
  }
  return reader.ok();
}

bool read_cells(ByteReader& reader, std::span<Column> columns) {
  for (Column& column : columns) {
    if (!read_cell(reader, column)) return false;
  }
  return true;
}

void append_ordered(std::string& out, const Column& column, size_t row, bool descending, bool nulls_first) {
  CellState state = column.state(row);
  CHECK(state != CellState::kAbsent, "an absent cell has no order");
  if (state == CellState::kNull) {
    put_u8(out, nulls_first ? kNullFirst : kNullLast);
    return;
  }
  size_t begin = out.size();
  put_u8(out, state == CellState::kText ? kTextTag : kValueTag);
  if (state == CellState::kText) {
    put_ordered_bytes(out, column.text(row));
  } else {
    put_ordered_value(out, column, row);
  }
  if (!descending) return;
  // The tag turns within the values' tags: ~1 and ~2 would leave the NULLs' place.
  out[begin] = static_cast<char>(kValueTag + kTextTag - out[begin]);
  for (size_t i = begin + 1; i < out.size(); ++i) out[i] = static_cast<char>(~out[i]);
}

}  // namespace tributary
