// The engine's own configuration files: what it may use, and who may see what.
//
// chDB has one user, "default", for every session, so users cannot tell clients apart. The current database can: a
// session of a client has the client's database as its current one, and the row filters written here show it
//   - of the tables of `owner_database`, the rows whose `client_column` is the name of the current database;
//   - of ClickHouse's own tables (system.*), its own tables' and columns' names, and else nothing.
// A session whose current database is `owner_database` is the owner and sees all. The grants leave out every source
// outside (files, URLs, other servers). What remains for the gate in front is USE, and names of things.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace tributary {

// docs/formats/analytics-table.md
inline constexpr const char* owner_database = "_tributary";
inline constexpr const char* client_column = "client_id";

struct EngineLimits {
  uint64_t memory_bytes_max = 0;  // for all queries, merges and caches together
  unsigned threads = 2;           // of one query; also background merges
  bool walls = true;  // false: no row filters, as a server of somebody else has none; for tests and the demo
};

std::string engine_server_config(const EngineLimits& limits, const std::string& users_file,
                                 const std::string& empty_directory);
std::string engine_users_config(const EngineLimits& limits);

// Half of the machine's memory (or of the control group's limit where that is less), at most 4 GiB.
uint64_t default_engine_memory_bytes();

}  // namespace tributary
