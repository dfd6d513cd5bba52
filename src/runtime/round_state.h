// RoundState: KeyedState over Storage for one round. Writes are kept in memory, seen by later reads, and go into
// the round's atomic write.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "contracts/keyed_state.h"
#include "storage/storage.h"

namespace tributary {

class RoundState final : public KeyedState {
 public:
  explicit RoundState(Storage& storage) : storage_(storage) {}

  Result<std::vector<std::optional<std::string>>> get(std::span<const std::string> keys) override;
  void put(std::string_view key, std::string_view value) override;
  void erase(std::string_view key) override;
  Status scan(std::string_view prefix, std::string_view from,
              const std::function<bool(std::string_view, std::string_view)>& visit) override;

  void add_to(StorageBatch& batch) const;

 private:
  Storage& storage_;
  std::map<std::string, std::optional<std::string>, std::less<>> changes_;  // nullopt: erased
};

}  // namespace tributary
