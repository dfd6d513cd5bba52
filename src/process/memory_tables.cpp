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

void MemoryTables::insert(const std::string& view, const ViewPlan& plan, const OutputBatch& rows) {
  std::vector<size_t> sorted;
  for (const std::string& name : plan.order_by) {
    for (size_t i = 0; i < plan.columns().size(); ++i) {
      if (plan.columns()[i].name == name) sorted.push_back(i);
    }
  }
  for (size_t row = 0; row < rows.rows(); ++row) {
    Id id{view, rows.clients[rows.client_of_row[row]].value, {}, rows.keys[row]};
    for (size_t column : sorted) id.sort += cell_text(rows.columns[column], row) + '\0';
    Kept now{rows.versions[row], rows.deleted[row] != 0, {}};
    for (const Column& column : rows.columns) now.cells.push_back(cell_text(column, row));
    auto [at, added] = kept_.try_emplace(std::move(id), now);
    if (!added && now.version >= at->second.version) at->second = std::move(now);
  }
}

std::vector<std::vector<std::string>> MemoryTables::rows(const std::string& view, const ClientId& client) const {
  std::vector<std::vector<std::string>> out;
  for (const auto& [id, kept] : kept_) {
    if (id.view == view && id.client == client.value && !kept.deleted) out.push_back(kept.cells);
  }
  return out;
}

}  // namespace tributary
