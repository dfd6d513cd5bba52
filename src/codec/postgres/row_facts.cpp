#include "codec/postgres/row_facts.h"

#include "codec/postgres/text_values.h"
#include "model/row_key.h"

namespace tributary {
namespace {

using Cells = std::vector<PgCell>;

void append_to(Column& column, const PgCell& cell, const ServerText& text, std::string& scratch) {
  switch (cell.kind) {
    case PgCell::Kind::kText: append_postgres_text(column, text.to_utf8(cell.text, scratch)); return;
    case PgCell::Kind::kNull: column.append_null(); return;
    case PgCell::Kind::kUnchanged: column.append_absent(); return;
  }
}

bool same_key_text(const TableSchema& schema, const Cells& a, const Cells& b) {
  for (uint32_t index : schema.key_columns) {
    if (a[index].kind != b[index].kind || a[index].text != b[index].text) return false;
  }
  return true;
}

Status check_row(const TableSchema& schema, const Cells& row) {
  if (row.size() != schema.columns.size()) {
    return Error{ErrorCode::kCorrupt, fmt::format("a row of {} came with {} columns where {} were announced",
                                                  schema.table, row.size(), schema.columns.size())};
  }
  for (uint32_t index : schema.key_columns) {
    if (row[index].kind == PgCell::Kind::kUnchanged) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("a row of {} came without its key column {}", schema.table, schema.columns[index].name)};
    }
  }
  return {};
}

}  // namespace

std::string row_key_of(const TableSchema& schema, const Cells& row, const ServerText& text) {
  std::string key;
  std::string scratch;
  for (uint32_t index : schema.key_columns) {
    Column column(schema.columns[index].type);
    append_to(column, row[index], text, scratch);
    append_key_part(key, column, 0);
  }
  return key;
}

void RowFacts::append_cell(Column& column, const PgCell& cell) { append_to(column, cell, text_, scratch_); }

EventBatch& RowFacts::batch_of(const TableTarget& target) {
  if (last_ < batches_.size() && batches_[last_].schema == target.schema) return batches_[last_];
  for (last_ = 0; last_ < batches_.size(); ++last_) {
    if (batches_[last_].schema == target.schema) return batches_[last_];
  }
  return batches_.emplace_back(client_, target.domain, target.schema);
}

void RowFacts::append(EventBatch& batch, const FactOrigin& origin, Op op, const Cells& row, const Cells* before) {
  size_t at = batch.ops.size();
  batch.ops.push_back(op);
  batch.positions.push_back(origin.position);
  batch.commit_micros.push_back(origin.commit_micros);
  batch.transactions.push_back(origin.transaction);
  size_t bytes = sizeof(Position) + 17;
  for (size_t i = 0; i < row.size(); ++i) {
    append_cell(batch.columns[i], row[i]);
    bytes += row[i].text.size() + 1;
  }
  if (before != nullptr && batch.before.empty()) {
    for (const ColumnSchema& column : batch.schema->columns) {
      Column& image = batch.before.emplace_back(column.type);
      for (size_t i = 0; i < at; ++i) image.append_absent();
    }
  }
  for (size_t i = 0; i < batch.before.size(); ++i) {
    if (before == nullptr) {
      batch.before[i].append_absent();
    } else {
      append_cell(batch.before[i], (*before)[i]);
      bytes += (*before)[i].text.size();
    }
  }
  ++facts_;
  bytes_ += bytes;
}

Status RowFacts::add_row(const TableTarget& target, const FactOrigin& origin, Op op, const Cells& row) {
  RETURN_IF_ERROR(check_row(*target.schema, row));
  append(batch_of(target), origin, op, row, nullptr);
  return {};
}

void RowFacts::append_old(EventBatch& batch, const FactOrigin& origin, char old_image, const Cells& old_row) {
  if (old_image == 'O') {
    append(batch, origin, Op::kDelete, old_row, nullptr);
    return;
  }
  Cells key_only(old_row.size(), {PgCell::Kind::kUnchanged, {}});  // the others came as NULL, and mean nothing
  for (uint32_t index : batch.schema->key_columns) key_only[index] = old_row[index];
  append(batch, origin, Op::kDelete, key_only, nullptr);
}

Status RowFacts::add_delete(const TableTarget& target, const FactOrigin& origin, char old_image, const Cells& old_row) {
  RETURN_IF_ERROR(check_row(*target.schema, old_row));
  append_old(batch_of(target), origin, old_image, old_row);
  return {};
}

Status RowFacts::add_update(const TableTarget& target, const FactOrigin& origin, char old_image, const Cells& old_row,
                            const Cells& new_row) {
  const TableSchema& schema = *target.schema;
  if (old_image == 0) {
    RETURN_IF_ERROR(check_row(schema, new_row));
    append(batch_of(target), origin, Op::kUpdate, new_row, nullptr);
    return {};
  }
  RETURN_IF_ERROR(check_row(schema, old_row));
  merged_ = new_row;
  for (size_t i = 0; i < merged_.size() && i < old_row.size(); ++i) {
    bool known = old_image == 'O' || schema.columns[i].key;
    if (merged_[i].kind == PgCell::Kind::kUnchanged && known) merged_[i] = old_row[i];
  }
  RETURN_IF_ERROR(check_row(schema, merged_));
  EventBatch& batch = batch_of(target);
  if (!same_key_text(schema, old_row, merged_)) {
    std::string old_key = row_key_of(schema, old_row, text_);
    std::string new_key = row_key_of(schema, merged_, text_);
    if (old_key != new_key) {
      append_old(batch, origin, old_image, old_row);
      batch.moved.push_back({static_cast<uint32_t>(batch.rows() - 1), new_key});
      append(batch, origin, Op::kCreate, merged_, nullptr);
      batch.moved.push_back({static_cast<uint32_t>(batch.rows() - 1), old_key});
      return {};
    }
  }
  append(batch, origin, Op::kUpdate, merged_, old_image == 'O' ? &old_row : nullptr);
  return {};
}

void RowFacts::add_range(const TableTarget& target, RangeFact range) {
  bytes_ += sizeof(RangeFact) + range.low.size() + range.high.size();
  ++facts_;
  batch_of(target).ranges.push_back(std::move(range));
}

std::vector<EventBatch> RowFacts::take() {
  facts_ = 0;
  bytes_ = 0;
  last_ = 0;
  return std::exchange(batches_, {});
}

}  // namespace tributary
