// RowWriter: rows of a domain as its facts and states have them, in the relation's layout: columns by name, converted where a
// client's type is another one, NULL where its table has none of that name.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "process/domain_merge.h"
#include "process/row_state.h"

namespace tributary {

class RowWriter {
 public:
  // `used`: as MergeOptions::used_columns; lives as long as the writer.
  RowWriter(MergedRows& rows, const Relation& relation, const std::vector<uint8_t>& used);

  // Opens a row, whose cells one of the others appends.
  void begin(const ClientId& client, std::string key, const Position& position, uint32_t fill);

  void cells_of(const EventBatch& batch, size_t row);
  void cells_of(const RowState& state);
  void cells_of(const std::vector<StoredCell>& cells, const SchemaPtr& schema);  // views, which are copied
  void key_cells_of(const EventBatch& batch, size_t row);  // the others are NULL

 private:
  struct Place {
    uint32_t to;  // relation column
    std::optional<uint32_t> from;  // the schema's; nullopt where it has none of that name
  };
  using Layout = std::vector<Place>;  // of the columns that are used
  const Layout& layout(const SchemaPtr& schema);
  uint32_t client_index(const ClientId& client);

  MergedRows& rows_;
  const Relation& relation_;
  const std::vector<uint8_t>& used_;
  uint32_t client_ = 0;
  SchemaPtr last_schema_;  // of last_layout_
  const Layout* last_layout_ = nullptr;
  std::unordered_map<const TableSchema*, std::pair<SchemaPtr, Layout>> layouts_;
};

}  // namespace tributary
