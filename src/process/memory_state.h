// MemoryState: KeyedState in memory, for tests, the simulation and `tributary check`.
#pragma once

#include <map>
#include <string>

#include "contracts/keyed_state.h"

namespace tributary {

class MemoryState final : public KeyedState {
 public:
  Result<std::vector<std::optional<std::string>>> get(std::span<const std::string> keys) override {
    std::vector<std::optional<std::string>> values;
    for (const std::string& key : keys) {
      auto at = entries_.find(key);
      values.push_back(at == entries_.end() ? std::nullopt : std::optional(at->second));
    }
    return values;
  }
  void put(std::string_view key, std::string_view value) override {
    entries_.insert_or_assign(std::string(key), std::string(value));
  }
  void erase(std::string_view key) override {
    if (auto at = entries_.find(key); at != entries_.end()) entries_.erase(at);
  }
  // `visit` may not change the state.
  Status scan(std::string_view prefix, std::string_view from,
              const std::function<bool(std::string_view, std::string_view)>& visit) override {
    for (auto at = entries_.lower_bound(std::max(prefix, from)); at != entries_.end(); ++at) {
      if (!at->first.starts_with(prefix) || !visit(at->first, at->second)) break;
    }
    return {};
  }

  const std::map<std::string, std::string, std::less<>>& entries() const { return entries_; }

 private:
  std::map<std::string, std::string, std::less<>> entries_;
};

// One round of one worker over a MemoryState: what it writes is there once commit() was called.
class MemoryRound final : public KeyedState {
 public:
  explicit MemoryRound(MemoryState& base) : base_(base) {}

  Result<std::vector<std::optional<std::string>>> get(std::span<const std::string> keys) override {
    auto values = base_.get(keys).value();
    for (size_t i = 0; i < keys.size(); ++i) {
      if (auto at = changes_.find(keys[i]); at != changes_.end()) values[i] = at->second;
    }
    return values;
  }
  void put(std::string_view key, std::string_view value) override {
    changes_.insert_or_assign(std::string(key), std::string(value));
  }
  void erase(std::string_view key) override { changes_.insert_or_assign(std::string(key), std::nullopt); }
  Status scan(std::string_view prefix, std::string_view from,
              const std::function<bool(std::string_view, std::string_view)>& visit) override {
    auto merged = base_.entries();
    for (const auto& [key, value] : changes_) {
      if (value) {
        merged.insert_or_assign(key, *value);
      } else {
        merged.erase(key);
      }
    }
    for (auto at = merged.lower_bound(std::max(prefix, from)); at != merged.end(); ++at) {
      if (!at->first.starts_with(prefix) || !visit(at->first, at->second)) break;
    }
    return {};
  }
  void commit() {
    for (const auto& [key, value] : changes_) {
      if (value) {
        base_.put(key, *value);
      } else {
        base_.erase(key);
      }
    }
    changes_.clear();
  }

 private:
  MemoryState& base_;
  std::map<std::string, std::optional<std::string>, std::less<>> changes_;
};

}  // namespace tributary
