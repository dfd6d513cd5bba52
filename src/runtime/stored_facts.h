// StoredFacts: small facts of the runtime that outlive a process, by name.
// docs/formats/state.md lists the keys.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/strong.h"
#include "process/attributes.h"
#include "storage/storage.h"

namespace tributary {

// (client, domain) pairs whose events are kept in raw only, since the client's table does not fit.
Result<std::set<std::pair<ClientId, std::string>>> stored_set_aside(const Storage& storage);
void put_set_aside(StorageBatch& write, const std::set<std::pair<ClientId, std::string>>& before,
                   const std::set<std::pair<ClientId, std::string>>& now);

Result<std::optional<ClientAttributes>> stored_attributes(const Storage& storage, const ClientId& client);
// Clients that attributes are stored of: all that were ever in the pipeline file.
Result<std::vector<ClientId>> stored_clients(const Storage& storage);
void put_attributes(StorageBatch& write, const ClientId& client, const ClientAttributes& attributes);

// Tables whose new build the store has whole: the sender notes them, the rounds take them.
void put_switched(StorageBatch& write, const std::string& table);
Result<std::vector<std::string>> stored_switched(const Storage& storage);
void remove_switched(StorageBatch& write, const std::string& table);

// Tables that no build has any more, to be dropped from the store.
void put_unused(StorageBatch& write, const std::string& table);
Result<std::vector<std::string>> stored_unused(const Storage& storage);
void remove_unused(StorageBatch& write, const std::string& table);

}  // namespace tributary
