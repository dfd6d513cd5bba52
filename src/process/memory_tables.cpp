#include "process/memory_tables.h"

#include <algorithm>
#include <bit>

#include "process/convert.h"

namespace tributary {
namespace {

Version before(Version version) {
  for (size_t i = version.bytes.size(); i-- > 0;) {
    if (version.bytes[i]-- != 0) break;
  }
  return version;
}

}  // namespace

std::string cell_text(const Column& column, size_t row) {
  switch (column.state(row)) {
    case CellState::kNull: return null_text;
    case CellState::kText: return "\1TEXT " + std::string(column.text(row));
    case CellState::kAbsent: return "\1ABSENT";
    default: return value_to_text(column, row);
  }
}

void MemoryTables::withdraw(const Withdrawal& withdrawal) {
  for (auto& [id, kept] : kept_) {
    if (id.view != withdrawal.view || id.client != withdrawal.client.value || kept.deleted) continue;
    if (id.key < withdrawal.low || (!withdrawal.high.empty() && id.key >= withdrawal.high)) continue;
    if (kept.version < withdrawal.below) kept = {before(withdrawal.below), true, {}};
  }
}

void MemoryTables::insert(const TableDefinition& table, const OutputBatch& rows) {
  std::vector<size_t> sorted;
  std::vector<std::string> names;
  for (const OutputColumn& column : table.columns) names.push_back(column.name);
  for (const std::string& name : table.order_by) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (names[i] == name) sorted.push_back(i);
    }
  }
  for (size_t row = 0; row < rows.rows(); ++row) {
    Id id{table.name, rows.clients[rows.client_of_row[row]].value, {}, rows.keys[row]};
    for (size_t column : sorted) id.sort += cell_text(rows.columns[column], row) + '\0';
    Kept now{rows.versions[row], rows.deleted[row] != 0, {}};
    for (size_t i = 0; i < rows.columns.size(); ++i) now.cells[names[i]] = cell_text(rows.columns[i], row);
    auto [at, added] = kept_.try_emplace(std::move(id), now);
    if (added || now.version < at->second.version) continue;
    if (now.version == at->second.version && !now.same(at->second)) ++conflicts_;
    at->second = std::move(now);
  }
}

void MemoryTables::drop(const std::string& view) {
  std::erase_if(kept_, [&](const auto& entry) { return entry.first.view == view; });
}

std::vector<std::vector<std::string>> MemoryTables::rows(const std::string& view, const ClientId& client,
                                                         std::span<const OutputColumn> columns) const {
  std::vector<std::vector<std::string>> out;
  for (const auto& [id, kept] : kept_) {
    if (id.view != view || id.client != client.value || kept.deleted) continue;
    auto& cells = out.emplace_back();
    for (const OutputColumn& column : columns) {
      auto cell = kept.cells.find(column.name);
      cells.push_back(cell == kept.cells.end() ? null_text : cell->second);
    }
  }
  return out;
}

}  // namespace tributary
