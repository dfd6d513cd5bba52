#include "store/clickhouse/table_ddl.h"

#include <xxhash.h>

#include <algorithm>

#include "base/clickhouse_tokens.h"
#include "store/clickhouse/clickhouse_types.h"
#include "store/clickhouse/history_table.h"
#include "store/clickhouse/table_layout.h"

namespace tributary {
namespace {

// Durable when answered, over SIGKILL and power loss alike (docs/decisions, "ClickHouse inserts are synced").
constexpr std::string_view table_settings = "allow_nullable_key = 1, fsync_after_insert = 1, fsync_part_directory = 1";
constexpr std::string_view view_comment_of = " of ";

std::vector<ExistingColumn> technical_columns() {
  return {{key_column, "String", ""},
          {version_column, "UInt256", ""},
          {deleted_column, "UInt8", ""},
          {unrepresentable_column, "Map(LowCardinality(String), String)", ""}};
}

bool is_technical(std::string_view name) {
  if (name == client_id_column || name == written_column || name == first_column) return true;
  for (const ExistingColumn& column : technical_columns()) {
    if (column.name == name) return true;
  }
  return false;
}

std::vector<std::string> sorting_key_of(const TableDefinition& table, bool versions) {
  std::vector<std::string> key = {client_id_column};
  for (const std::string& column : table.order_by) {
    if (std::find(key.begin(), key.end(), column) == key.end()) key.push_back(column);
  }
  key.push_back(key_column);
  if (versions) key.push_back(version_column);
  return key;
}

std::vector<ExistingColumn> wanted_columns(const TableDefinition& table, bool versions) {
  std::vector<ExistingColumn> columns = {{client_id_column, "LowCardinality(String)", ""}};
  for (const OutputColumn& column : table.columns) {
    columns.push_back({column.name, clickhouse_type(column.type, column.nullable), ""});
  }
  for (ExistingColumn& column : technical_columns()) columns.push_back(std::move(column));
  for (ExistingColumn& column : versions ? history_columns() : std::vector<ExistingColumn>()) {
    columns.push_back(std::move(column));
  }
  return columns;
}

Status check_definition(const TableDefinition& table) {
  auto wrong = [&](std::string what) {
    return Error{ErrorCode::kInvalidInput, fmt::format("view {}: {}", table.name, what)};
  };
  if (table.name.empty() || table.name.find('\0') != std::string::npos) return wrong("its name cannot be a table's");
  for (const OutputColumn& column : table.columns) {
    if (is_technical(column.name))
      return wrong(fmt::format("column {} has a name that is reserved; rename it", column.name));
    if (column.name.empty() || column.name.find('\0') != std::string::npos) return wrong("a column has no usable name");
  }
  for (const std::string& name : table.order_by) {
    auto same = [&](const OutputColumn& column) { return column.name == name; };
    if (std::none_of(table.columns.begin(), table.columns.end(), same)) {
      return wrong(fmt::format("order_by names {}, which is not a column of it", name));
    }
  }
  return {};
}

std::string column_list(const std::vector<ExistingColumn>& columns) {
  std::string out;
  for (const ExistingColumn& column : columns) {
    if (!out.empty()) out += ", ";
    out += quote_identifier(column.name);
  }
  return out;
}

std::vector<std::string> rebuild_statements(const DatabaseLayout& layout, const TableDefinition& table,
                                            const std::vector<ExistingColumn>& columns, const ExistingTable& existing,
                                            bool versions) {
  std::string name = versions ? history_name(table.name) : table.name;
  std::string old_name = qualified_name(layout.tables, name);
  std::string new_name = qualified_name(layout.tables, rebuild_name(name));
  std::string copied = column_list(existing.columns);  // all of them are in the new one, maybe wider
  return {drop_table_sql(layout, rebuild_name(name)),
          create_table_sql(layout, rebuild_name(name), table, columns, versions),
          "INSERT INTO " + new_name + " (" + copied + ") SELECT " + copied + " FROM " + old_name,
          "EXCHANGE TABLES " + old_name + " AND " + new_name + on_cluster(layout),
          drop_table_sql(layout, rebuild_name(name))};
}

// A table that is wholly there or not at all, with the view's rows of now as its first versions.
std::vector<std::string> first_history(const DatabaseLayout& layout, const TableDefinition& table,
                                       const std::vector<ExistingColumn>& columns) {
  std::string name = history_name(table.name);
  std::string part = qualified_name(layout.tables, rebuild_name(name));
  std::vector<ExistingColumn> copied = wanted_columns(table, false);
  return {drop_table_sql(layout, rebuild_name(name)),
          create_table_sql(layout, rebuild_name(name), table, columns, true),
          "INSERT INTO " + part + " (" + column_list(copied) + ") SELECT " + column_list(copied) + " FROM " +
              qualified_name(layout.tables, table.name) + " FINAL",
          "RENAME TABLE " + part + " TO " + qualified_name(layout.tables, name) + on_cluster(layout)};
}

}  // namespace

std::string on_cluster(const DatabaseLayout& layout) {
  return layout.cluster.empty() ? "" : " ON CLUSTER " + quote_text(layout.cluster);
}

std::string qualified_name(std::string_view database, std::string_view table) {
  return quote_identifier(database) + "." + quote_identifier(table);
}

// No view's name begins with a space.
std::string rebuild_name(const std::string& table) { return " rebuild " + table; }

std::string create_database_sql(const DatabaseLayout& layout, const std::string& database) {
  return "CREATE DATABASE IF NOT EXISTS " + quote_identifier(database) + on_cluster(layout);
}

std::string drop_table_sql(const DatabaseLayout& layout, const std::string& name) {
  return "DROP TABLE IF EXISTS " + qualified_name(layout.tables, name) + on_cluster(layout) + " SYNC";
}

std::string create_table_sql(const DatabaseLayout& layout, const std::string& name, const TableDefinition& table,
                             const std::vector<ExistingColumn>& columns, bool versions) {
  std::string sql = "CREATE TABLE IF NOT EXISTS " + qualified_name(layout.tables, name) + on_cluster(layout) + " (";
  for (const ExistingColumn& column : columns) {
    if (sql.back() != '(') sql += ", ";
    sql += quote_identifier(column.name) + " " + column.type;
    if (!column.default_sql.empty()) sql += " DEFAULT " + column.default_sql;
  }
  // Without a path and a name of its own a replicated table takes the server's default_replica_path and _name.
  bool replicated = layout.replicated || !layout.cluster.empty();
  std::string engine =
      versions ? history_engine() : fmt::format("ReplacingMergeTree({}, {})", version_column, deleted_column);
  sql += fmt::format(") ENGINE = {}{}{} ORDER BY (", replicated ? "Replicated" : "", engine,
                     partition_clause(table.options));
  for (const std::string& column : sorting_key_of(table, versions)) {
    if (sql.back() != '(') sql += ", ";
    sql += quote_identifier(column);
  }
  sql += fmt::format("){} SETTINGS {}{}", ttl_clause(table), table_settings, settings_clause(table.options));
  if (layout.deduplication_window != 0 && !replicated) {
    sql += fmt::format(", non_replicated_deduplication_window = {}", layout.deduplication_window);
  }
  if (std::string comment = layout_comment(table.options); !comment.empty()) sql += " COMMENT " + quote_text(comment);
  return sql;
}

namespace {

Result<TableChange> plan(const DatabaseLayout& layout, const TableDefinition& table, const ExistingTable& existing,
                         bool versions) {
  RETURN_IF_ERROR(check_definition(table));
  auto is_version = [](const ExistingColumn& column) { return column.name == version_column; };
  if (!existing.columns.empty() && std::none_of(existing.columns.begin(), existing.columns.end(), is_version)) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("view {0}: the database {1} has something else of this name, which stays as it is; rename "
                             "the view, or rename or drop {1}.{0} on the server",
                             table.name, layout.tables)};
  }
  TableChange change;
  std::vector<ExistingColumn> wanted = wanted_columns(table, versions);
  if (existing.columns.empty()) {
    if (versions) {
      change.statements = first_history(layout, table, wanted);
    } else {
      change.statements = {create_table_sql(layout, table.name, table, wanted)};
    }
    return change;
  }
  std::string name =
      qualified_name(layout.tables, versions ? history_name(table.name) : table.name) + on_cluster(layout);
  std::vector<std::string> key = sorting_key_of(table, versions);
  TableOptions was = layout_of(existing.comment);
  change.rebuild = key != existing.sorting_key || needs_new_table(was, table.options);
  std::vector<ExistingColumn> result = existing.columns;
  for (ExistingColumn& column : result) {
    for (const ExistingColumn& known : wanted) {
      if (known.name == column.name) column.default_sql = known.default_sql;
    }
  }
  for (const ExistingColumn& column : wanted) {
    auto same = [&](const ExistingColumn& other) { return other.name == column.name; };
    auto at = std::find_if(result.begin(), result.end(), same);
    if (at == result.end()) {
      // Rows from before have no value for it: NULL says so, a zero would lie.
      std::string type = column.type.starts_with("Nullable(") || is_technical(column.name)
                             ? column.type
                             : "Nullable(" + column.type + ")";
      change.statements.push_back("ALTER TABLE " + name + " ADD COLUMN IF NOT EXISTS " + quote_identifier(column.name) +
                                  " " + type);
      result.push_back({column.name, type, column.default_sql});
      continue;
    }
    if (at->type == column.type) continue;
    auto common = clickhouse_common_type(at->type, column.type);
    if (!common) {
      return Error{
          ErrorCode::kInvalidInput,
          fmt::format("view {}: its column {} is {} in the analytics and {} in the plan, and no type holds both; "
                      "give the column another name, or build a new version of the pipeline",
                      table.name, column.name, at->type, column.type)};
    }
    if (*common == at->type) continue;
    at->type = *common;
    bool in_key = std::find(key.begin(), key.end(), column.name) != key.end();
    change.rebuild = change.rebuild || in_key;
    change.statements.push_back("ALTER TABLE " + name + " MODIFY COLUMN " + quote_identifier(column.name) + " " +
                                *common);
  }
  for (const std::string& layout_change : layout_changes(was, table)) {
    change.statements.push_back("ALTER TABLE " + name + " " + layout_change);
  }
  if (change.rebuild) change.statements = rebuild_statements(layout, table, result, existing, versions);
  return change;
}

}  // namespace

