// What the database's catalog says of the tables that are captured, and schemas made of it and of relation messages.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "capture/postgres/connection.h"
#include "capture/postgres/source_state.h"
#include "codec/postgres/pgoutput.h"
#include "model/schema.h"

namespace tributary {

// A type as a column has it, with domains followed to their base.
struct CatalogType {
  uint32_t base = 0;
  int32_t base_modifier = -1;
  std::string name;  // format_type: "numeric(12,2)", "public.citext"
};

struct CatalogColumn {
  SnapshotColumn column;
  CatalogType type;
  std::string equals = "=";
  bool may_be_absent = false;  // its storage lets an update leave it out
};

// A table as the catalog has it now.
struct CatalogTable {
  uint32_t oid = 0;
  TableName name;
  char kind = 'r';            // pg_class.relkind
  char persistence = 'p';     // pg_class.relpersistence
  char replica_identity = 'd';
  std::string reader;         // the role that we are
  bool readable = true;       // it may SELECT from it
  bool rows_hidden = false;   // by row-level security: a read of it would miss rows that the stream has
  bool key_deferrable = false;
  bool is_partition = false;
  bool key_unpublished = false;  // a column of its key is generated, and its values are in no event
  std::vector<CatalogColumn> columns;
  std::vector<std::string> key;  // the row key's columns, in its index's order; empty: none

  // Why its changes cannot be captured, with what to do, or empty.
  std::string refusal() const;
};

// A table or leaf partition that holds rows.
struct CatalogRelation {
  SnapshotRelation relation;
  std::string quoted;
  uint64_t bytes = 0;
  double rows = -1;  // the planner's estimate
  char kind = 'r';
  char persistence = 'p';
  bool readable =
      true;  // by us, itself and whole: the right to read a partitioned table says nothing of its partitions
  // Of a partition. Its relation's `came` is set here.
  bool made_here = true;  // as one, and never rewritten, so that every row that it ever had was told of
  bool untouched = true;  // since it is one, no row of it went untold: it was neither truncated nor rewritten
};

// nullopt: there is no such table.
asio::awaitable<Result<std::optional<CatalogTable>>> find_table(PgConnection& connection, TableName name);
asio::awaitable<Result<std::optional<CatalogTable>>> find_table(PgConnection& connection, uint32_t oid);
asio::awaitable<Result<std::vector<CatalogRelation>>> find_relations(PgConnection& connection, uint32_t table_oid);
// Why a table that could be captured alone cannot be with these partitions, or beside the `published` table that it is a partition
// of, with what to do; or empty.
asio::awaitable<Result<std::string>> partition_refusal(PgConnection& connection, const CatalogTable& table,
                                                       const std::vector<CatalogRelation>& relations,
                                                       const std::set<std::string>& published);
// `now` with the relations of `known` first, in their order; nullopt: one of those is gone, or not as it was, or one that
// came has lost rows untold.
std::optional<std::vector<CatalogRelation>> in_order(const std::vector<SnapshotRelation>& known,
                                                     std::vector<CatalogRelation> now);
using TypeKey = std::pair<uint32_t, int32_t>;  // type, modifier
asio::awaitable<Result<std::map<TypeKey, CatalogType>>> find_types(PgConnection& connection,
                                                                   std::vector<TypeKey> types);

TableSchema schema_of(const CatalogTable& table);

// What a relation message says, and of `now` (the catalog, which may be newer or have lost the table) and `before` (the
// newest registered schema) only what the message cannot say: the names of types, the key's order, storage.
TableSchema schema_of(const PgRelation& relation, const CatalogTable* now, const TableSchema* before,
                      const std::map<TypeKey, CatalogType>& types);

// The types that schema_of() needs beyond `now`.
std::vector<TypeKey> unknown_types(const PgRelation& relation, const CatalogTable* now);

// Whether values of a relation's changes belong to columns that have other names in `now`: one was renamed since, or two have
// changed their names. A column that is only in one of them was added, dropped or not published: that is no such case.
bool names_differ(const PgRelation& relation, const CatalogTable& now);
// Whether they have a column of one name under types of different kinds: its values may be none of the other's.
bool types_differ(const PgRelation& relation, const CatalogTable& now);
// Whether a relation's changes name rows by other columns than the snapshot does.
bool keys_differ(const TableSchema& told, const SnapshotState& snapshot);
// Whether `oid` is the table that was read, or held a part of its rows.
bool is_of(const SnapshotState& snapshot, uint32_t oid);

// Whether a table that was read as `snapshot` says must be read again, since values of `now` were in no event; the
// reason, or empty.
std::string reread_reason(const SnapshotState& snapshot, const CatalogTable& now);
// Where there is no such reason: takes note of values that were added to types since, so that their renaming is seen. False: none.
bool learn_values(SnapshotState& snapshot, const CatalogTable& now);
// The same of ALTER TABLE … ALTER COLUMN … TYPE with the type that it had (USING …): it gives the table a new file and the
// column's row in the catalog a new version. VACUUM FULL and CLUSTER do only the first, and change no value.
std::string rewrite_reason(const SnapshotState& snapshot, const CatalogTable& now,
                           const std::vector<CatalogRelation>& relations);

}  // namespace tributary
