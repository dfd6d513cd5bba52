#include "store/clickhouse/clickhouse_store.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/clickhouse_tokens.h"
#include "base/hex.h"
#include "store/clickhouse/clickhouse_errors.h"
#include "store/clickhouse/clickhouse_types.h"
#include "store/clickhouse/database_owner.h"
#include "store/clickhouse/history_table.h"
#include "store/clickhouse/native_encoder.h"

namespace tributary {
namespace {

constexpr std::chrono::hours change_timeout{6};  // a rebuild copies a whole table
constexpr size_t sent_groups_max = 64;           // INSERTs of one table that a repetition is known by
constexpr int server_major_min = 23;             // ReplacingMergeTree with is_deleted that FINAL applies
constexpr int server_minor_min = 8;

// `version` − 1; versions above zero only.
Version before(Version version) {
  for (size_t i = Version::encoded_bytes; i-- > 0;) {
    if (version.bytes[i]-- != 0) break;
  }
  return version;
}

// How many of the first ones; what does not open is one by itself.
size_t batches_of_equal_columns(std::span<const std::string_view> encoded) {
  auto first = open_encoded(encoded[0]);
  size_t count = 1;
  while (first.ok() && count < encoded.size()) {
    auto other = open_encoded(encoded[count]);
    if (!other.ok() || other->columns != first->columns) break;
    ++count;
  }
  return count;
}

// Several errors as one: the first one's kind, all messages.
void add_error(std::optional<Error>& all, Error next) {
  if (!all) {
    all = std::move(next);
  } else {
    all->message += "\n" + next.message;
  }
}

}  // namespace

Status ClickHouseStore::change(const std::string& sql) {
  return http_.execute({.sql = sql,
                        .parameters = {{"database", layout_.tables},
                                       {"max_execution_time", "0"},
                                       {"alter_sync", "2"},
                                       {"mutations_sync", "2"}},
                        .timeout = change_timeout});
}

Result<std::string> ClickHouseStore::ask(const std::string& sql,
                                         std::vector<std::pair<std::string, std::string>> parameters) {
  parameters.emplace_back("database", layout_.tables);
  return http_.read({.sql = sql, .parameters = std::move(parameters)});
}

Status ClickHouseStore::check_server() {
  RETURN_IF_ERROR(check_version());
  if (layout_.clients_prefix.empty()) return {};  // the engine is ours alone
  ASSIGN_OR_RETURN(std::string mark, http_.read({.sql = owner_query(layout_)}));
  return check_owner(layout_, mark);
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
  return check_owner(layout_, mark);
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

Result<std::string> ClickHouseStore::encode(const TableDefinition& table, const OutputBatch& rows) const {
  return encode_rows(table, rows);
}

Status ClickHouseStore::insert(const std::string& table, std::span<const std::string_view> encoded) {
  // ClickHouse itself takes an Int64 for an Int32, and keeps what is left of it.
  RETURN_IF_ERROR(fits(table));
  Group hashes;
  for (std::string_view batch : encoded) hashes.push_back(XXH3_64bits(batch.data(), batch.size()));
  for (size_t at = 0; at < encoded.size();) {
    size_t size = next_group(table, std::span(hashes).subspan(at), batches_of_equal_columns(encoded.subspan(at)));
    // What readers see is in the history, whenever we are killed.
    if (keeps_history(table)) RETURN_IF_ERROR(insert_group(history_name(table), encoded.subspan(at, size)));
    RETURN_IF_ERROR(insert_group(table, encoded.subspan(at, size)));
    at += size;
  }
  return {};
}

size_t ClickHouseStore::next_group(const std::string& table, std::span<const uint64_t> hashes, size_t equal) {
  std::lock_guard lock(mutex_);
  std::deque<Group>& sent = sent_[table];
  for (const Group& group : sent) {
    if (group.size() <= hashes.size() && std::equal(group.begin(), group.end(), hashes.begin())) return group.size();
  }
  sent.emplace_back(hashes.begin(), hashes.begin() + static_cast<std::ptrdiff_t>(equal));
  if (sent.size() > sent_groups_max) sent.pop_front();
  return equal;
}

std::string ClickHouseStore::insertable(const std::string& table, const std::vector<std::string>& columns) {
  std::lock_guard lock(mutex_);
  auto prepared = columns_.find(table);
  std::string list;
  for (const std::string& name : columns) {
    if (prepared != columns_.end() && !prepared->second.contains(name)) continue;
    list += (list.empty() ? "" : ", ") + quote_identifier(name);
  }
  return list;
}

Status ClickHouseStore::insert_group(const std::string& table, std::span<const std::string_view> encoded) {
  std::vector<std::string_view> blocks;
  Group hashes;
  for (std::string_view batch : encoded) {
    ASSIGN_OR_RETURN(EncodedRows opened, open_encoded(batch));
    blocks.push_back(opened.block);
    hashes.push_back(XXH3_64bits(batch.data(), batch.size()));
  }
  ASSIGN_OR_RETURN(EncodedRows first, open_encoded(encoded[0]));
  std::string sql = fmt::format("INSERT INTO {} ({}) FORMAT Native", qualified_name(layout_.tables, table),
                                insertable(table, first.column_names()));
  XXH128_hash_t token = XXH3_128bits(hashes.data(), hashes.size() * sizeof(uint64_t));
  // A NULL for a column that takes none is an error, not a zero. Versions of one key are left for merges and FINAL to
  // choose from: choosing already on INSERT cost 1.9 instead of 0.7 us of CPU a row (12 columns, 100,000 rows).
  Status status = http_.execute(
      {.sql = sql,
       .data = blocks,
       .parameters = {{"database", layout_.tables},
                      {"async_insert", "0"},
                      {"insert_deduplication_token", fmt::format("{:016x}{:016x}", token.high64, token.low64)},
                      {"input_format_null_as_default", "0"},
                      {"input_format_skip_unknown_fields", "1"},  // those that are not named before
                      {"max_partitions_per_insert_block", "0"},
                      {"optimize_on_insert", "0"}}});
  if (status.ok()) return {};
  Error error = with_context(std::move(status).error(), "table " + table);
  if (refuses_user(error)) error.code = ErrorCode::kUnavailable;  // no table is to blame
  return error;
}

Status ClickHouseStore::withdraw(const Withdrawal& withdrawal) {
  if (withdrawal.below == Version{}) return {};  // nothing is older than the beginning
  ASSIGN_OR_RETURN(ExistingTable table, read_table(withdrawal.view));
  if (table.columns.empty()) {
    return Error{ErrorCode::kNotFound, fmt::format("there is no table for view {}; prepare it first", withdrawal.view)};
  }
  if (keeps_history(withdrawal.view)) {
    RETURN_IF_ERROR(withdraw_from(withdrawal, table, history_name(withdrawal.view)));
  }
  return withdraw_from(withdrawal, table, withdrawal.view);
}

Status ClickHouseStore::withdraw_from(const Withdrawal& withdrawal, const ExistingTable& table,
                                      const std::string& into) {
  std::string key;  // the columns by which a row is replaced
  for (const std::string& column : table.sorting_key) key += quote_identifier(column) + ", ";
  std::string name = qualified_name(layout_.tables, withdrawal.view);
  std::string where = fmt::format("{} = {} AND {} < toUInt256('{}')", client_id_column,
                                  quote_text(withdrawal.client.value), version_column, withdrawal.below.to_decimal());
  if (!withdrawal.low.empty()) where += fmt::format(" AND {} >= unhex('{}')", key_column, to_hex(withdrawal.low));
  if (!withdrawal.high.empty()) where += fmt::format(" AND {} < unhex('{}')", key_column, to_hex(withdrawal.high));
  std::string sql = fmt::format("INSERT INTO {6} ({1}{2}, {3}) SELECT {1}toUInt256('{4}'), 1 FROM {0} FINAL WHERE {5}",
                                name, key, version_column, deleted_column, before(withdrawal.below).to_decimal(), where,
                                qualified_name(layout_.tables, into));
  Status status = http_.execute(
      {.sql = sql, .parameters = {{"database", layout_.tables}, {"async_insert", "0"}}, .timeout = change_timeout});
  if (status.ok()) return {};
  if (refuses_user(status.error())) return Error{ErrorCode::kUnavailable, std::move(status).error().message};
  return with_context(std::move(status).error(), "view " + withdrawal.view);
}

// Until they are loaded, the server does not list a table's parts.
Status ClickHouseStore::load_tables() {
  if (loaded_) return {};
  ASSIGN_OR_RETURN(std::string names,
                   ask(fmt::format("SELECT name FROM system.tables WHERE database = {} FORMAT RowBinary",
                                   quote_text(layout_.tables))));
  ByteReader reader(names);
  while (reader.ok() && !reader.at_end()) {
    std::string table = qualified_name(layout_.tables, std::string(reader.string()));
    Result<std::string> touched = ask(fmt::format("SELECT 1 FROM {} LIMIT 0", table));
    if (!touched.ok() && touched.error().code != ErrorCode::kNotFound) return std::move(touched).error();
  }
  loaded_ = true;
  return {};
}

Result<std::map<std::string, TableMark>> ClickHouseStore::marks() {
  Status loaded = load_tables();
  // Without the database, its tables are gone, too.
  if (!loaded.ok() && loaded.error().code == ErrorCode::kNotFound) return std::map<std::string, TableMark>{};
  if (!loaded.ok()) return std::move(loaded).error();
  ASSIGN_OR_RETURN(
      std::string answer,
      ask(fmt::format(
          "SELECT t.name, toString(t.uuid), if(t.engine_full LIKE '% TTL %', 0, p.blocks) "
          "FROM system.tables AS t LEFT JOIN (SELECT table, sum(newest) AS blocks FROM "
          "(SELECT table, max(max_block_number) + 1 AS newest FROM system.parts "
          "WHERE database = {0} AND active GROUP BY table, partition_id) GROUP BY table) AS p ON p.table = t.name "
          "WHERE t.database = {0} AND t.engine LIKE '%MergeTree' AND t.engine NOT LIKE 'Replicated%' "
          "AND t.engine NOT LIKE 'Shared%' FORMAT RowBinary",
          quote_text(layout_.tables))));
  std::map<std::string, TableMark> marks;
  ByteReader reader(answer);
  while (reader.ok() && !reader.at_end()) {
    TableMark& mark = marks[std::string(reader.string())];
    mark.identity = reader.string();
    mark.written = reader.u64();
  }
  if (!reader.ok()) return Error{ErrorCode::kInternal, "ClickHouse describes its tables in no known way"};
  return marks;
}

// Views of a name that the pipeline file has no more: others read a new build's table by now.
Status ClickHouseStore::drop_readers(const std::string& table) {
  ASSIGN_OR_RETURN(std::string found,
                   ask(fmt::format("SELECT database, name, comment FROM system.tables WHERE engine = 'View' AND "
                                   "position(replaceAll(as_select, '`', ''), {}) > 0 FORMAT RowBinary",
                                   quote_text(fmt::format("FROM {}.{} FINAL", layout_.tables, table)))));
  ByteReader reader(found);
  while (reader.ok() && !reader.at_end()) {
    std::string database(reader.string());
    std::string name(reader.string());
    if (!is_read_view(layout_, reader.string())) continue;
    RETURN_IF_ERROR(
        change(fmt::format("DROP VIEW IF EXISTS {}{} SYNC", qualified_name(database, name), on_cluster(layout_))));
  }
  return {};
}

Status ClickHouseStore::drop(const std::string& table) {
  RETURN_IF_ERROR(drop_readers(history_name(table)));
  RETURN_IF_ERROR(drop_readers(table));
  RETURN_IF_ERROR(change(drop_table_sql(layout_, history_name(table))));
  return change(drop_table_sql(layout_, table));
}

Result<std::string> ClickHouseStore::execute(const std::string& sql, const std::string& format,
                                             std::chrono::milliseconds limit) {
  return http_.read(
      {.sql = sql, .parameters = {{"database", layout_.tables}, {"default_format", format}}, .timeout = limit});
}

Result<uint64_t> ClickHouseStore::count_rows(const std::string& view, const ClientId& client) {
  ASSIGN_OR_RETURN(std::string count, execute(fmt::format("SELECT count() FROM {} FINAL WHERE {} = {}",
                                                          qualified_name(layout_.tables, view), client_id_column,
                                                          quote_text(client.value))));
  return std::strtoull(count.c_str(), nullptr, 10);
}

}  // namespace tributary
