// The address of a ClickHouse server in a pipeline file:
//
//   clickhouse://[user@]host[:8123]/database[?parameters]
//   clickhouse+https://[user@]host[:8443]/database[?parameters]
//
//   ca=/path           certificates that the server's must come from; default: the system's
//   compression=zstd   of inserted data: zstd, lz4 or none; default lz4
//   cluster=NAME       DDL runs ON CLUSTER, tables are replicated
//   timeout=120s       of one request
#pragma once

#include <string_view>

#include "store/clickhouse/database_layout.h"
#include "store/clickhouse/http_client.h"

namespace tributary {

struct ClickHouseTarget {
  ClickHouseEndpoint endpoint;  // without a password
  DatabaseLayout layout;
};

bool is_clickhouse_url(std::string_view text);

// An error's message says what to write, and repeats no address.
Result<ClickHouseTarget> parse_clickhouse_url(std::string_view text);

}  // namespace tributary
