// Which tables of a client are captured: looked up at the start and again by timer, since owners change them.
#include "capture/postgres/client_context.h"
#include "capture/postgres/lock_wait.h"

namespace tributary {
namespace {

struct Published {
  std::map<std::string, uint64_t> tables;  // → version of the table's, or its schema's, entry
  std::set<std::string> filtered;
  std::set<std::string> named;  // one by one: the server keeps them from being made UNLOGGED
};

// A catalog row's version is its xmin: every ALTER PUBLICATION … SET makes a new row. Of a table that is published with its schema
// it is that of the schema's entry and that of its being in the schema: it is not published while it is in another.
asio::awaitable<Result<Published>> published_tables(ClientContext& context) {
  bool filters = context.control->server_version() >= 150000;
  Result<PgRows> rows = co_await context.control->query(
      fmt::format("SELECT t.schemaname, t.tablename, coalesce(r.xmin::text, {}, '0'), {}, r.xmin IS NOT NULL "
                  "FROM pg_publication_tables t JOIN pg_publication p USING (pubname) "
                  "JOIN pg_namespace n ON n.nspname = t.schemaname "
                  "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename "
                  "LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid {} WHERE pubname = {}",
                  filters ? "((s.xmin::text::bigint + (SELECT d.xmin::text::bigint FROM pg_depend d "
                            "WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 "
                            "AND d.refclassid = 'pg_namespace'::regclass)) % 4294967296)::text"
                          : "NULL",
                  filters ? "t.rowfilter IS NOT NULL OR r.prattrs IS NOT NULL" : "false",
                  filters ? "LEFT JOIN pg_publication_namespace s ON s.pnpubid = p.oid AND s.pnnspid = n.oid" : "",
                  quote_pg_literal(context.config.name)));
  if (!rows.ok()) co_return rows.error();
  Published published;
  for (int row = 0; row < rows->rows(); ++row) {
    std::string table = TableName{rows->text(row, 0), rows->text(row, 1)}.plain();
    if (rows->is_true(row, 3)) published.filtered.insert(table);
    if (rows->is_true(row, 4)) published.named.insert(table);
    published.tables[std::move(table)] = rows->number(row, 2);
  }
  co_return published;
}

// What happened while the publication left it out is in no event: the table is read (again).
void read_afresh(ClientContext& context, const std::string& table) {
  context.forget_snapshot(table);
  context.visibility.want_barrier();  // transactions that run now may have changed it untold: wait for them
}

// What a look at a table found.
struct FoundTable {
  CatalogTable table;
  std::vector<CatalogRelation> relations;
  std::string refused;  // why it cannot be captured, or empty
};

// Adds the tables that are captured and not published yet. One that may not be added is refused with what to do.
asio::awaitable<Status> publish_missing(ClientContext& context, std::map<std::string, FoundTable>& looks,
                                        Published& published) {
  bool added_some = false;
  std::string publication = quote_pg_identifier(context.config.name);
  for (auto& [name, look] : looks) {
    if (!look.refused.empty()) continue;
    if (published.filtered.contains(name)) {
      look.refused = fmt::format(
          "{} is published with a row filter or a column list, under which changes are left out: publish it whole",
          name);
    }
    if (published.tables.contains(name)) continue;
    std::string quoted = look.table.name.quoted();
    Status added =
        co_await context.control->execute(fmt::format("ALTER PUBLICATION {} ADD TABLE ONLY {}", publication, quoted));
    if (added.ok()) {
      read_afresh(context, name);
      added_some = true;
      continue;
    }
    if (!context.control->usable() || waited_for_lock(added.error())) co_return added;
    look.refused =
        fmt::format("{} is not in publication {}: let its owner run ALTER PUBLICATION {} ADD TABLE ONLY {}; ({})", name,
                    context.config.name, publication, quoted, added.error().message);
  }
  if (!added_some) co_return Status();
  Result<Published> now = co_await published_tables(context);
  if (!now.ok()) co_return now.error();
  published = std::move(*now);
  co_return Status();
}

void store(ClientContext& context, const std::string& table, const SnapshotState& snapshot) {
  LogAppend append{context.config.client, {}, {}};
  append.state_changes[snapshot_state_key(table)] = snapshot.encode();
  context.queue_append(std::move(append), 0, &context.table_bytes_in_flight, std::nullopt);
}

// The connector has told of all rows up to the slot's place: the table counts as read.
std::map<std::string, SnapshotState>::iterator take_over(ClientContext& context, const CatalogTable& table,
                                                         const std::vector<CatalogRelation>& relations, uint64_t mark) {
  SnapshotState complete;
  complete.epoch = context.state.epoch;
  complete.done = true;
  complete.domain = context.domains.at(table.name.plain());
  complete.table_oid = table.oid;
  complete.publication_mark = mark;
  complete.first = context.state.appended;
  for (const CatalogColumn& column : table.columns) complete.columns.push_back(column.column);
  complete.key = table.key;
  for (const CatalogRelation& relation : relations) {
    complete.relations.push_back(relation.relation);
    complete.relations.back().came = 0;
  }
  complete.next_relation = static_cast<uint32_t>(relations.size());
  context.tables_to_read.erase(table.name.plain());
  store(context, table.name.plain(), complete);
  return context.snapshots.insert_or_assign(table.name.plain(), std::move(complete)).first;
}

asio::awaitable<Result<FoundTable>> look_at_table(ClientContext& context, const std::string& plain,
                                                  const std::set<std::string>& published) {
  Result<std::optional<CatalogTable>> found = co_await find_table(*context.control, split_table_name(plain));
  if (!found.ok()) co_return found.error();
  FoundTable look;
  if (!*found) {
    look.refused = fmt::format("there is no table {}: make it, or take it out of the pipeline file", plain);
    co_return look;
  }
  look.table = std::move(**found);
  look.refused = look.table.refusal();
  if (!look.refused.empty()) co_return look;
  Result<std::vector<CatalogRelation>> relations = co_await find_relations(*context.control, look.table.oid);
  if (!relations.ok()) co_return relations.error();
  look.relations = std::move(*relations);
  Result<std::string> refused = co_await partition_refusal(*context.control, look.table, look.relations, published);
  if (!refused.ok()) co_return refused.error();
  look.refused = std::move(*refused);
  co_return look;
}

// It is published: is there something of it to read?
void capture_table(ClientContext& context, const std::string& plain, FoundTable look, uint64_t mark, bool named) {
  CatalogTable& table = look.table;
  context.publication_marks[plain] = mark;
  // Until now it was not, or not whole: transactions that run tell of none of the changes that they made before.
  if (!context.tables.contains(plain)) context.visibility.want_barrier();
  auto snapshot = context.snapshots.find(plain);
  if (snapshot != context.snapshots.end() && snapshot->second.publication_mark != mark) {
    read_afresh(context, plain);
    snapshot = context.snapshots.end();
  }
  if (context.tables_taken_over) snapshot = take_over(context, table, look.relations, mark);
  bool complete =
      snapshot != context.snapshots.end() && snapshot->second.epoch == context.state.epoch && snapshot->second.done;
  bool changed = complete && (!reread_reason(snapshot->second, table).empty() ||
                              !rewrite_reason(snapshot->second, table, look.relations).empty());
  // Partitions go and are truncated alone without an event on their table, and what was UNLOGGED for a while has another file.
  auto relations = complete && (table.kind == 'p' || !named) ? in_order(snapshot->second.relations, look.relations)
                                                             : std::optional(std::vector<CatalogRelation>());
  if (!complete || changed || !relations) {
    if (complete) snapshot->second.done = false;
    context.tables_to_read.insert(plain);
  } else if (relations->size() > snapshot->second.relations.size()) {
    relations->erase(relations->begin(),
                     relations->begin() + static_cast<ptrdiff_t>(snapshot->second.relations.size()));
    context.add_partitions(plain, *relations);
  }
  if (complete && !changed && learn_values(snapshot->second, table)) store(context, plain, snapshot->second);
  context.tables[plain] = std::move(table);
}

asio::awaitable<Status> unpublish_others(ClientContext& context, const Published& published) {
  if (!context.state.publication_ours) co_return Status();
  for (const auto& [table, version] : published.tables) {
    if (context.domains.contains(table)) continue;
    Status dropped = co_await context.control->execute(fmt::format("ALTER PUBLICATION {} DROP TABLE ONLY {}",
                                                                   quote_pg_identifier(context.config.name),
                                                                   split_table_name(table).quoted()));
    if (!dropped.ok() && !context.control->usable()) co_return dropped;
  }
  co_return Status();
}

asio::awaitable<Trouble> look_failed(ClientContext& context, Error error) {
  PgConnection& control = *context.control;
  if (!waited_for_lock(error)) co_return trouble_of(error, control.sqlstate(), context.config.client.value);
  std::set<std::string> names;
  for (const auto& [table, domain] : context.domains) names.insert(table);
  context.locked[""] = co_await lock_holder(control, names);
  context.show_tables();
  co_return Trouble{Trouble::Kind::kLocked, "looking at the tables waits for " + context.locked[""],
                    std::string(lock_remedy)};
}

}  // namespace

asio::awaitable<Result<std::optional<Publication>>> find_publication(ClientContext& context) {
  Result<PgRows> rows = co_await context.control->query(
      "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot, xmin, pg_current_wal_insert_lsn() "
      "FROM pg_publication WHERE pubname = " +
      quote_pg_literal(context.config.name));
  if (!rows.ok()) co_return rows.error();
  std::optional<Publication> found;
  if (rows->rows() > 0) found = Publication{rows->is_true(0, 0), rows->number(0, 1), rows->lsn(0, 2)};
  co_return found;
}

Trouble narrowed_publication(const ClientContext& context) {
  return {Trouble::Kind::kStop,
          fmt::format("publication {} leaves out kinds of changes, or names partitions instead of their table",
                      context.config.name),
          fmt::format("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate', "
                      "publish_via_partition_root = true); then start again: the tables are read again",
                      quote_pg_identifier(context.config.name))};
}

asio::awaitable<Trouble> ClientContext::refresh_tables() {
  AsyncLock::Held held = co_await control_lock.hold();
  Result<std::optional<Publication>> publication = co_await find_publication(*this);
  if (!publication.ok()) co_return co_await look_failed(*this, publication.error());
  // A session begins with what is to be done then (ensure_publication).
  if (!*publication) co_return Trouble{Trouble::Kind::kRetry, fmt::format("publication {} is gone", config.name), ""};
  if (!(*publication)->whole) co_return narrowed_publication(*this);
  Result<Published> published = co_await published_tables(*this);
  if (!published.ok()) co_return co_await look_failed(*this, published.error());
  std::map<std::string, FoundTable> looks;
  std::set<std::string> all;
  for (const auto& [plain, version] : published->tables) all.insert(plain);
  for (const auto& [plain, domain] : domains) all.insert(plain);
  for (const auto& [plain, domain] : domains) {
    Result<FoundTable> look = co_await look_at_table(*this, plain, all);
    if (!look.ok()) co_return co_await look_failed(*this, look.error());
    looks[plain] = std::move(*look);
  }
  named = {(*publication)->lsn, {}};
  for (const auto& [plain, look] : looks) {
    const CatalogTable& table = look.table;
    if (table.oid == 0) continue;
    NamedTables::Table& found = named.tables[table.oid];
    found.name = table.name;
    if (table.kind == 'p' && look.refused.empty()) {
      found.replica_identity = table.replica_identity;
      found.key = table.key;
    }
  }
  if (assembler) assembler->note_names(named);
  Status added = co_await publish_missing(*this, looks, *published);
  if (!added.ok()) co_return co_await look_failed(*this, added.error());
  std::map<std::string, std::string> refused;
  for (auto& [plain, look] : looks) {
    if (look.refused.empty()) {
      uint64_t mark = (*publication)->version << 32 | published->tables[plain];
      capture_table(*this, plain, std::move(look), mark, published->named.contains(plain));
      continue;
    }
    refused[plain] = look.refused;
    tables.erase(plain);
    tables_to_read.erase(plain);
    forget_snapshot(plain);
    if (published->tables.contains(plain) && state.publication_ours &&
        refused[plain].find("REPLICA IDENTITY NOTHING") != std::string::npos) {
      // Published without an identity, the owner's own updates would fail.
      (void)co_await control->execute(fmt::format("ALTER PUBLICATION {} DROP TABLE ONLY {}",
                                                  quote_pg_identifier(config.name), split_table_name(plain).quoted()));
    }
  }
  Status dropped = co_await unpublish_others(*this, *published);
  if (!dropped.ok()) co_return co_await look_failed(*this, dropped.error());
  set_aside = std::move(refused);
  locked.erase("");
  show_tables();
  work.notify();
  co_return Trouble{};
}

}  // namespace tributary
