// StoredFacts: small facts of the runtime that outlive a process, by name.
// docs/formats/state.md lists the keys.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/strong.h"
#include "contracts/analytics.h"
#include "contracts/event_log.h"
#include "process/attributes.h"
#include "storage/storage.h"

namespace tributary {

// (client, domain) whose table does not fit → the newest version of it that did, 0 where none did. Events of newer ones are kept
// in raw only.
using ClientsSetAside = std::map<std::pair<ClientId, std::string>, uint32_t>;
Result<ClientsSetAside> stored_set_aside(const Storage& storage);
void put_set_aside(StorageBatch& write, const ClientsSetAside& before, const ClientsSetAside& now);

Result<std::optional<ClientAttributes>> stored_attributes(const Storage& storage, const ClientId& client);
// Clients that attributes are stored of: all that were ever in the pipeline file.
Result<std::vector<ClientId>> stored_clients(const Storage& storage);
void put_attributes(StorageBatch& write, const ClientId& client, const ClientAttributes& attributes);

// Offsets by partition: up to where the log was processed as of the newest checkpoint, up to where all of it is queryable, and
// up to where a raw store outside of the checkpoint has it.
constexpr std::string_view processed_offsets = "runtime/offset/";
constexpr std::string_view queryable_offsets = "runtime/acknowledged/";
constexpr std::string_view raw_offsets = "runtime/raw_offset/";
Result<std::map<TopicPartition, Offset>> stored_offsets(const Storage& storage, std::string_view of);
void put_offset(StorageBatch& write, std::string_view of, const TopicPartition& partition, Offset next);

// What a raw store outside of the checkpoint lacks, since the log removed it: sentences.
Result<std::vector<std::string>> stored_raw_gaps(const Storage& storage);
void put_raw_gap(StorageBatch& write, const std::string& gap);

// Dead letters of which it is not known whether newer facts about their rows had come before: raw did not have them yet.
struct UncheckedLetters {
  ClientId client;
  std::string domain;
  std::string table;  // of the view
  friend auto operator<=>(const UncheckedLetters&, const UncheckedLetters&) = default;
};
using RowKeys = std::map<std::string, std::string>;  // by letter's key: of the domain's row
Result<std::map<UncheckedLetters, RowKeys>> stored_unchecked(const Storage& storage);
void put_unchecked(StorageBatch& write, const UncheckedLetters& of, const std::string& key, const std::string& row_key);
void remove_unchecked(StorageBatch& write, const UncheckedLetters& of, const std::string& key);

// Tables whose new build the store has whole: the sender notes them, the rounds take them.
void put_switched(StorageBatch& write, const std::string& table);
Result<std::vector<std::string>> stored_switched(const Storage& storage);
void remove_switched(StorageBatch& write, const std::string& table);

// Tables that no build has any more, to be dropped from the store.
void put_unused(StorageBatch& write, const std::string& table);
Result<std::vector<std::string>> stored_unused(const Storage& storage);
void remove_unused(StorageBatch& write, const std::string& table);

// Facts by key, of one owner: what is not as it was before.
void put_changed_facts(StorageBatch& write, const std::map<std::string, std::string>& before,
                       const std::map<std::string, std::string>& now);

// What the store said of a table once everything sent to it was acknowledged (store_marks.h).
void put_mark(StorageBatch& write, const std::string& table, const TableMark& mark);
Result<std::map<std::string, TableMark>> stored_marks(const Storage& storage);
void remove_mark(StorageBatch& write, const std::string& table);

// Tables that lack rows, until another build of their view is there.
enum class Incomplete : uint8_t {
  kDropped,  // by us, since the store refused them for too long
  kLost,  // by the store
};
void put_incomplete(StorageBatch& write, const std::string& table, Incomplete why);
Result<std::map<std::string, Incomplete>> stored_incomplete(const Storage& storage);
void remove_incomplete(StorageBatch& write, const std::string& table);

}  // namespace tributary
