#include "capture/postgres/inspect.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "capture/postgres/connection.h"

namespace tributary {
namespace {

// relreplident, relkind and relpersistence as pg_class has them.
constexpr const char* tables_query = R"(
  SELECT n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.oid,
         CASE WHEN c.relkind = 'p'
              THEN (SELECT CASE WHEN min(l.reltuples) >= 0 THEN sum(l.reltuples) END
                    FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf)
              ELSE c.reltuples END::bigint,
         has_table_privilege(c.oid, 'SELECT'),
         EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND NOT i.indimmediate
                 AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND NOT c.relispartition AND c.relpersistence <> 't'
        AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY n.nspname, c.relname)";

constexpr const char* columns_query = R"(
  SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  ORDER BY a.attnum)";

constexpr const char* index_query = R"(
  SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = {} AND i.{} AND k.place <= i.indnkeyatts ORDER BY k.place)";

constexpr const char* server_query = R"(
  SELECT current_setting('server_version_num'), current_setting('wal_level'), current_setting('max_replication_slots'),
         (SELECT count(*) FROM pg_replication_slots), r.rolreplication, r.rolsuper, current_user, current_database()
  FROM pg_roles r WHERE r.rolname = current_user)";

struct Closer {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, Closer>;

std::string message_of(PGconn* connection, const ConnectionSettings& settings) {
  std::string text = PQerrorMessage(connection);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return settings.scrubbed(std::move(text));
}

bool url_has_password(const std::string& url) {
  PQconninfoOption* options = PQconninfoParse(url.c_str(), nullptr);
  bool found = false;
  for (PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    found = found || (std::string_view(option->keyword) == "password" && option->val != nullptr && *option->val != 0);
  }
  PQconninfoFree(options);
  return found;
}

Result<Connection> connect(const ConnectionSettings& settings) {
  auto parameters = settings.parameters(false);
  bool has_timeout =
      std::any_of(parameters.begin(), parameters.end(), [](const auto& p) { return p.first == "connect_timeout"; });
  if (!has_timeout) parameters.emplace_back("connect_timeout", "10");
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  Connection connection(PQconnectdbParams(names.data(), values.data(), 0));
  if (PQstatus(connection.get()) == CONNECTION_OK) return connection;
  std::string message = message_of(connection.get(), settings);
  // libpq gives no SQLSTATE of a connection that did not come about.
  bool refused = false;
  for (const char* words :
       {"authentication failed", "no pg_hba.conf entry", "permission denied", "no password supplied"}) {
    refused = refused || message.find(words) != std::string::npos;
  }
  refused =
      refused || (message.find("role \"") != std::string::npos && message.find("does not exist") != std::string::npos);
  return Error{refused ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable, std::move(message)};
}

class Inspector {
 public:
  Inspector(PGconn* connection, const ConnectionSettings& settings) : connection_(connection), settings_(settings) {}

  Status describe_server(DatabaseDescription& out) {
    ASSIGN_OR_RETURN(PgRows server, query(server_query));
    if (server.rows() != 1) return Error{ErrorCode::kInternal, "the server does not say who we are"};
    out.server_version = static_cast<int>(server.number(0, 0));
    out.wal_level = server.text(0, 1);
    out.replication_slots_max = static_cast<int64_t>(server.number(0, 2));
    out.replication_slots_used = static_cast<int64_t>(server.number(0, 3));
    out.user_may_replicate = server.is_true(0, 4);
    out.user_is_superuser = server.is_true(0, 5);
    out.user = server.text(0, 6);
    out.database = server.text(0, 7);
    return {};
  }

  Status describe_tables(DatabaseDescription& out) {
    ASSIGN_OR_RETURN(PgRows tables, query(tables_query));
    for (int row = 0; row < tables.rows(); ++row) {
      DescribedTable& table = out.tables.emplace_back();
      table.schema = tables.text(row, 0);
      table.name = tables.text(row, 1);
      table.kind = tables.text(row, 2).at(0);
      table.partitioned = table.kind == 'p';
      table.unlogged = tables.text(row, 3) == "u";
      table.replica_identity = tables.text(row, 4).at(0);
      std::string oid = tables.text(row, 5);
      std::string estimate = tables.null(row, 6) ? "-1" : tables.text(row, 6);
      std::from_chars(estimate.data(), estimate.data() + estimate.size(), table.rows_estimated);
      table.readable = tables.is_true(row, 7);
      table.key_deferrable = tables.is_true(row, 8);
      if (table.kind != 'r' && table.kind != 'p') continue;
      ASSIGN_OR_RETURN(table.columns, names(fmt::format(columns_query, oid)));
      ASSIGN_OR_RETURN(table.primary_key, names(fmt::format(index_query, oid, "indisprimary")));
      ASSIGN_OR_RETURN(table.identity_columns, names(fmt::format(index_query, oid, "indisreplident")));
    }
    return {};
  }

 private:
  Result<PgRows> query(const std::string& sql) {
    PgRows rows(PQexec(connection_, sql.c_str()));
    if (PQstatus(connection_) == CONNECTION_OK && *PQerrorMessage(connection_) == 0) return rows;
    return Error{ErrorCode::kUnavailable,
                 "the database's catalog cannot be read: " + message_of(connection_, settings_)};
  }

  Result<std::vector<std::string>> names(const std::string& sql) {
    ASSIGN_OR_RETURN(PgRows rows, query(sql));
    std::vector<std::string> out;
    for (int row = 0; row < rows.rows(); ++row) out.push_back(rows.text(row, 0));
    return out;
  }

  PGconn* connection_;
  const ConnectionSettings& settings_;
};

}  // namespace

Result<DatabaseDescription> inspect_database(const std::string& url, const std::string& password) {
  if (url_has_password(url)) {
    return Error{ErrorCode::kInvalidInput,
                 "the URL holds a password, and would be written to a file; leave it out, and give the "
                 "password by an environment variable"};
  }
  ASSIGN_OR_RETURN(ConnectionSettings settings, ConnectionSettings::parse(url, password));
  ASSIGN_OR_RETURN(Connection connection, connect(settings));
  DatabaseDescription description{.url = url};
  Inspector inspector(connection.get(), settings);
  // Names are qualified by us, whatever the role's settings are.
  PQclear(PQexec(connection.get(),
                 "SET search_path = pg_catalog; SET client_encoding = 'UTF8'; SET lock_timeout = '10s'; "
                 "SET default_transaction_read_only = on"));
  RETURN_IF_ERROR(inspector.describe_server(description));
  RETURN_IF_ERROR(inspector.describe_tables(description));
  return description;
}

}  // namespace tributary
