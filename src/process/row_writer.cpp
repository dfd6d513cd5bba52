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

RowWriter::RowWriter(MergedRows& rows, const Relation& relation, const std::vector<uint8_t>& used)
    : rows_(rows), relation_(relation), used_(used) {
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
  auto [at, added] = layouts_.try_emplace(schema.get(), schema, Layout());
  for (uint32_t i = 0; added && i < relation_.columns.size(); ++i) {
    if (used_.empty() || used_[i] != 0) at->second.second.push_back({i, schema->find(relation_.columns[i].name)});
  }
  last_schema_ = schema;
  last_layout_ = &at->second.second;
  return *last_layout_;
}

void RowWriter::cells_of(const EventBatch& batch, size_t row) {
  for (const auto& [to, from] : layout(batch.schema)) {
    if (from) {
      append_converted(rows_.columns[to], batch.columns[*from], row);
    } else {
      rows_.columns[to].append_null();
    }
  }
}

void RowWriter::key_cells_of(const EventBatch& batch, size_t row) {
  for (const auto& [to, from] : layout(batch.schema)) {
    if (from && batch.schema->columns[*from].key) {
      append_converted(rows_.columns[to], batch.columns[*from], row);
    } else {
      rows_.columns[to].append_null();
    }
  }
}

void RowWriter::cells_of(const RowState& state) {
  for (const auto& [to, from] : layout(state.schema)) {
    if (from) {
      const CellValue& cell = state.cells[*from];
      append_cell(rows_.columns[to], state.schema->columns[*from].type, cell.state, cell.bytes);
    } else {
      rows_.columns[to].append_null();
    }
  }
}

void RowWriter::cells_of(const std::vector<StoredCell>& cells, const SchemaPtr& schema) {
  for (const auto& [to, from] : layout(schema)) {
    if (from) {
      append_cell(rows_.columns[to], schema->columns[*from].type, cells[*from].state, cells[*from].bytes);
    } else {
      rows_.columns[to].append_null();
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
