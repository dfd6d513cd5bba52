#include "store/clickhouse/native_encoder.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "store/clickhouse/big_decimal.h"
#include "store/clickhouse/clickhouse_types.h"

namespace tributary {
namespace {

constexpr uint8_t envelope_version = 1;

// The cells that go to _unrepresentable, column by column.
struct LostCell {
  uint32_t row;
  uint32_t column;
  std::string text;
};

class ColumnEncoder {
 public:
  ColumnEncoder(std::string& out, const OutputColumn& definition, const Column& column, uint32_t index,
                std::vector<LostCell>& lost)
      : out_(out), definition_(definition), column_(column), index_(index), lost_(lost) {}

  Status encode() {
    RETURN_IF_ERROR(find_nulls());
    put_string(out_, definition_.name);
    put_string(out_, clickhouse_type(definition_.type, definition_.nullable));
    size_t nulls_at = out_.size();
    if (definition_.nullable) out_.append(nulls_.begin(), nulls_.end());
    encode_values();
    // Ranges are seen while values are written: NULLs found there go into the map that is out already.
    for (uint32_t row : late_nulls_) {
      if (definition_.nullable) out_[nulls_at + row] = 1;
    }
    return {};
  }

 private:
  size_t rows() const { return column_.rows(); }

  Status find_nulls() {
    nulls_.resize(rows());
    for (size_t row = 0; row < rows(); ++row) {
      CellState state = column_.state(row);
      nulls_[row] = state == CellState::kValue ? 0 : 1;
      if (state == CellState::kAbsent) [[unlikely]] {
        return Error{ErrorCode::kInternal,
                     fmt::format("column {} is absent in row {}: it cannot be written", definition_.name, row)};
      }
    }
    for (const Column::TextCell& cell : column_.texts()) lost_.push_back({cell.row, index_, cell.text});
    return {};
  }

  char* grow(size_t bytes) {
    size_t at = out_.size();
    out_.resize(at + bytes);
    return out_.data() + at;
  }

  void lose(size_t row, std::string text) {
    lost_.push_back({static_cast<uint32_t>(row), index_, std::move(text)});
    late_nulls_.push_back(static_cast<uint32_t>(row));
  }

  void encode_values() {
    switch (definition_.type.id) {
      case TypeId::kText:
      case TypeId::kBytes:
      case TypeId::kJson: encode_strings(); return;
      case TypeId::kBigDecimal: encode_big_decimals(); return;
      case TypeId::kDecimal: encode_decimals(); return;
      case TypeId::kUuid: encode_uuids(); return;
      case TypeId::kDate:
        encode_bounded<int32_t>(clickhouse_day_min, clickhouse_day_max,
                                [](int32_t days) { return date_to_string(days); });
        return;
      case TypeId::kTimestamp:
      case TypeId::kTimestampTz: {
        const char* zone = definition_.type.id == TypeId::kTimestampTz ? "+00" : "";
        encode_bounded<int64_t>(clickhouse_micros_min, clickhouse_micros_end - 1,
                                [&](int64_t micros) { return timestamp_to_string(micros) + zone; });
        return;
      }
      default: out_.append(column_.fixed_data()); return;  // the same bytes; zeros where there is no value
    }
  }

  void encode_strings() {
    const std::string& bytes = column_.variable_data();
    const std::vector<uint32_t>& ends = column_.ends();
    out_.reserve(out_.size() + bytes.size() + rows() * 2);
    uint32_t begin = 0;
    for (uint32_t end : ends) {
      put_varint(out_, end - begin);
      out_.append(bytes, begin, end - begin);
      begin = end;
    }
  }

  template <typename T, typename Text>
  void encode_bounded(T low, T high, Text&& text) {
    char* to = grow(rows() * sizeof(T));
    std::memcpy(to, column_.fixed_data().data(), rows() * sizeof(T));
    for (size_t row = 0; row < rows(); ++row, to += sizeof(T)) {
      T value;
      std::memcpy(&value, to, sizeof(T));
      if (value >= low && value <= high) [[likely]]
        continue;
      lose(row, text(value));
      std::memset(to, 0, sizeof(T));
    }
  }

  void encode_decimals() {
    Int128 limit = 1;  // 10^precision
    for (int i = 0; i < definition_.type.precision; ++i) limit *= 10;
    switch (clickhouse_width(definition_.type)) {
      case 4: encode_decimals_as<int32_t>(limit); return;
      case 8: encode_decimals_as<int64_t>(limit); return;
      default: encode_decimals_as<Int128>(limit); return;
    }
  }
  template <typename T>
  void encode_decimals_as(Int128 limit) {
    char* to = grow(rows() * sizeof(T));
    const char* from = column_.fixed_data().data();
    for (size_t row = 0; row < rows(); ++row, to += sizeof(T), from += sizeof(Int128)) {
      Int128 value;
      std::memcpy(&value, from, sizeof value);
      if (value >= limit || value <= -limit) [[unlikely]] {
        lose(row, decimal_to_string(value, definition_.type.scale));
        value = 0;
      }
      T narrow = static_cast<T>(value);
      std::memcpy(to, &narrow, sizeof narrow);
    }
  }

