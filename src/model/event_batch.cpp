#include "model/event_batch.h"

#include <algorithm>

#include "model/row_key.h"

namespace tributary {
namespace {

std::vector<Column> empty_columns(const TableSchema& schema) {
  std::vector<Column> columns;
  columns.reserve(schema.columns.size());
  for (const ColumnSchema& column : schema.columns) columns.emplace_back(column.type);
  return columns;
}

}  // namespace

EventBatch::EventBatch(ClientId client_id, std::string domain_name, SchemaPtr table_schema)
    : client(std::move(client_id)),
      domain(std::move(domain_name)),
      schema(std::move(table_schema)),
      columns(empty_columns(*schema)) {}

size_t EventBatch::value_bytes() const {
  size_t bytes = ops.size() * (1 + sizeof(Position) + 16);
  for (const Column& column : columns) bytes += column.value_bytes();
  for (const Column& column : before) bytes += column.value_bytes();
  for (const Moved& entry : moved) bytes += sizeof(Moved) + entry.key.size();
  for (const RangeFact& range : ranges) bytes += sizeof(RangeFact) + range.low.size() + range.high.size();
  return bytes;
}

void EventBatch::append_row_key(std::string& out, size_t row) const {
  for (uint32_t index : schema->key_columns) append_key_part(out, columns[index], row);
}

std::string EventBatch::row_key(size_t row) const {
  std::string key;
  append_row_key(key, row);
  return key;
}

const std::string* EventBatch::moved_key(size_t row) const {
  auto at = std::lower_bound(moved.begin(), moved.end(), row,
                             [](const Moved& entry, size_t wanted) { return entry.row < wanted; });
  return at != moved.end() && at->row == row ? &at->key : nullptr;
}

void EventBatch::append_row(const EventBatch& other, size_t row) {
  auto at = static_cast<uint32_t>(ops.size());
  ops.push_back(other.ops[row]);
  positions.push_back(other.positions[row]);
  commit_micros.push_back(other.commit_micros[row]);
  transactions.push_back(other.transactions[row]);
  for (size_t i = 0; i < columns.size(); ++i) columns[i].append_from(other.columns[i], row);
  if (!other.before.empty() && before.empty()) {
    before = empty_columns(*schema);
    for (Column& column : before) {
      for (uint32_t i = 0; i < at; ++i) column.append_absent();
    }
  }
  for (size_t i = 0; i < before.size(); ++i) {
    if (other.before.empty()) {
      before[i].append_absent();
    } else {
      before[i].append_from(other.before[i], row);
    }
  }
  if (const std::string* key = other.moved_key(row)) moved.push_back({at, *key});
}

Status EventBatch::validate() const {
  auto corrupt = [&](std::string what) {
    return Error{ErrorCode::kCorrupt, fmt::format("events of {} of client {}: {}", domain, client.value, what)};
  };
  size_t count = ops.size();
  if (schema == nullptr) return corrupt("no schema");
  if (positions.size() != count || commit_micros.size() != count || transactions.size() != count) {
    return corrupt("row attributes differ in length");
  }
  if (columns.size() != schema->columns.size() || (!before.empty() && before.size() != columns.size())) {
    return corrupt("the number of columns is not the schema's");
  }
  for (const auto* image : {&columns, &before}) {
    for (size_t i = 0; i < image->size(); ++i) {
      if ((*image)[i].rows() != count)
        return corrupt(fmt::format("column {} has {} rows of {}", i, (*image)[i].rows(), count));
      if ((*image)[i].type() != schema->columns[i].type) return corrupt(fmt::format("column {} has another type", i));
    }
  }
  for (uint32_t index : schema->key_columns) {
    for (size_t row = 0; row < count; ++row) {
      if (columns[index].state(row) == CellState::kAbsent) return corrupt(fmt::format("row {} has no key", row));
    }
  }
  for (size_t i = 0; i < moved.size(); ++i) {
    if (moved[i].row >= count || (i > 0 && moved[i].row <= moved[i - 1].row)) return corrupt("moved rows out of order");
  }
  return {};
}

std::string_view op_event_name(Op op) {
  switch (op) {
    case Op::kCreate: return "created";
    case Op::kUpdate: return "updated";
    case Op::kDelete: return "deleted";
    case Op::kSnapshot: return "snapshot";
  }
  return "unknown";
}

}  // namespace tributary
