// What `tributary init` finds in a database: capture/ looks, config/ writes a pipeline file for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tributary {

struct DescribedTable {
  std::string schema;  // "public"
  std::string name;
  std::vector<std::string> columns;
  std::vector<std::string> primary_key;        // empty: none
  char replica_identity = 'd';                 // as pg_class.relreplident: d, n, f, i
  std::vector<std::string> identity_columns;   // of the index, for 'i'
  int64_t rows_estimated = -1;                 // -1: unknown
  bool partitioned = false;                    // the parent of partitions, which are not described themselves
  bool unlogged = false;
  char kind = 'r';                             // as pg_class.relkind: r, p, f(oreign), m(aterialized view), v(iew)
  bool key_deferrable = false;                 // the index of its row key
  bool readable = true;                        // the user that looked may SELECT from it
};

struct DatabaseDescription {
  std::string url;              // as given to init, without a password
  std::string password;         // how the file may name the password: "${env:PGPASSWORD}"; empty: a commented line
  std::string user;
  std::string database;
  int server_version = 0;       // 150004; 0: unknown
  std::string wal_level;
  int64_t replication_slots_max = -1;
  int64_t replication_slots_used = -1;
  bool user_may_replicate = false;
  bool user_is_superuser = false;
  std::vector<DescribedTable> tables;
};

}  // namespace tributary
