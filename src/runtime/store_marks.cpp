#include "runtime/store_marks.h"

#include <algorithm>
#include <utility>

#include "runtime/stored_facts.h"

namespace tributary {
namespace {

// Columns that others have added and dropped again are none of the definition's.
bool lacks_columns(const TableDefinition& table, const TableMark& before, const TableMark& now) {
  auto lacks = [&](const std::string& column) {
    return before.columns.contains(column) && !now.columns.contains(column);
  };
  return std::any_of(table.columns.begin(), table.columns.end(), [&](const OutputColumn& column) {
    return lacks(column.name) || (table.options.history && lacks(history_suffix + column.name));
  });
}

}  // namespace

Status StoreMarks::load() {
  if (loaded_) return {};
  ASSIGN_OR_RETURN(noted_, stored_marks(storage_));
  loaded_ = true;
  return {};
}

Result<std::vector<std::string>> StoreMarks::lost(std::span<const TableDefinition> ours) {
  RETURN_IF_ERROR(load());
  std::vector<std::string> lost;
  if (noted_.empty()) return lost;
  auto now = store_.marks();
  if (!now.ok() && !retryable(now.error().code)) return lost;  // it may not tell us
  if (!now.ok()) return std::move(now).error();
  for (const TableDefinition& table : ours) {
    auto before = noted_.find(table.name);
    if (before == noted_.end()) continue;
    auto at = now->find(table.name);
    bool known = !before->second.identity.empty();
    if (at == now->end()) {
      if (known) lost.push_back(table.name);
    } else if (lacks_columns(table, before->second, at->second) ||
               (known &&
                (at->second.identity != before->second.identity || at->second.written < before->second.written))) {
      lost.push_back(table.name);
    }
  }
  return lost;
}

Status StoreMarks::forget() {
  RETURN_IF_ERROR(load());
  StorageBatch write;
  for (auto& [table, mark] : noted_) {
    mark.identity.clear();
    mark.written = 0;
    put_mark(write, table, mark);
  }
  return write.empty() ? Status() : storage_.write(write);
}

Result<std::vector<std::string>> StoreMarks::note(std::span<const TableDefinition> ours) {
  RETURN_IF_ERROR(load());
  ASSIGN_OR_RETURN(auto now, store_.marks());
  std::vector<std::string> lost;
  for (const TableDefinition& table : ours) {
    auto before = noted_.find(table.name);
    if (before == noted_.end()) continue;
    auto at = now.find(table.name);
    bool there = at != now.end();
    if (there ? !lacks_columns(table, before->second, at->second) : before->second.identity.empty()) continue;
    lost.push_back(table.name);
    if (there) now.erase(at);
  }
  StorageBatch write;
  for (auto& [table, mark] : now) {
    TableMark& before = noted_[table];
    if (before == mark) continue;
    put_mark(write, table, mark);
    before = std::move(mark);
  }
  if (!write.empty())
    RETURN_IF_ERROR(storage_.write(write, {.sync = false}));  // lost with the machine: an older one is right, too
  return lost;
}

}  // namespace tributary
