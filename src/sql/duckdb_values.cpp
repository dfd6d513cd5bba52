#include "sql/duckdb_values.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint64_t top_bit = uint64_t{1} << 63;

bool is_valid(const uint64_t* validity, size_t row) {
  return validity == nullptr || (validity[row / 64] >> (row % 64) & 1) != 0;
}

// Bytes of DuckDB's integer below a DECIMAL of so many digits.
size_t decimal_width(uint8_t precision) { return precision <= 4 ? 2 : precision <= 9 ? 4 : precision <= 18 ? 8 : 16; }

template <typename T>
void write_narrow(const Column& column, const uint32_t* selection, size_t first, size_t count, T* out) {
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<T>(column.fixed<Int128>(selection != nullptr ? selection[first + i] : first + i));
  }
}

void write_decimals(const Column& column, const uint32_t* selection, size_t first, size_t count, void* out) {
  switch (decimal_width(column.type().precision)) {
    case 2: return write_narrow(column, selection, first, count, static_cast<int16_t*>(out));
    case 4: return write_narrow(column, selection, first, count, static_cast<int32_t*>(out));
    case 8: return write_narrow(column, selection, first, count, static_cast<int64_t*>(out));
    default: return write_narrow(column, selection, first, count, static_cast<Int128*>(out));
  }
}

void write_fixed(const Column& column, const uint32_t* selection, size_t first, size_t count, char* out) {
  size_t width = column.type().fixed_width();
  const char* data = column.fixed_data().data();
  if (selection == nullptr) {
    std::memcpy(out, data + first * width, count * width);
    return;
  }
  for (size_t i = 0; i < count; ++i) std::memcpy(out + i * width, data + selection[first + i] * width, width);
}

// DuckDB keeps a UUID as an int128 that orders as the text does, hence the flipped top bit.
void write_uuids(const Column& column, const uint32_t* selection, size_t first, size_t count, char* out) {
  const char* data = column.fixed_data().data();
  for (size_t i = 0; i < count; ++i) {
    const char* bytes = data + (selection != nullptr ? selection[first + i] : first + i) * 16;
    uint64_t parts[2] = {load_u64_big(bytes + 8), load_u64_big(bytes) ^ top_bit};
    std::memcpy(out + i * 16, parts, 16);
  }
}

void write_strings(const Column& column, const uint32_t* selection, size_t first, size_t count, duckdb_string_t* out) {
  const char* data = column.variable_data().data();
  const std::vector<uint32_t>& ends = column.ends();
  for (size_t i = 0; i < count; ++i) {
    size_t row = selection != nullptr ? selection[first + i] : first + i;
    uint32_t begin = row == 0 ? 0 : ends[row - 1];
    uint32_t length = ends[row] - begin;
    duckdb_string_t text{};
    text.value.inlined.length = length;
    if (length <= sizeof(text.value.inlined.data)) {
      std::memcpy(text.value.inlined.data, data + begin, length);
    } else {
      std::memcpy(text.value.pointer.prefix, data + begin, sizeof(text.value.pointer.prefix));
      text.value.pointer.data = const_cast<char*>(data + begin);
    }
    out[i] = text;
  }
}

template <typename T>
const char* infinity_name(T value) {
  if (value == std::numeric_limits<T>::max()) return "infinity";
  if (value == -std::numeric_limits<T>::max()) return "-infinity";
  return nullptr;
}

bool is_json(duckdb_logical_type type) {
  char* alias = duckdb_logical_type_get_alias(type);
  bool json = alias != nullptr && std::string_view(alias) == "JSON";
  duckdb_free(alias);
  return json;
}

}  // namespace