  void encode_big_decimals() {
    for (size_t row = 0; row < rows(); ++row) {
      std::array<uint64_t, 4> value{};
      if (column_.is_value(row)) {
        auto parsed = parse_big_decimal(column_.bytes(row), definition_.type.precision, definition_.type.scale);
        if (parsed) {
          value = *parsed;
        } else {
          lose(row, std::string(column_.bytes(row)));
        }
      }
      out_.append(reinterpret_cast<const char*>(value.data()), sizeof value);
    }
  }

  // Two UInt64, the first half first, each little-endian.
  void encode_uuids() {
    char* to = grow(rows() * 16);
    const char* from = column_.fixed_data().data();
    for (size_t half = 0; half < rows() * 2; ++half, to += 8, from += 8) {
      uint64_t value = load_u64_big(from);
      std::memcpy(to, &value, sizeof value);
    }
  }

  std::string& out_;
  const OutputColumn& definition_;
  const Column& column_;
  uint32_t index_;
  std::vector<LostCell>& lost_;
  std::vector<char> nulls_;
  std::vector<uint32_t> late_nulls_;
};

void put_column_head(std::string& out, std::string_view name, std::string_view type) {
  put_string(out, name);
  put_string(out, type);
}

void put_unrepresentable(std::string& out, const TableDefinition& table, std::vector<LostCell>& lost, size_t rows) {
  std::stable_sort(lost.begin(), lost.end(), [](const LostCell& a, const LostCell& b) { return a.row < b.row; });
  put_column_head(out, unrepresentable_column, "Map(String, String)");
  size_t next = 0;
  for (size_t row = 0; row < rows; ++row) {
    while (next < lost.size() && lost[next].row == row) ++next;
    put_u64(out, next);
  }
  for (const LostCell& cell : lost) put_string(out, table.columns[cell.column].name);
  for (const LostCell& cell : lost) put_string(out, cell.text);
}

Status check_shape(const TableDefinition& table, const OutputBatch& rows) {
  auto wrong = [&](std::string what) {
    return Error{ErrorCode::kInvalidInput, fmt::format("rows for {} do not fit it: {}", table.name, what)};
  };
  if (rows.columns.size() != table.columns.size()) {
    return wrong(fmt::format("{} columns instead of {}", rows.columns.size(), table.columns.size()));
  }
  for (size_t i = 0; i < table.columns.size(); ++i) {
    if (rows.columns[i].type() != table.columns[i].type || rows.columns[i].rows() != rows.rows()) {
      return wrong(fmt::format("column {} is {} with {} rows", table.columns[i].name,
                               rows.columns[i].type().to_string(), rows.columns[i].rows()));
    }
  }
  if (rows.client_of_row.size() != rows.rows() || rows.versions.size() != rows.rows() ||
      rows.deleted.size() != rows.rows()) {
    return wrong("clients, versions and deletions are not one a row");
  }
  return {};
}

}  // namespace

Result<std::string> encode_rows(const TableDefinition& table, const OutputBatch& rows) {
  RETURN_IF_ERROR(check_shape(table, rows));
  std::string out;
  constexpr size_t row_bytes = 64;     // key, version, client
  constexpr size_t column_bytes = 128;  // its names and type
  size_t bytes = rows.rows() * row_bytes + (rows.columns.size() + 5) * column_bytes;
  for (const Column& column : rows.columns) bytes += column.value_bytes();
  out.reserve(bytes);

  constexpr size_t technical_columns = 5;
  put_u8(out, envelope_version);
  put_varint(out, table.columns.size() + technical_columns);
  put_string(out, client_id_column);
  for (const OutputColumn& column : table.columns) put_string(out, column.name);
  for (const char* name : {key_column, version_column, deleted_column, unrepresentable_column}) put_string(out, name);

  put_varint(out, table.columns.size() + technical_columns);
  put_varint(out, rows.rows());
  put_column_head(out, client_id_column, "String");
  for (uint32_t client : rows.client_of_row) put_string(out, rows.clients[client].value);
  std::vector<LostCell> lost;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    RETURN_IF_ERROR(ColumnEncoder(out, table.columns[i], rows.columns[i], static_cast<uint32_t>(i), lost).encode());
  }
  put_column_head(out, key_column, "String");
  for (const std::string& key : rows.keys) put_string(out, key);
  put_column_head(out, version_column, "UInt256");
  for (const Version& version : rows.versions) {
    auto little = version.little_endian();
    out.append(reinterpret_cast<const char*>(little.data()), little.size());
  }
  put_column_head(out, deleted_column, "UInt8");
  out.append(reinterpret_cast<const char*>(rows.deleted.data()), rows.deleted.size());
  put_unrepresentable(out, table, lost, rows.rows());
  return out;
}

Result<EncodedRows> open_encoded(std::string_view encoded) {
  ByteReader reader(encoded);
  uint8_t version = reader.u8();
  if (reader.ok() && version != envelope_version) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("encoded rows of version {}: a newer program made them", version)};
  }
  size_t begin = reader.position();
  uint64_t columns = reader.varint();
  for (uint64_t i = 0; i < columns && reader.ok(); ++i) reader.string();
  if (!reader.ok()) return Error{ErrorCode::kCorrupt, "encoded rows are cut short"};
  return EncodedRows{encoded.substr(begin, reader.position() - begin), reader.rest()};
}

std::vector<std::string> EncodedRows::column_names() const {
  ByteReader reader(columns);
  std::vector<std::string> names(reader.varint());
  for (std::string& name : names) name = std::string(reader.string());
  return names;
}

}  // namespace tributary
