#include "process/row_writer.h"

#include "process/convert.h"

namespace tributary {
namespace {

void append_cell(Column& to, const LogicalType& type, CellState state, std::string_view bytes) {
  if (state == CellState::kNull) {
    to.append_null();
  } else if (state == CellState::kValue && to.type() == type) {
    to.append_bytes(bytes);
  } else {
    Column single(type);
    if (state == CellState::kValue) {
      single.append_bytes(bytes);
    } else {
      single.append_text(bytes);
    }
    append_converted(to, single, 0);
  }
}

}  // namespace

RowWriter::RowWriter(MergedRows& rows, const Relation& relation) : rows_(rows), relation_(relation) {
  if (!rows.columns.empty()) return;
  for (const OutputColumn& column : relation.columns) rows.columns.emplace_back(column.type);
}

void RowWriter::begin(const ClientId& client, std::string key, const Position& position, uint32_t fill) {
  if (rows_.clients.empty() || rows_.clients[client_] != client) client_ = client_index(client);
  rows_.client_of_row.push_back(client_);
  rows_.keys.push_back(std::move(key));
  rows_.positions.push_back(position);
  rows_.fills.push_back(fill);
}

const RowWriter::Layout& RowWriter::layout(const SchemaPtr& schema) {
  if (schema == last_schema_) return *last_layout_;
  auto [at, added] = layouts_.try_emplace(schema.get(), schema, Layout(relation_.columns.size()));
  for (uint32_t i = 0; added && i < schema->columns.size(); ++i) {
    for (size_t j = 0; j < relation_.columns.size(); ++j) {
      if (relation_.columns[j].name == schema->columns[i].name) at->second.second[j] = i;
    }
  }
  last_schema_ = schema;
  last_layout_ = &at->second.second;
  return *last_layout_;
}

void RowWriter::cells_of(const EventBatch& batch, size_t row) {
  const Layout& from = layout(batch.schema);
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i]) {
      append_converted(rows_.columns[i], batch.columns[*from[i]], row);
    } else {
      rows_.columns[i].append_null();
    }
  }
}

void RowWriter::key_cells_of(const EventBatch& batch, size_t row) {
  const Layout& from = layout(batch.schema);
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] && batch.schema->columns[*from[i]].key) {
      append_converted(rows_.columns[i], batch.columns[*from[i]], row);
    } else {
      rows_.columns[i].append_null();
    }
  }
}

void RowWriter::cells_of(const RowState& state) {
  const Layout& from = layout(state.schema);
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i]) {
      const CellValue& cell = state.cells[*from[i]];
      append_cell(rows_.columns[i], state.schema->columns[*from[i]].type, cell.state, cell.bytes);
    } else {
      rows_.columns[i].append_null();
    }
  }
}

void RowWriter::cells_of(const std::vector<StoredCell>& cells, const SchemaPtr& schema) {
  const Layout& from = layout(schema);
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i]) {
      append_cell(rows_.columns[i], schema->columns[*from[i]].type, cells[*from[i]].state, cells[*from[i]].bytes);
    } else {
      rows_.columns[i].append_null();
    }
  }
}

uint32_t RowWriter::client_index(const ClientId& client) {
  for (uint32_t i = 0; i < rows_.clients.size(); ++i) {
    if (rows_.clients[i] == client) return i;
  }
  rows_.clients.push_back(client);
  return static_cast<uint32_t>(rows_.clients.size() - 1);
}

}  // namespace tributary
