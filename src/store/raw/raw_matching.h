// Which events of a batch a query asks for. Pure.
#pragma once

#include "contracts/raw_store.h"

namespace tributary {

// Drops the events that do not match. Of a query by key, range facts that cover one of the keys match.
void keep_matching(EventBatch& events, const RawQuery& query);

}  // namespace tributary
