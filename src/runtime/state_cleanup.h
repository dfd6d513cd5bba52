// The removal of keyed state that no build has any more (docs/formats/state.md).
#pragma once

#include <functional>
#include <string_view>

#include "process/state_operators.h"
#include "storage/storage.h"

namespace tributary {

// Removes all entries of keyed state of which `is_unused` says so.
Status remove_state(const Storage& storage,
                    const std::function<bool(StateOperator kind, std::string_view name)>& is_unused,
                    StorageBatch& write);

}  // namespace tributary
