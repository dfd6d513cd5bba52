// The columns of a client's tables as they are now, for the lock file: a short look, on a thread of its caller.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "contracts/change_source.h"
#include "model/schema.h"

namespace tributary {

// One entry a table of the client. Blocks for at most about `limit`. Errors: the database cannot be reached or asked.
Result<std::vector<TableLook>> describe_tables(const CaptureClient& client, std::chrono::milliseconds limit);

}  // namespace tributary
