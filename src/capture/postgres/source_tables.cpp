// Which tables of a client are captured: looked up at the start and again by timer, since owners change them.
#include "capture/postgres/client_context.h"

namespace tributary {
namespace {

struct Published {
  std::set<std::string> tables;
  std::set<std::string> filtered;
};

asio::awaitable<Result<Published>> published_tables(ClientContext& context) {
  bool filters = context.control->server_version() >= 150000;
  Result<PgRows> rows = co_await context.control->query(fmt::format(
      "SELECT schemaname, tablename, {} FROM pg_publication_tables WHERE pubname = {}",
      filters ? "rowfilter IS NOT NULL OR EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON "
                "p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE p.pubname = pg_publication_tables.pubname AND n.nspname = schemaname AND c.relname = tablename "
                "AND r.prattrs IS NOT NULL)"
              : "false",
      quote_pg_literal(context.config.name)));
  if (!rows.ok()) co_return rows.error();
  Published published;
  for (int row = 0; row < rows->rows(); ++row) {
    std::string table = TableName{rows->text(row, 0), rows->text(row, 1)}.plain();
    if (rows->is_true(row, 2)) published.filtered.insert(table);
    published.tables.insert(std::move(table));
  }
  co_return published;
}

// "" where it is captured now, or why not.
asio::awaitable<Result<std::string>> publish(ClientContext& context, const CatalogTable& table,
                                             const Published& published) {
  std::string name = table.name.plain();
  if (published.filtered.contains(name)) {
    co_return fmt::format(
        "{} is published with a row filter or a column list, under which changes are left out: publish it whole", name);
  }
  if (published.tables.contains(name)) co_return std::string();
  Status added = co_await context.control->execute(
      fmt::format("ALTER PUBLICATION {} ADD TABLE {}", quote_pg_identifier(context.config.name), table.name.quoted()));
  if (added.ok()) {
    context.forget_snapshot(name);      // what happened while it was not published is in no event
    context.visibility = Visibility();  // transactions that run now are not told of for this table: wait for them
    co_return std::string();
  }
  if (!context.control->usable()) co_return added.error();
  co_return fmt::format("{} is not in publication {}: let its owner run ALTER PUBLICATION {} ADD TABLE {}; ({})", name,
                        context.config.name, quote_pg_identifier(context.config.name), table.name.quoted(),
                        added.error().message);
}

asio::awaitable<Result<std::string>> check_relations(ClientContext& context, const CatalogTable& table,
                                                     std::vector<SnapshotRelation>& found) {
  Result<std::vector<CatalogRelation>> relations = co_await find_relations(*context.control, table.oid);
  if (!relations.ok()) co_return relations.error();
  for (const CatalogRelation& relation : *relations) {
    if (relation.kind == 'f')
      co_return fmt::format("{} has a foreign table as its partition {}", table.name.plain(), relation.quoted);
    if (relation.persistence == 'u') {
      co_return fmt::format("{} has an unlogged partition: run ALTER TABLE {} SET LOGGED;", table.name.plain(),
                            relation.quoted);
    }
    found.push_back(relation.relation);
  }
  co_return std::string();
}

asio::awaitable<Result<std::string>> check_table(ClientContext& context, const std::string& plain,
                                                 const Published& published) {
  Result<std::optional<CatalogTable>> found = co_await find_table(*context.control, split_table_name(plain));
  if (!found.ok()) co_return found.error();
  if (!*found) co_return fmt::format("there is no table {}: make it, or take it out of the pipeline file", plain);
  CatalogTable table = std::move(**found);
  if (std::string why = table.refusal(); !why.empty()) co_return why;
  std::vector<SnapshotRelation> relations;
  Result<std::string> refused = co_await check_relations(context, table, relations);
  if (!refused.ok() || !refused->empty()) co_return refused;
  refused = co_await publish(context, table, published);
  if (!refused.ok() || !refused->empty()) co_return refused;
  auto snapshot = context.snapshots.find(plain);
  bool complete =
      snapshot != context.snapshots.end() && snapshot->second.epoch == context.state.epoch && snapshot->second.done;
  // Partitions come, go and are truncated alone without an event on their table.
  bool same_partitions = table.kind != 'p' || (complete && snapshot->second.relations == relations);
  if (!complete || !same_partitions || !reread_reason(snapshot->second, table).empty()) {
    if (complete) snapshot->second.done = false;
    context.tables_to_read.insert(plain);
  }
  context.tables[plain] = std::move(table);
  co_return std::string();
}

asio::awaitable<Status> unpublish_others(ClientContext& context, const Published& published) {
  if (!context.state.publication_ours) co_return Status();
  for (const std::string& table : published.tables) {
    if (context.domains.contains(table)) continue;
    Status dropped = co_await context.control->execute(fmt::format("ALTER PUBLICATION {} DROP TABLE {}",
                                                                   quote_pg_identifier(context.config.name),
                                                                   split_table_name(table).quoted()));
    if (!dropped.ok() && !context.control->usable()) co_return dropped;
  }
  co_return Status();
}

}  // namespace

asio::awaitable<Trouble> ClientContext::refresh_tables() {
  AsyncLock::Held held = co_await control_lock.hold();
  Result<Published> published = co_await published_tables(*this);
  if (!published.ok()) co_return trouble_of(published.error(), control->sqlstate(), config.client.value);
  std::map<std::string, std::string> refused;
  for (const auto& [plain, domain] : domains) {
    Result<std::string> why = co_await check_table(*this, plain, *published);
    if (!why.ok()) co_return trouble_of(why.error(), control->sqlstate(), config.client.value);
    if (why->empty()) continue;
    refused[plain] = *why;
    tables.erase(plain);
    tables_to_read.erase(plain);
    forget_snapshot(plain);
    if (published->tables.contains(plain) && state.publication_ours &&
        why->find("REPLICA IDENTITY NOTHING") != std::string::npos) {
      // Published without an identity, the owner's own updates would fail.
      (void)co_await control->execute(fmt::format("ALTER PUBLICATION {} DROP TABLE {}",
                                                  quote_pg_identifier(config.name), split_table_name(plain).quoted()));
    }
  }
  Status dropped = co_await unpublish_others(*this, *published);
  if (!dropped.ok()) co_return trouble_of(dropped.error(), control->sqlstate(), config.client.value);
  set_aside = std::move(refused);
  show_tables();
  work.notify();
  co_return Trouble{};
}

}  // namespace tributary
