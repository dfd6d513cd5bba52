#include "runtime/dead_letters.h"

#include <algorithm>

#include "base/bytes.h"
#include "process/state_operators.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;
constexpr uint8_t dropped_flag = 1;

StateName name_of(const std::string& table) { return {static_cast<uint16_t>(StateOperator::kDeadLetter), table}; }

// Under the empty key: how many were not kept.
std::string overflow_key(const ClientId& client, const std::string& table) { return name_of(table).key(client.value); }

std::string encode(const DeadLetter& letter) {
  std::string out;
  put_u8(out, format_version);
  letter.position.append_to(out);
  put_u8(out, letter.dropped ? dropped_flag : 0);
  put_string(out, letter.reason);
  return out;
}

Result<DeadLetter> decode(std::string key, std::string_view value) {
  ByteReader reader(value);
  DeadLetter letter;
  letter.key = std::move(key);
  uint8_t version = reader.u8();
  letter.position = Position::decode(reader.bytes(Position::encoded_bytes)).value_or(Position{});
  letter.dropped = (reader.u8() & dropped_flag) != 0;
  letter.reason = reader.string();
  if (!reader.ok() || version != format_version) return Error{ErrorCode::kCorrupt, "a dead letter does not decode"};
  return letter;
}

struct Owned {
  ClientId client;
  std::string table;
  std::string key;
};

std::optional<Owned> owner_of(std::string_view state_key) {
  ByteReader reader(state_key);
  reader.u16_big();
  Owned owned;
  owned.client = ClientId{std::string(reader.bytes(reader.u8()))};
  owned.table = reader.bytes(reader.u8());
  owned.key = reader.rest();
  if (!reader.ok()) return std::nullopt;
  return owned;
}

}  // namespace

Status DeadLetters::load(const Storage& storage) {
  std::string prefix;
  put_u16_big(prefix, static_cast<uint16_t>(StateOperator::kDeadLetter));
  StorageIterator it = storage.iterate(Family::kState, prefix);
  std::lock_guard lock(mutex_);
  keys_.clear();
  counts_.clear();
  for (; it.valid(); it.next()) {
    auto owned = owner_of(it.key());
    if (!owned) return Error{ErrorCode::kCorrupt, "the key of a dead letter does not decode"};
    DeadLetterCount& count = counts_[{owned->client, owned->table}];
    if (owned->key.empty()) {
      ByteReader reader(it.value());
      count.not_kept = reader.varint();
      continue;
    }
    ASSIGN_OR_RETURN(DeadLetter letter, decode(owned->key, it.value()));
    keys_.emplace(it.key(), Known{letter.position, letter.dropped});
    if (!letter.dropped) ++count.kept;
  }
  return it.status();
}

std::set<std::string> DeadLetters::tables() const {
  std::lock_guard lock(mutex_);
  std::set<std::string> tables;
  for (const auto& [owner, count] : counts_) {
    if (count.kept > 0) tables.insert(owner.second);
  }
  return tables;
}

std::map<std::pair<ClientId, std::string>, DeadLetterCount> DeadLetters::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

DeadLetterCount& DeadLetters::count_of(const ClientId& client, const std::string& table) {
  Owner owner{client, table};
  DeadLetterCount& count = counts_[owner];
  counts_before_.try_emplace(std::move(owner), count);
  return count;
}

void DeadLetters::note_before(const std::string& id) {
  auto at = keys_.find(id);
  undo_.push_back({id, at == keys_.end() ? std::nullopt : std::optional(at->second)});
}

bool DeadLetters::erase(StorageBatch& write, const std::string& id, const ClientId& client, const std::string& table) {
  auto at = keys_.find(id);
  if (at == keys_.end()) return false;
  note_before(id);
  if (!at->second.dropped) --count_of(client, table).kept;
  keys_.erase(at);
  write.remove(Family::kState, id);
  return true;
}

void DeadLetters::note(StorageBatch& write, const std::string& table, const std::vector<DeadRow>& dead,
                       const std::vector<ClearedRow>& cleared) {
  if (dead.empty() && cleared.empty()) return;
  std::lock_guard lock(mutex_);
  StateName name = name_of(table);
  for (const ClearedRow& row : cleared) {
    std::string id = name.key(row.client.value, row.key);
    auto known = keys_.find(id);
    if (known != keys_.end() && known->second.position <= row.position) erase(write, id, row.client, table);
  }
  for (const DeadRow& row : dead) {
    std::string id = name.key(row.client.value, row.key);
    DeadLetterCount& count = count_of(row.client, table);
    auto known = keys_.find(id);
    if (known != keys_.end() && row.position < known->second.position) continue;
    bool listed = known != keys_.end() && !known->second.dropped;
    if (!listed && count.kept >= kept_max_) {
      ++count.not_kept;
      std::string value;
      put_varint(value, count.not_kept);
      write.put(Family::kState, overflow_key(row.client, table), value);
      continue;
    }
    write.put(Family::kState, id, encode({row.key, row.position, row.reason, false}));
    note_before(id);
    keys_[id] = {row.position, false};
    if (!listed) ++count.kept;
  }
}

