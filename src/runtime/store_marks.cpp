#include "runtime/store_marks.h"

#include "runtime/stored_facts.h"

namespace tributary {

Result<std::vector<std::string>> StoreMarks::lost() {
  ASSIGN_OR_RETURN(auto noted, stored_marks(storage_));
  std::vector<std::string> lost;
  if (noted.empty()) return lost;
  auto now = store_.marks();
  if (!now.ok() && !retryable(now.error().code)) return lost;  // it may not tell us
  if (!now.ok()) return std::move(now).error();
  for (const auto& [table, before] : noted) {
    auto at = now->find(table);
    bool has_it = at != now->end() && at->second.identity == before.identity && at->second.written >= before.written;
    if (!has_it) lost.push_back(table);
  }
  return lost;
}

Status StoreMarks::forget() {
  ASSIGN_OR_RETURN(auto noted, stored_marks(storage_));
  noted_.clear();
  StorageBatch write;
  for (const auto& [table, mark] : noted) remove_mark(write, table);
  return write.empty() ? Status() : storage_.write(write);
}

Status StoreMarks::note() {
  ASSIGN_OR_RETURN(auto now, store_.marks());
  StorageBatch write;
  for (const auto& [table, mark] : now) {
    auto at = noted_.find(table);
    if (at == noted_.end() || at->second != mark) put_mark(write, table, mark);
  }
  if (!write.empty())
    RETURN_IF_ERROR(storage_.write(write, {.sync = false}));  // lost with the machine: an older one is right, too
  noted_ = std::move(now);
  return {};
}

}  // namespace tributary