Result<TableChange> plan_table(const DatabaseLayout& layout, const TableDefinition& table,
                               const ExistingTable& existing) {
  return plan(layout, table, existing, false);
}

Result<TableChange> plan_history(const DatabaseLayout& layout, const TableDefinition& table,
                                 const ExistingTable& existing) {
  return plan(layout, table, existing, true);
}

std::string read_view_comment(const DatabaseLayout& layout, const std::string& select, const ExistingTable& existing) {
  std::string content = select;
  for (const ExistingColumn& column : existing.columns) content += "\n" + column.name + " " + column.type;
  return fmt::format("{}{:016x}{}{}", view_comment, XXH3_64bits(content.data(), content.size()), view_comment_of,
                     layout.tables);
}

bool is_read_view(const DatabaseLayout& layout, std::string_view comment) {
  constexpr size_t hash_digits = 16;
  return comment.starts_with(view_comment) &&
         comment.substr(std::min(view_comment.size() + hash_digits, comment.size())) ==
             std::string(view_comment_of) + layout.tables;
}

ReadView read_view(const DatabaseLayout& layout, const TableDefinition& table, const ExistingTable& existing,
                   const ClientId& client) {
  std::string select = "SELECT ";
  for (const OutputColumn& column : table.columns) select += quote_identifier(column.name) + ", ";
  select += fmt::format("{} FROM {} FINAL WHERE {} = {}", unrepresentable_column,
                        qualified_name(layout.tables, table.name), client_id_column, quote_text(client.value));
  // What has expired is gone at once, not when a merge comes by.
  if (!table.options.ttl_column.empty()) select += fmt::format(" AND {} > now()", ttl_sql(table));
  std::string comment = read_view_comment(layout, select, existing);
  return {fmt::format("CREATE OR REPLACE VIEW {}{} AS {} COMMENT {}",
                      qualified_name(layout.client_database(client), table.read_name()), on_cluster(layout), select,
                      quote_text(comment)),
          comment};
}