DuckDbType duckdb_type_of(LogicalType type) {
  auto plain = [](duckdb_type id) { return DuckDbType(duckdb_create_logical_type(id)); };
  switch (type.id) {
    case TypeId::kBool: return plain(DUCKDB_TYPE_BOOLEAN);
    case TypeId::kInt16: return plain(DUCKDB_TYPE_SMALLINT);
    case TypeId::kInt32: return plain(DUCKDB_TYPE_INTEGER);
    case TypeId::kInt64: return plain(DUCKDB_TYPE_BIGINT);
    case TypeId::kUInt64: return plain(DUCKDB_TYPE_UBIGINT);
    case TypeId::kFloat32: return plain(DUCKDB_TYPE_FLOAT);
    case TypeId::kFloat64: return plain(DUCKDB_TYPE_DOUBLE);
    case TypeId::kDecimal: return DuckDbType(duckdb_create_decimal_type(type.precision, type.scale));
    case TypeId::kDate: return plain(DUCKDB_TYPE_DATE);
    case TypeId::kTimestamp: return plain(DUCKDB_TYPE_TIMESTAMP);
    case TypeId::kTimestampTz: return plain(DUCKDB_TYPE_TIMESTAMP_TZ);
    case TypeId::kUuid: return plain(DUCKDB_TYPE_UUID);
    case TypeId::kBytes: return plain(DUCKDB_TYPE_BLOB);
    case TypeId::kText:
    case TypeId::kBigDecimal: return plain(DUCKDB_TYPE_VARCHAR);
    case TypeId::kJson: {
      DuckDbType json = plain(DUCKDB_TYPE_VARCHAR);
      duckdb_logical_type_set_alias(json.get(), "JSON");
      return json;
    }
  }
  CHECK(false, "type id {}", static_cast<int>(type.id));
  return {};
}

ResultType result_type_of(duckdb_logical_type type) {
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN: return {{TypeId::kBool}, "", ""};
    case DUCKDB_TYPE_TINYINT: return {{TypeId::kInt16}, "SMALLINT", "TINYINT"};
    case DUCKDB_TYPE_UTINYINT: return {{TypeId::kInt16}, "SMALLINT", "UTINYINT"};
    case DUCKDB_TYPE_SMALLINT: return {{TypeId::kInt16}, "", ""};
    case DUCKDB_TYPE_USMALLINT: return {{TypeId::kInt32}, "INTEGER", "USMALLINT"};
    case DUCKDB_TYPE_INTEGER: return {{TypeId::kInt32}, "", ""};
    case DUCKDB_TYPE_UINTEGER: return {{TypeId::kInt64}, "BIGINT", "UINTEGER"};
    case DUCKDB_TYPE_BIGINT: return {{TypeId::kInt64}, "", ""};
    case DUCKDB_TYPE_UBIGINT: return {{TypeId::kUInt64}, "", ""};
    case DUCKDB_TYPE_HUGEINT: return {{TypeId::kDecimal, 38, 0}, "DECIMAL(38,0)", "HUGEINT"};
    case DUCKDB_TYPE_UHUGEINT: return {{TypeId::kDecimal, 38, 0}, "DECIMAL(38,0)", "UHUGEINT"};
    case DUCKDB_TYPE_FLOAT: return {{TypeId::kFloat32}, "", ""};
    case DUCKDB_TYPE_DOUBLE: return {{TypeId::kFloat64}, "", ""};
    case DUCKDB_TYPE_DECIMAL:
      return {{TypeId::kDecimal, duckdb_decimal_width(type), duckdb_decimal_scale(type)}, "", ""};
    case DUCKDB_TYPE_DATE: return {{TypeId::kDate}, "", ""};
    case DUCKDB_TYPE_TIMESTAMP: return {{TypeId::kTimestamp}, "", ""};
    case DUCKDB_TYPE_TIMESTAMP_S: return {{TypeId::kTimestamp}, "TIMESTAMP", "TIMESTAMP_S"};
    case DUCKDB_TYPE_TIMESTAMP_MS: return {{TypeId::kTimestamp}, "TIMESTAMP", "TIMESTAMP_MS"};
    case DUCKDB_TYPE_TIMESTAMP_TZ: return {{TypeId::kTimestampTz}, "", ""};
    case DUCKDB_TYPE_UUID: return {{TypeId::kUuid}, "", ""};
    case DUCKDB_TYPE_BLOB: return {{TypeId::kBytes}, "", ""};
    case DUCKDB_TYPE_VARCHAR: return {{is_json(type) ? TypeId::kJson : TypeId::kText}, "", ""};
    default: return {{TypeId::kText}, "VARCHAR", ""};  // TIME, INTERVAL, lists, structs, … in DuckDB's text form
  }
}

