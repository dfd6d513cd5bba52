#include "capture/postgres/server_check.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace tributary {
namespace {

using Kind = Trouble::Kind;
constexpr int server_version_min = 140000;

Trouble stop(std::string reason, std::string remedy) { return {Kind::kStop, std::move(reason), std::move(remedy)}; }

// A publication that is not there is made by capture, if it may.
asio::awaitable<Trouble> check_publication(PgConnection& control, const CaptureClient& client) {
  std::string tables = "''";
  for (const CapturedTable& table : client.tables) {
    tables += ", " + quote_pg_literal(split_table_name(table.table).plain());
  }
  Result<PgRows> rows = co_await control.query(fmt::format(
      "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = {}), "
      "has_database_privilege(current_database(), 'CREATE') AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n "
      "ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname IN ({}) AND NOT pg_has_role(c.relowner, 'USAGE'))",
      quote_pg_literal(client.name), tables));
  if (!rows.ok()) co_return trouble_of(rows.error(), control.sqlstate(), client.client.value);
  if (rows->is_true(0, 0) || rows->is_true(0, 1)) co_return Trouble{};
  std::vector<std::string> names;
  for (const CapturedTable& table : client.tables) names.push_back(table.table);
  co_return stop(fmt::format("publication {} is not there, and our user may not make it", client.name),
                 create_publication_remedy(client.name, names));
}

asio::awaitable<Trouble> look(asio::any_io_executor executor, CaptureClient client, std::chrono::milliseconds limit) {
  const std::string& name = client.client.value;
  auto settings = ConnectionSettings::parse(client.url, client.password);
  if (!settings.ok()) co_return stop(settings.error().message, "");
  PgConnection control(executor, *settings);
  Status connected = co_await control.connect(false, limit);
  if (!connected.ok()) co_return trouble_of(connected.error(), control.sqlstate(), name);
  Trouble trouble = co_await check_server(control, name);
  if (trouble.kind != Kind::kNone) co_return trouble;
  SourceIdentity identity;
  trouble = co_await identify_source(executor, *settings, name, limit, identity);
  if (trouble.kind != Kind::kNone) co_return trouble;
  co_return co_await check_publication(control, client);
}

}  // namespace

std::string create_publication_remedy(const std::string& name, const std::vector<std::string>& tables) {
  std::string list;
  for (const std::string& table : tables)
    list += (list.empty() ? "ONLY " : ", ONLY ") + split_table_name(table).quoted();
  return fmt::format(
      "Let a user who may do so run: CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true);",
      quote_pg_identifier(name), list);
}

asio::awaitable<Trouble> check_server(PgConnection& control, const std::string& client_name) {
  if (control.server_version() < server_version_min) {
    co_return stop(fmt::format("the server is PostgreSQL {}, which is older than 14", control.server_version() / 10000),
                   "Upgrade it: tables are read by ranges of ctid, which older servers read in full for every range.");
  }
  Result<PgRows> rows = co_await control.query(
      "SELECT pg_is_in_recovery(), current_setting('wal_level'), "
      "(SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), quote_ident(current_user)");
  if (!rows.ok()) co_return trouble_of(rows.error(), control.sqlstate(), client_name);
  if (rows->is_true(0, 0)) {
    co_return Trouble{Kind::kRetry, "the server is a standby, and a logical slot needs the primary",
                      "Name the primary in the source's URL, or promote this server."};
  }
  if (rows->text(0, 1) != "logical") {
    co_return stop(fmt::format("wal_level is {}, and must be logical", rows->text(0, 1)),
                   "ALTER SYSTEM SET wal_level = 'logical'; then restart the server.");
  }
  if (!rows->is_true(0, 2)) {
    co_return stop(fmt::format("our user {} may not replicate", rows->text(0, 3)),
                   fmt::format("ALTER ROLE {} REPLICATION;", rows->text(0, 3)));
  }
  co_return Trouble{};
}

asio::awaitable<Trouble> identify_source(asio::any_io_executor executor, const ConnectionSettings& settings,
                                         const std::string& client_name, std::chrono::milliseconds limit,
                                         SourceIdentity& identity) {
  PgConnection connection(executor, settings);
  Status connected = co_await connection.connect(true, limit);
  if (!connected.ok()) co_return trouble_of(connected.error(), connection.sqlstate(), client_name);
  Result<PgRows> rows = co_await connection.query("IDENTIFY_SYSTEM");
  // A pooler that was told to ignore the parameter `replication` hands the command to an ordinary session.
  if (!rows.ok() && connection.sqlstate() == "42601") co_return pooler_trouble(rows.error().message);
  if (!rows.ok()) co_return trouble_of(rows.error(), connection.sqlstate(), client_name);
  identity = {rows->text(0, 0), static_cast<uint32_t>(rows->number(0, 1))};
  co_return Trouble{};
}

Trouble look_at_source(const CaptureClient& client, std::chrono::milliseconds limit) {
  asio::io_context context(1);
  Trouble trouble{Kind::kRetry, "the database did not answer in time", ""};
  auto run = [&]() -> asio::awaitable<void> { trouble = co_await look(context.get_executor(), client, limit); };
  asio::co_spawn(context, run(), [&](std::exception_ptr failure) {
    CHECK(failure == nullptr, "looking at the source of client {} threw", client.client);
  });
  context.run_for(limit * 2);
  return trouble;
}

}  // namespace tributary
