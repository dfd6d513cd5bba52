// TableSchema: the columns of one table of one client, as they were when a row was written.
//
// Versions of a (client, table) are numbered from 1 and never reused or taken back: a replay does not run DDL
// backwards. The content, without the number, has a canonical text (docs/formats/schema.md), by which
// two schemas are the same or not.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/type.h"

namespace tributary {

struct ColumnSchema {
  std::string name;         // as in the source
  LogicalType type;
  std::string source_type;  // as the source names it: "numeric(12,2)", "timestamp with time zone"
  bool key = false;         // part of the row key
  bool may_be_absent = false;  // an update may leave it out (PostgreSQL: its storage is not plain)

  friend bool operator==(const ColumnSchema&, const ColumnSchema&) = default;
};

enum class OldImage : uint8_t {  // what an update or delete says of the row before
  kKey = 0,                      // PostgreSQL: REPLICA IDENTITY DEFAULT and INDEX
  kFull = 1,                     // FULL
};

struct TableSchema {
  std::string table;                  // "public.orders"
  uint32_t version = 0;               // 0: not registered yet
  OldImage old_image = OldImage::kKey;
  std::vector<ColumnSchema> columns;  // in the source's order
  std::vector<uint32_t> key_columns;  // indexes into columns, in the key's order; never empty

  std::optional<uint32_t> find(std::string_view name) const;
  // Same content; versions are not compared.
  bool same_content(const TableSchema& other) const;

  std::string encode() const;  // with its version
  static Result<TableSchema> decode(std::string_view bytes);
};

using SchemaPtr = std::shared_ptr<const TableSchema>;

}  // namespace tributary