void write_vector(const Column& column, const uint32_t* selection, size_t first, size_t count, duckdb_vector vector) {
  auto* out = static_cast<char*>(duckdb_vector_get_data(vector));
  if (column.type().is_variable()) {
    write_strings(column, selection, first, count, reinterpret_cast<duckdb_string_t*>(out));
  } else if (column.type().id == TypeId::kDecimal) {
    write_decimals(column, selection, first, count, out);
  } else if (column.type().id == TypeId::kUuid) {
    write_uuids(column, selection, first, count, out);
  } else {
    write_fixed(column, selection, first, count, out);
  }
  uint64_t* validity = nullptr;
  const CellState* states = column.states().data();
  for (size_t i = 0; i < count; ++i) {
    CellState state = states[selection != nullptr ? selection[first + i] : first + i];
    if (state == CellState::kValue) continue;
    CHECK(state == CellState::kNull, "an expression is given a cell that is absent or held as text");
    if (validity == nullptr) {
      duckdb_vector_ensure_validity_writable(vector);
      validity = duckdb_vector_get_validity(vector);
    }
    validity[i / 64] &= ~(uint64_t{1} << (i % 64));
  }
}

Status ResultColumn::append_vector(duckdb_vector vector, size_t count) {
  const void* data = duckdb_vector_get_data(vector);
  const uint64_t* validity = duckdb_vector_get_validity(vector);
  size_t first = states_.size();
  states_.resize(first + count, CellState::kValue);
  if (validity != nullptr) {
    for (size_t i = 0; i < count; ++i) {
      if (!is_valid(validity, i)) states_[first + i] = CellState::kNull;
    }
  }
  if (width_ == 0) {
    return append_strings(static_cast<const duckdb_string_t*>(data), validity, count);
  }
  size_t begin = fixed_.size();
  if (type_.id == TypeId::kDecimal) {
    append_decimals(data, count);
  } else if (type_.id == TypeId::kUuid) {
    append_uuids(static_cast<const char*>(data), count);
  } else {
    fixed_.append(static_cast<const char*>(data), count * width_);
    if (type_.id == TypeId::kDate || type_.id == TypeId::kTimestamp || type_.id == TypeId::kTimestampTz) {
      mark_infinite(first);
    }
  }
  if (validity != nullptr) {  // what lies below a NULL is anything: equal columns have equal bytes
    for (size_t i = 0; i < count; ++i) {
      if (!is_valid(validity, i)) std::memset(fixed_.data() + begin + i * width_, 0, width_);
    }
  }
  return {};
}

Column ResultColumn::finish() && {
  return Column::from_parts(type_, std::move(states_), std::move(fixed_), std::move(bytes_), std::move(ends_),
                            std::move(texts_));
}

void ResultColumn::append_decimals(const void* data, size_t count) {
  size_t width = decimal_width(type_.precision);
  size_t begin = fixed_.size();
  fixed_.resize(begin + count * sizeof(Int128));
  for (size_t i = 0; i < count; ++i) {
    Int128 value = 0;
    switch (width) {
      case 2: value = static_cast<const int16_t*>(data)[i]; break;
      case 4: value = static_cast<const int32_t*>(data)[i]; break;
      case 8: value = static_cast<const int64_t*>(data)[i]; break;
      default: std::memcpy(&value, static_cast<const char*>(data) + i * 16, 16); break;
    }
    std::memcpy(fixed_.data() + begin + i * sizeof value, &value, sizeof value);
  }
}

void ResultColumn::append_uuids(const char* data, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint64_t parts[2];
    std::memcpy(parts, data + i * 16, 16);
    put_u64_big(fixed_, parts[1] ^ top_bit);
    put_u64_big(fixed_, parts[0]);
  }
}

Status ResultColumn::append_strings(const duckdb_string_t* strings, const uint64_t* validity, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (is_valid(validity, i)) bytes_.append(duckdb_text(strings[i]));
    if (bytes_.size() > UINT32_MAX) {
      return Error{ErrorCode::kInvalidInput, "an expression's results grow past 4 GiB in one batch"};
    }
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  return {};
}

void ResultColumn::mark_infinite(size_t first) {
  for (size_t row = first; row < states_.size(); ++row) {
    if (states_[row] != CellState::kValue) continue;
    char* cell = fixed_.data() + row * width_;
    const char* name = nullptr;
    if (width_ == 4) {
      int32_t value;
      std::memcpy(&value, cell, 4);
      name = infinity_name(value);
    } else {
      int64_t value;
      std::memcpy(&value, cell, 8);
      name = infinity_name(value);
    }
    if (name == nullptr) continue;
    states_[row] = CellState::kText;
    texts_.push_back({static_cast<uint32_t>(row), name});
    std::memset(cell, 0, width_);
  }
}

}  // namespace tributary
