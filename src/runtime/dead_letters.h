// DeadLetters: rows that could not be computed, by client and table of a view, with position and reason; in the keyed
// state, so that they change with the round (docs/formats/state.md).
//
// A flood trips a breaker: beyond `kept_max` letters of one (client, view) further ones are only counted, so that neither
// memory nor disk is one client's to fill. It is closed again when its letters are retried or dropped.
//
// One thread changes; status methods are thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "process/view_graph.h"
#include "storage/storage.h"

namespace tributary {

struct DeadLetter {
  std::string key;  // of the view's row, or dead_key()
  Position position;
  std::string reason;
  bool dropped = false;  // a person has seen it: not listed, and its row stays withdrawn
};

struct DeadLetterCount {
  uint64_t kept = 0;  // without dropped ones
  uint64_t not_kept = 0;  // since the breaker tripped
  bool tripped() const { return not_kept > 0; }
};

class DeadLetters {
 public:
  static constexpr uint64_t kept_max_default = 10'000;
  explicit DeadLetters(uint64_t kept_max = kept_max_default) : kept_max_(kept_max) {}

  Status load(const Storage& storage);

  // Tables of views that have some.
  std::set<std::string> tables() const;
  std::map<std::pair<ClientId, std::string>, DeadLetterCount> counts() const;

  // The round's news of a table. Kept in `write`, and here until commit() or roll_back().
  void note(StorageBatch& write, const std::string& table, const std::vector<DeadRow>& dead,
            const std::vector<ClearedRow>& cleared);
  // Whether a letter about the row would be kept. A cheap look before what is not.
  bool would_keep(const ClientId& client, const std::string& table) const;
  // Rows in these ranges are gone: letters of earlier rounds about them with them.
  Status note_gone(StorageBatch& write, const Storage& storage, const std::string& table,
                   const std::vector<DeadRange>& gone);
  // Forgets all of a client's table; with it the breaker closes.
  void forget(StorageBatch& write, const Storage& storage, const ClientId& client, const std::string& table);
  // The letters (no keys: all) are not listed any more, and their rows stay withdrawn. The breaker closes.
  Status drop(StorageBatch& write, const Storage& storage, const ClientId& client, const std::string& table,
              const std::vector<std::string>& keys);
  // Those with these keys are not there any more.
  void remove(StorageBatch& write, const ClientId& client, const std::string& table, const std::set<std::string>& keys);
  void commit();
  void roll_back();

  static Result<std::vector<DeadLetter>> stored(const Storage& storage, const ClientId& client,
                                                const std::string& table);
  static void put(StorageBatch& write, const ClientId& client, const std::string& table, const DeadLetter& letter);

 private:
  using Owner = std::pair<ClientId, std::string>;
  struct Known {
    Position position;
    bool dropped = false;  // then it is not counted
  };
  struct Undo {
    std::string key;
    std::optional<Known> before;  // nullopt: it was not there
  };

  // Takes a letter out; whether there was one.
  bool erase(StorageBatch& write, const std::string& id, const ClientId& client, const std::string& table);
  void note_before(const std::string& id);
  DeadLetterCount& count_of(const ClientId& client, const std::string& table);

  uint64_t kept_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Known> keys_;  // by state key
  std::map<Owner, DeadLetterCount> counts_;
  std::map<Owner, DeadLetterCount> counts_before_;
  std::vector<Undo> undo_;
};

}  // namespace tributary
