// Where a row comes from: `tributary trace`.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/assembly.h"

namespace tributary {

// The answer to "trace"; nullopt: another request. {"client", "relation": a domain or a live view, "key": its key columns'
// values as texts, "limit": how many of the newest events}.
//
// Of a domain's row: {"events": [{"position", "event", "value" (Debezium's envelope), "log": {"topic", "partition", "offset"} where
// the log still has it, "views": [{"view", "before": {…} or null, "after": …}]}], "dead_letters": […], "release": the live one's number}. The rows before and after are computed from raw, event by
// event, over everything that the client's other rows were at that moment.
// Of a view's row: "row", and where it is an aggregate's "from": {"columns", "rows": the rows that it counts, each behind its source row's key, "calls": [{"column",
// "live", "from_rows", "equal"}]}, else, where it is one domain row's, that one's trace.
std::optional<Result<nlohmann::json>> answer_trace_request(const Assembly& assembly, const nlohmann::json& request,
                                                           const std::function<bool()>& wanted);

}  // namespace tributary
