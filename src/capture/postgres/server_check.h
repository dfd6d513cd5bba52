// Whether a server can be captured from at all, before anything is made there.
#pragma once

#include <chrono>
#include <string>

#include "capture/postgres/client_context.h"

namespace tributary {

struct SourceIdentity {
  std::string system;
  uint32_t timeline = 0;
};

// What a user who may make a publication of `tables` ("schema.table") is to run.
std::string create_publication_remedy(const std::string& name, const std::vector<std::string>& tables);

// What the server is, and whether our user may replicate. kNone: nothing is in the way.
asio::awaitable<Trouble> check_server(PgConnection& control, const std::string& client_name);

// Asks who it is that answers, over a replication connection of its own.
asio::awaitable<Trouble> identify_source(asio::any_io_executor executor, const ConnectionSettings& settings,
                                         const std::string& client_name, std::chrono::milliseconds limit,
                                         SourceIdentity& identity);

// Both, for `check --connect`: a short look, on a thread of its caller, for at most about `limit`. kNone: `run` gets in.
Trouble look_at_source(const CaptureClient& client, std::chrono::milliseconds limit);

}  // namespace tributary
