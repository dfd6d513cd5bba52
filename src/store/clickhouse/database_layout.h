// Where in ClickHouse a pipeline's tables and its clients' read views lie. The embedded engine is the pipeline's own, so
// its names are plain; a server is shared with others, so a client's database is named after the tables'.
//
//   {}                                                       _tributary.orders, acme.orders
//   {.tables = "analytics", .clients_prefix = "analytics_"}  analytics.orders, analytics_acme.orders
#pragma once

#include <string>

#include "base/strong.h"

namespace tributary {

struct DatabaseLayout {
  std::string tables = "_tributary";  // the database of the views' tables
  std::string clients_prefix;  // of the databases of read views, before the client's id
  std::string cluster;  // not empty: DDL runs ON CLUSTER, and tables are replicated
  // INSERTs of a table whose repetition is known by their token, where the table is not replicated, which has a window of
  // its own. Each costs some 2 ms, so the embedded engine, whose answers hardly get lost, has none.
  unsigned deduplication_window = 0;
  std::string
      owner;  // the data directory's identity, of a server's database; empty: the database is the pipeline's own
  bool replicated = false;  // tables are replicated; the database itself brings DDL to the other replicas

  std::string client_database(const ClientId& client) const { return clients_prefix + client.value; }
};

}  // namespace tributary
