// What a running pipeline answers on its control socket, and how other commands ask it.
#pragma once

#include <functional>
#include <string>

#include "app/assembly.h"
#include "serve/control_socket.h"

namespace tributary {

// Handles requests for `assembly`, which outlives the server.
ControlHandler control_handler(const Assembly& assembly);

// Whether a process holds the pipeline's data directory.
bool pipeline_is_running(const Pipeline& pipeline);

// Asks the running pipeline to run a client's query, to give events, or to wait until all that `client`'s source had
// committed when asked is queryable (false: not within `limit`).
// `whole_tables`: without the limits that hold for people, for the validator.
Status control_query(const Pipeline& pipeline, const ClientQuery& query, bool whole_tables,
                     const std::function<void(std::string_view)>& out);
Result<std::string> control_status(const Pipeline& pipeline);
Result<bool> control_wait(const Pipeline& pipeline, const ClientId& client, std::chrono::milliseconds limit);
Result<std::vector<std::string>> control_dead_letters(const Pipeline& pipeline, const ClientId& client,
                                                      const std::string& view);

}  // namespace tributary