std::vector<std::string> parse_sorting_key(std::string_view text) {
  std::vector<std::string> names;
  ClickHouseTokens tokens(text);
  for (SqlToken token = tokens.next(); token.kind != SqlTokenKind::kEnd; token = tokens.next()) {
    if (token.kind == SqlTokenKind::kBroken) return {};
    if (token.is_symbol(',')) continue;
    if (token.kind != SqlTokenKind::kQuotedIdentifier) {
      names.emplace_back(token.text);
      continue;
    }
    std::string name;
    for (size_t i = 1; i + 1 < token.text.size(); ++i) {
      if (token.text[i] == '\\') ++i;
      name.push_back(token.text[i]);
    }
    names.push_back(std::move(name));
  }
  return names;
}

Status check_client_name(const ClientId& client) {
  const std::string& name = client.value;
  auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  if (name.empty() || name.size() > 40 || name[0] < 'a' || name[0] > 'z' ||
      !std::all_of(name.begin(), name.end(), good)) {
    return Error{ErrorCode::kInvalidInput, fmt::format("client {}: ids are [a-z][a-z0-9_]{{0,39}}", name)};
  }
  for (std::string_view reserved : {"system", "default", "information_schema"}) {
    if (name == reserved) {
      return Error{
          ErrorCode::kInvalidInput,
          fmt::format("client {}: ClickHouse has a database of this name of its own; choose another id", name)};
    }
  }
  return {};
}

}  // namespace tributary
