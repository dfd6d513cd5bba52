#include "capture/postgres/lock_wait.h"

namespace tributary {
namespace {

// A lock that is itself still waited for counts: later requests queue up behind it.
constexpr std::string_view holder_sql = R"(
WITH RECURSIVE family(oid) AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (n.nspname, c.relname) IN ({})
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN family f ON i.inhparent = f.oid)
SELECT n.nspname || '.' || c.relname, l.granted,
       CASE WHEN l.pid IS NULL THEN 'a prepared transaction'
            ELSE format('process %s (user %s, application %s, state %s, since %s)', l.pid, coalesce(a.usename, '?'),
                        coalesce(nullif(a.application_name, ''), '?'), coalesce(a.state, '?'),
                        coalesce(a.xact_start::text, '?')) END
FROM pg_locks l
JOIN family f ON f.oid = l.relation
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
                 'ShareUpdateExclusiveLock')
ORDER BY l.mode = 'AccessExclusiveLock' DESC, l.granted DESC, a.xact_start LIMIT 1)";

}  // namespace

asio::awaitable<Status> limit_lock_waits(PgConnection& connection) {
  co_return co_await connection.execute(fmt::format("SET lock_timeout = {}", table_lock_limit.count()));
}

bool waited_for_lock(const Error& error) { return error.message.ends_with("[55P03]"); }

asio::awaitable<std::string> lock_holder(PgConnection& connection, const std::set<std::string>& tables) {
  std::string names;
  for (const std::string& table : tables) {
    TableName name = split_table_name(table);
    names += fmt::format("{}({}, {})", names.empty() ? "" : ", ", quote_pg_literal(name.schema),
                         quote_pg_literal(name.name));
  }
  Result<PgRows> rows = co_await connection.query(fmt::format(holder_sql, names));
  if (!rows.ok() || rows->rows() == 0) co_return "a lock on " + (tables.size() == 1 ? *tables.begin() : "a table");
  co_return fmt::format("{}, which {} {}", rows->text(0, 0), rows->text(0, 2),
                        rows->is_true(0, 1) ? "has locked" : "is about to lock");
}

}  // namespace tributary
