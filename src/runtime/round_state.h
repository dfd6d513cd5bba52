// RoundState: KeyedState over Storage for one round. Writes are kept in memory, seen by later reads, and go into
// the round's atomic write.
//
// Keys, values and what keeps them in order are in one arena, which goes as a whole at the round's end: a round makes millions
// of them. A value that is put again takes its old place where it fits.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/arena.h"
#include "contracts/keyed_state.h"
#include "storage/storage.h"

namespace tributary {

class RoundState final : public KeyedState {
 public:
  explicit RoundState(Storage& storage);

  Result<std::vector<std::optional<std::string>>> get(std::span<const std::string> keys) override;
  void put(std::string_view key, std::string_view value) override;
  void erase(std::string_view key) override;
  Status scan(std::string_view prefix, std::string_view from,
              const std::function<bool(std::string_view, std::string_view)>& visit) override;

  void add_to(StorageBatch& batch) const;

 private:
  struct Change {
    std::string_view value;
    size_t room = 0;  // at `value`
    bool erased = true;
  };
  using Changes = std::pmr::map<std::string_view, Change>;

  Change& change_of(std::string_view key);

  Storage& storage_;
  Arena arena_;
  Changes& changes_;  // in the arena, and never destroyed: nothing in it needs to be
  Changes::iterator last_;  // what was written last
};

}  // namespace tributary