bool DeadLetters::would_keep(const ClientId& client, const std::string& table) const {
  std::lock_guard lock(mutex_);
  auto at = counts_.find({client, table});
  return at == counts_.end() || at->second.kept < kept_max_;
}

Status DeadLetters::note_gone(StorageBatch& write, const Storage& storage, const std::string& table,
                              const std::vector<DeadRange>& gone) {
  for (const DeadRange& range : gone) {
    ASSIGN_OR_RETURN(std::vector<DeadLetter> letters, stored(storage, range.client, table));
    std::lock_guard lock(mutex_);
    for (const DeadLetter& letter : letters) {
      bool inside = letter.key >= range.low && (range.high.empty() || letter.key < range.high);
      if (inside && letter.position < range.below)
        erase(write, name_of(table).key(range.client.value, letter.key), range.client, table);
    }
  }
  return {};
}

void DeadLetters::forget(StorageBatch& write, const Storage& storage, const ClientId& client,
                         const std::string& table) {
  std::lock_guard lock(mutex_);
  for (StorageIterator it = storage.iterate(Family::kState, overflow_key(client, table)); it.valid(); it.next()) {
    write.remove(Family::kState, it.key());
    std::string id(it.key());
    if (!keys_.contains(id)) continue;
    note_before(id);
    keys_.erase(id);
  }
  count_of(client, table) = {};
}

Status DeadLetters::drop(StorageBatch& write, const Storage& storage, const ClientId& client, const std::string& table,
                         const std::vector<std::string>& keys) {
  ASSIGN_OR_RETURN(std::vector<DeadLetter> letters, stored(storage, client, table));
  std::lock_guard lock(mutex_);
  DeadLetterCount& count = count_of(client, table);
  for (DeadLetter& letter : letters) {
    bool wanted = keys.empty() || std::find(keys.begin(), keys.end(), letter.key) != keys.end();
    if (!wanted || letter.dropped) continue;
    letter.dropped = true;
    put(write, client, table, letter);
    std::string id = name_of(table).key(client.value, letter.key);
    note_before(id);
    keys_[id].dropped = true;
    --count.kept;
  }
  if (keys.empty() && count.not_kept > 0) {
    count.not_kept = 0;
    write.remove(Family::kState, overflow_key(client, table));
  }
  return {};
}

void DeadLetters::remove(StorageBatch& write, const ClientId& client, const std::string& table,
                         const std::set<std::string>& keys) {
  std::lock_guard lock(mutex_);
  for (const std::string& key : keys) erase(write, name_of(table).key(client.value, key), client, table);
}

void DeadLetters::commit() {
  std::lock_guard lock(mutex_);
  undo_.clear();
  counts_before_.clear();
  std::erase_if(counts_, [](const auto& entry) { return entry.second.kept == 0 && entry.second.not_kept == 0; });
}

void DeadLetters::roll_back() {
  std::lock_guard lock(mutex_);
  for (size_t i = undo_.size(); i-- > 0;) {
    if (undo_[i].before) {
      keys_[undo_[i].key] = *undo_[i].before;
    } else {
      keys_.erase(undo_[i].key);
    }
  }
  for (const auto& [owner, count] : counts_before_) counts_[owner] = count;
  undo_.clear();
  counts_before_.clear();
}

Result<std::vector<DeadLetter>> DeadLetters::stored(const Storage& storage, const ClientId& client,
                                                    const std::string& table) {
  std::string prefix = overflow_key(client, table);
  std::vector<DeadLetter> letters;
  StorageIterator it = storage.iterate(Family::kState, prefix);
  for (; it.valid(); it.next()) {
    if (it.key().size() == prefix.size()) continue;
    ASSIGN_OR_RETURN(DeadLetter letter, decode(std::string(it.key().substr(prefix.size())), it.value()));
    letters.push_back(std::move(letter));
  }
  RETURN_IF_ERROR(it.status());
  return letters;
}

void DeadLetters::put(StorageBatch& write, const ClientId& client, const std::string& table, const DeadLetter& letter) {
  write.put(Family::kState, name_of(table).key(client.value, letter.key), encode(letter));
}

}  // namespace tributary
