// The statements that bring a view's table, and the clients' read views over it, from what is there to what the plan
// says. Pure: what is there is read by ClickHouseStore.
#pragma once

#include <string>
#include <vector>

#include "contracts/analytics.h"
#include "store/clickhouse/database_layout.h"

namespace tributary {

struct ExistingColumn {
  std::string name;
  std::string type;  // as ClickHouse prints it
  std::string default_sql;  // of a new table's column; not read of one that is there
};

struct ExistingTable {
  std::vector<ExistingColumn> columns;    // empty: there is no such table
  std::vector<std::string> sorting_key;   // column names
  std::string comment;                    // table_layout.h
};

// Statements in order. With `rebuild`, the table is made anew under rebuild_name() with all its rows and takes the old
// one's place, since ClickHouse changes neither a sorting key nor the type of its columns.
struct TableChange {
  std::vector<std::string> statements;
  bool rebuild = false;
};

// kInvalidInput, naming table and column, where they cannot be made to fit without losing values.
Result<TableChange> plan_table(const DatabaseLayout& layout, const TableDefinition& table,
                               const ExistingTable& existing);
// The same for the table of its versions. A new one begins with the rows that the view has.
Result<TableChange> plan_history(const DatabaseLayout& layout, const TableDefinition& table,
                                 const ExistingTable& existing);

std::string create_database_sql(const DatabaseLayout& layout, const std::string& database);
// `versions`: of history_table.h.
std::string create_table_sql(const DatabaseLayout& layout, const std::string& name, const TableDefinition& table,
                             const std::vector<ExistingColumn>& columns, bool versions = false);
std::string drop_table_sql(const DatabaseLayout& layout, const std::string& name);
std::string rebuild_name(const std::string& table);

// The client's read view: its own current rows, without the technical columns but _unrepresentable. The comment says whose it
// is, and holds a fingerprint, by which an unchanged view is known. The table's types are part of it, since a view keeps those of
// the day it was made.
struct ReadView {
  std::string sql;
  std::string comment;
};
inline constexpr std::string_view view_comment = "tributary ";  // begins it
std::string read_view_comment(const DatabaseLayout& layout, const std::string& select, const ExistingTable& existing);
// Whether a comment is that of a read view over these tables; anything else of a view's name is somebody's, and stays.
bool is_read_view(const DatabaseLayout& layout, std::string_view comment);
ReadView read_view(const DatabaseLayout& layout, const TableDefinition& table, const ExistingTable& existing,
                   const ClientId& client);

// Behind the name of what a statement changes: " ON CLUSTER 'name'", or nothing.
std::string on_cluster(const DatabaseLayout& layout);

// `acme`.`orders`
std::string qualified_name(std::string_view database, std::string_view table);
// "client_id, `a b`, _key" → names.
std::vector<std::string> parse_sorting_key(std::string_view text);

// Errors for ids that are no database name of a client: ClickHouse's own databases, bad characters.
Status check_client_name(const ClientId& client);

}  // namespace tributary
