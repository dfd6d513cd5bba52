#include "runtime/round_state.h"

#include <cstring>
#include <new>

namespace tributary {

RoundState::RoundState(Storage& storage)
    : storage_(storage),
      changes_(*new(arena_.allocate(sizeof(Changes), alignof(Changes))) Changes(&arena_)),
      last_(changes_.end()) {}

Result<std::vector<std::optional<std::string>>> RoundState::get(std::span<const std::string> keys) {
  if (changes_.empty()) return storage_.multi_get(Family::kState, keys);
  std::vector<std::optional<std::string>> values(keys.size());
  std::vector<std::string> missing;
  std::vector<size_t> missing_at;
  for (size_t i = 0; i < keys.size(); ++i) {
    auto at = changes_.find(keys[i]);
    if (at != changes_.end()) {
      if (!at->second.erased) values[i].emplace(at->second.value);
    } else {
      missing.push_back(keys[i]);
      missing_at.push_back(i);
    }
  }
  if (missing.empty()) return values;
  ASSIGN_OR_RETURN(auto stored, storage_.multi_get(Family::kState, missing));
  for (size_t i = 0; i < missing.size(); ++i) values[missing_at[i]] = std::move(stored[i]);
  return values;
}

RoundState::Change& RoundState::change_of(std::string_view key) {
  // Most keys come in order: behind the last one.
  if (last_ != changes_.end() && last_->first < key) {
    auto next = std::next(last_);
    if (next == changes_.end() || key < next->first) {
      last_ = changes_.emplace_hint(next, arena_.keep(key), Change{});
      return last_->second;
    }
  }
  last_ = changes_.lower_bound(key);
  if (last_ == changes_.end() || last_->first != key) last_ = changes_.emplace_hint(last_, arena_.keep(key), Change{});
  return last_->second;
}

void RoundState::put(std::string_view key, std::string_view value) {
  Change& change = change_of(key);
  change.erased = false;
  if (value.size() > change.room) {
    change.value = arena_.keep(value);
    change.room = value.size();
    return;
  }
  std::memcpy(const_cast<char*>(change.value.data()), value.data(), value.size());  // ours, in the arena
  change.value = {change.value.data(), value.size()};
}

void RoundState::erase(std::string_view key) { change_of(key).erased = true; }

Status RoundState::scan(std::string_view prefix, std::string_view from,
                        const std::function<bool(std::string_view, std::string_view)>& visit) {
  StorageIterator stored = storage_.iterate(Family::kState, prefix);
  if (from > prefix) stored.seek(from);
  auto changed = changes_.lower_bound(std::max(prefix, from));
  auto in_range = [&] { return changed != changes_.end() && changed->first.starts_with(prefix); };
  while (stored.valid() || in_range()) {
    bool take_changed = in_range() && (!stored.valid() || changed->first <= stored.key());
    if (!take_changed) {
      if (!visit(stored.key(), stored.value())) break;
      stored.next();
      continue;
    }
    if (stored.valid() && stored.key() == changed->first) stored.next();
    if (!changed->second.erased && !visit(changed->first, changed->second.value)) break;
    ++changed;
  }
  return stored.status();
}

void RoundState::add_to(StorageBatch& batch) const {
  for (const auto& [key, change] : changes_) {
    if (change.erased) {
      batch.remove(Family::kState, key);
    } else {
      batch.put(Family::kState, key, change.value);
    }
  }
}

}  // namespace tributary
