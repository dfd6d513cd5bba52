#include "model/schema.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;

}  // namespace

std::optional<uint32_t> TableSchema::find(std::string_view name) const {
  for (uint32_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
  }
  return std::nullopt;
}

bool TableSchema::same_content(const TableSchema& other) const {
  return table == other.table && old_image == other.old_image && columns == other.columns &&
         key_columns == other.key_columns;
}

std::string TableSchema::encode() const {
  std::string out;
  put_u8(out, format_version);
  put_string(out, table);
  put_varint(out, version);
  put_u8(out, static_cast<uint8_t>(old_image));
  put_varint(out, columns.size());
  for (const ColumnSchema& column : columns) {
    put_string(out, column.name);
    put_u8(out, static_cast<uint8_t>(column.type.id));
    put_u8(out, column.type.precision);
    put_u8(out, column.type.scale);
    put_string(out, column.source_type);
    put_u8(out, static_cast<uint8_t>((column.key ? 1 : 0) | (column.may_be_absent ? 2 : 0)));
  }
  put_varint(out, key_columns.size());
  for (uint32_t index : key_columns) put_varint(out, index);
  return out;
}

Result<TableSchema> TableSchema::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "a stored table schema does not decode"};
  if (reader.u8() != format_version) return corrupt;
  TableSchema schema;
  schema.table = reader.string();
  schema.version = static_cast<uint32_t>(reader.varint());
  schema.old_image = static_cast<OldImage>(reader.u8());
  uint64_t columns = reader.varint();
  for (uint64_t i = 0; i < columns && reader.ok(); ++i) {
    ColumnSchema column;
    column.name = reader.string();
    uint8_t id = reader.u8();
    if (id < 1 || id > static_cast<uint8_t>(TypeId::kBigDecimal)) return corrupt;
    column.type.id = static_cast<TypeId>(id);
    column.type.precision = reader.u8();
    column.type.scale = reader.u8();
    column.source_type = reader.string();
    uint8_t flags = reader.u8();
    column.key = (flags & 1) != 0;
    column.may_be_absent = (flags & 2) != 0;
    schema.columns.push_back(std::move(column));
  }
  uint64_t keys = reader.varint();
  for (uint64_t i = 0; i < keys && reader.ok(); ++i) {
    uint64_t index = reader.varint();
    if (index >= schema.columns.size()) return corrupt;
    schema.key_columns.push_back(static_cast<uint32_t>(index));
  }
  if (!reader.ok() || !reader.at_end() || schema.key_columns.empty()) return corrupt;
  return schema;
}

}  // namespace tributary
