// ClickHouseStore::prepare(): the server, the databases, the tables and the clients' read views.
#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/clickhouse_tokens.h"
#include "store/clickhouse/clickhouse_errors.h"
#include "store/clickhouse/clickhouse_store.h"
#include "store/clickhouse/database_owner.h"
#include "store/clickhouse/history_table.h"

namespace tributary {
namespace {

constexpr int server_major_min = 23;  // ReplacingMergeTree with is_deleted that FINAL applies
constexpr int server_minor_min = 8;

// Several errors as one: the first one's kind, all messages.
void add_error(std::optional<Error>& all, Error next) {
  if (!all) {
    all = std::move(next);
  } else {
    all->message += "\n" + next.message;
  }
}

}  // namespace

Status ClickHouseStore::check_server() {
  RETURN_IF_ERROR(check_version());
  if (layout_.clients_prefix.empty()) return {};  // the engine is ours alone
  ASSIGN_OR_RETURN(std::string mark, http_.read({.sql = owner_query(layout_)}));
  RETURN_IF_ERROR(check_owner(layout_, mark));
  if (runs_ == nullptr) return {};
  ASSIGN_OR_RETURN(std::string run, http_.read({.sql = run_query(layout_)}));
  return check_run(layout_, *runs_, run);
}

// Nothing is written to it before.
Status ClickHouseStore::claim_run() {
  if (runs_ == nullptr) return {};
  ASSIGN_OR_RETURN(std::string seen, http_.read({.sql = run_query(layout_)}));
  RETURN_IF_ERROR(check_run(layout_, *runs_, seen));
  ASSIGN_OR_RETURN(std::string run, runs_->begin());
  ByteReader reader(seen);
  if (seen.empty() || reader.string() != run) RETURN_IF_ERROR(change(run_sql(layout_, run)));
  return runs_->settle();
}

Status ClickHouseStore::claim_database() {
  if (layout_.owner.empty()) return {};
  ASSIGN_OR_RETURN(std::string mark, http_.read({.sql = owner_query(layout_)}));
  if (mark.empty()) {
    ASSIGN_OR_RETURN(std::string views, http_.read({.sql = views_query(layout_)}));
    if (views != "0\n") {
      return Error{ErrorCode::kAlreadyExists,
                   fmt::format("the database {} has the read views of another pipeline's client, who would see our "
                               "tables: write another database in the address",
                               layout_.tables)};
    }
    RETURN_IF_ERROR(change(claim_sql(layout_)));
    ASSIGN_OR_RETURN(mark, http_.read({.sql = owner_query(layout_)}));
  }
  RETURN_IF_ERROR(check_owner(layout_, mark));
  return claim_run();
}

Status ClickHouseStore::check_version() {
  ASSIGN_OR_RETURN(std::string version, http_.read({.sql = "SELECT version() FORMAT TabSeparated"}));
  while (!version.empty() && version.back() == '\n') version.pop_back();
  char* end = nullptr;
  long major = std::strtol(version.c_str(), &end, 10);
  long minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  if (std::pair(major, minor) >= std::pair<long, long>(server_major_min, server_minor_min)) return {};
  return Error{ErrorCode::kUnsupported,
               fmt::format("{} is version {}; {}.{} or newer is needed", http_.endpoint().name(), version,
                           server_major_min, server_minor_min)};
}

Status ClickHouseStore::make_database(const std::string& name) {
  // A user may have all rights on a database that is there, and not the one to make databases.
  ASSIGN_OR_RETURN(std::string engine,
                   http_.read({.sql = fmt::format("SELECT engine FROM system.databases WHERE name = "
                                                  "{} FORMAT TabSeparated",
                                                  quote_text(name))}));
  if (name == layout_.tables) layout_.replicated = engine == "Replicated\n";
  if (!engine.empty()) return {};
  Status made = http_.execute({.sql = create_database_sql(layout_, name), .timeout = change_timeout});
  if (made.ok()) return {};
  return with_context(std::move(made).error(),
                      fmt::format("the database {0} is not there and cannot be made; make it yourself, or GRANT CREATE "
                                  "DATABASE ON {0}.* to the user",
                                  name));
}

Status ClickHouseStore::prepare_databases() {
  Status ready = check_version();
  if (ready.ok()) ready = make_database(layout_.tables);
  if (ready.ok()) ready = claim_database();
  if (ready.ok() || retryable(ready.error().code)) return ready;
  return Error{ErrorCode::kUnavailable, std::move(ready).error().message};
}

Status ClickHouseStore::prepare(std::span<const TableDefinition> tables, std::span<const ClientId> clients) {
  RETURN_IF_ERROR(prepare_databases());
  std::optional<Error> errors;
  std::vector<Prepared> good;
  // What may go away by itself ends the attempt: it will be made again.
  for (const TableDefinition& table : tables) {
    auto prepared = prepare_table(table);
    note_fit(table.name, prepared);
    if (prepared.ok()) {
      good.push_back(*std::move(prepared));
    } else if (retryable(prepared.error().code)) {
      return std::move(prepared).error();
    } else {
      add_error(errors, std::move(prepared).error());
    }
  }
  for (const ClientId& client : clients) {
    Status status = check_client_name(client);
    if (status.ok()) status = prepare_client(client, good);
    if (status.ok()) continue;
    if (retryable(status.error().code)) return status;
    add_error(errors, std::move(status).error());
  }
  if (errors) return *std::move(errors);
  return {};
}

Result<ExistingTable> ClickHouseStore::read_table(const std::string& name) {
  ExistingTable table;
  ASSIGN_OR_RETURN(std::string columns,
                   ask(fmt::format("SELECT name, type FROM system.columns WHERE database = '{}' AND table = {} "
                                   "ORDER BY position FORMAT RowBinary",
                                   layout_.tables, quote_text(name))));
  ByteReader reader(columns);
  while (reader.ok() && !reader.at_end()) {
    std::string column(reader.string());
    table.columns.push_back({std::move(column), std::string(reader.string())});
  }
  ASSIGN_OR_RETURN(std::string key,
                   ask(fmt::format("SELECT sorting_key, comment FROM system.tables WHERE database = '{}' AND "
                                   "name = {} FORMAT RowBinary",
                                   layout_.tables, quote_text(name))));
  ByteReader key_reader(key);
  if (!key.empty()) {
    table.sorting_key = parse_sorting_key(key_reader.string());
    table.comment = key_reader.string();
  }
  if (!reader.ok() || !key_reader.ok())
    return Error{ErrorCode::kInternal, "ClickHouse describes the table in no known way"};
  return table;
}

Result<ClickHouseStore::Prepared> ClickHouseStore::prepare_table(const TableDefinition& table) {
  Prepared prepared{.definition = &table, .table = {}, .versions = {}};
  ASSIGN_OR_RETURN(ExistingTable existing, read_table(table.name));
  ASSIGN_OR_RETURN(TableChange needed, plan_table(layout_, table, existing));
  ASSIGN_OR_RETURN(prepared.table, apply(table.name, std::move(existing), needed));
  if (table.options.history) {
    std::string name = history_name(table.name);
    ASSIGN_OR_RETURN(existing, read_table(name));
    ASSIGN_OR_RETURN(needed, plan_history(layout_, table, existing));
    ASSIGN_OR_RETURN(prepared.versions, apply(name, std::move(existing), needed));
  }
  auto names = [](const ExistingTable& existing) {
    std::set<std::string> all;
    for (const ExistingColumn& column : existing.columns) all.insert(column.name);
    return all;
  };
  std::lock_guard lock(mutex_);
  columns_[table.name] = names(prepared.table);
  if (table.options.history) {
    columns_[history_name(table.name)] = names(prepared.versions);
    with_history_.insert(table.name);
  } else {
    with_history_.erase(table.name);
  }
  return prepared;
}

Result<ExistingTable> ClickHouseStore::apply(const std::string& name, ExistingTable existing,
                                             const TableChange& change_of_it) {
  // What a killed rebuild left: before the exchange a half copy, after it the old table.
  RETURN_IF_ERROR(change(drop_table_sql(layout_, rebuild_name(name))));
  for (const std::string& sql : change_of_it.statements) {
    if (Status status = change(sql); !status.ok()) return with_context(std::move(status).error(), "view " + name);
  }
  return change_of_it.statements.empty() ? Result<ExistingTable>(std::move(existing)) : read_table(name);
}

void ClickHouseStore::note_fit(const std::string& table, const Result<Prepared>& prepared) {
  std::lock_guard lock(mutex_);
  if (prepared.ok()) {
    unfit_.erase(table);
  } else if (!retryable(prepared.error().code)) {
    unfit_.insert_or_assign(table, prepared.error());
  }
}

Status ClickHouseStore::fits(const std::string& table) {
  std::lock_guard lock(mutex_);
  auto unfit = unfit_.find(table);
  return unfit == unfit_.end() ? Status() : Status(unfit->second);
}

bool ClickHouseStore::keeps_history(const std::string& table) {
  std::lock_guard lock(mutex_);
  return with_history_.contains(table);
}

Status ClickHouseStore::prepare_client(const ClientId& client, std::span<const Prepared> tables) {
  std::string database = layout_.client_database(client);
  RETURN_IF_ERROR(make_database(database));
  ASSIGN_OR_RETURN(std::string existing, ask(fmt::format("SELECT name, comment FROM system.tables WHERE database = {} "
                                                         "FORMAT RowBinary",
                                                         quote_text(database))));
  std::map<std::string, std::string> comments;
  ByteReader reader(existing);
  while (reader.ok() && !reader.at_end()) {
    std::string name(reader.string());
    comments[name] = std::string(reader.string());
  }
  if (comments.contains(owner_table)) {
    return Error{
        ErrorCode::kAlreadyExists,
        fmt::format("client {}: the database {} has another pipeline's tables, which the client would see: give "
                    "the client another id, or write another database in the address",
                    client, database)};
  }
  auto drop_view = [&](const std::string& name) -> Status {
    auto view = comments.find(name);
    if (view == comments.end() || !is_read_view(layout_, view->second)) return {};
    return change(fmt::format("DROP VIEW IF EXISTS {}{} SYNC", qualified_name(database, name), on_cluster(layout_)));
  };
  auto make_view = [&](const std::string& name, const ReadView& view) -> Status {
    auto at = comments.find(name);
    if (at == comments.end()) return change(view.sql);
    if (at->second == view.comment) return {};
    if (is_read_view(layout_, at->second)) return change(view.sql);
    return Error{
        ErrorCode::kAlreadyExists,
        fmt::format("client {}: the database {} has something else of the name {}, which stays as it is; rename "
                    "the view, or rename or drop it on the server",
                    client, database, name)};
  };
  std::optional<Error> errors;
  for (const Prepared& table : tables) {
    std::string name = table.definition->read_name();
    std::string history = name + history_suffix;
    if (table.definition->hidden) {
      RETURN_IF_ERROR(drop_view(name));
      RETURN_IF_ERROR(drop_view(history));
    }
    if (!table.definition->shown) continue;
    Status made = make_view(name, read_view(layout_, *table.definition, table.table, client));
    if (made.ok() && table.definition->options.history) {
      made = make_view(history, history_view(layout_, *table.definition, table.versions, client));
    } else if (made.ok()) {
      made = drop_view(history);  // its rows stay, unread
    }
    if (made.ok()) continue;
    if (retryable(made.error().code)) return made;
    add_error(errors, std::move(made).error());
  }
  if (errors) return *std::move(errors);
  return {};
}

}  // namespace tributary
