// What a running pipeline answers on its control socket, and how other commands ask it.
#pragma once

#include <functional>
#include <string>

#include "app/assembly.h"
#include "serve/control_socket.h"

namespace tributary {

// Handles requests for `assembly`, which outlives the server.
ControlHandler control_handler(const Assembly& assembly);

// A pipeline as a command finds it: it runs and is asked through its socket, or it does not and was opened for the
// command alone.
struct Reached {
  std::unique_ptr<Assembly> opened;
  bool running() const { return opened == nullptr; }
};
// Waits while other commands hold the data directory of a stopped pipeline, and while one is just starting or stopping.
// kAlreadyExists: that took longer than a minute.
Result<Reached> reach_pipeline(const Pipeline& pipeline, AssemblyParts parts);

// Whether there is a data directory that this program knows. kNotFound: none yet, so that there is nothing to `what`.
Status check_data_directory(const Pipeline& pipeline, std::string_view what);

// For `run`, whose opening waits for a command that holds the data directory: says so. kAlreadyExists: a `run` does.
Status announce_wait(const Pipeline& pipeline);

// Asks the running pipeline to run a client's query, to give events, or to wait until all that `client`'s source had
// committed when asked is queryable (false: not within `limit`).
// `whole_tables`: without the limits that hold for people, for the validator.
Status control_query(const Pipeline& pipeline, const ClientQuery& query, bool whole_tables,
                     const std::function<void(std::string_view)>& out);
// The views of the live release (config/views_text.h); empty where it does not process.
Result<std::string> control_live_views(const Pipeline& pipeline);
Result<std::string> control_status(const Pipeline& pipeline);
struct Waited {
  bool queryable = false;
  std::vector<std::string> stopped;  // clients that wait for a person: of them nothing new is queryable
};
Result<Waited> control_wait(const Pipeline& pipeline, const ClientId& client, std::chrono::milliseconds limit);
// What is appended to the log to have a client's tables read again, in a new epoch.
LogAppend reset_mark(const ClientId& client);
// Has a running pipeline append it. True: it takes effect at once, else at the next start.
Result<bool> control_reset(const Pipeline& pipeline, const ClientId& client);
Result<std::vector<std::string>> control_dead_letters(const Pipeline& pipeline, const ClientId& client,
                                                      const std::string& view);

}  // namespace tributary
