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

constexpr size_t sent_groups_max = 64;           // INSERTs of one table that a repetition is known by

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
          "SELECT t.name, if(t.engine LIKE 'Replicated%' OR t.engine LIKE 'Shared%', '', toString(t.uuid)) AS "
          "identity, "
          "if(t.engine_full LIKE '% TTL %' OR identity = '', 0, p.blocks) "
          "FROM system.tables AS t LEFT JOIN (SELECT table, sum(newest) AS blocks FROM "
          "(SELECT table, max(max_block_number) + 1 AS newest FROM system.parts "
          "WHERE database = {0} AND active GROUP BY table, partition_id) GROUP BY table) AS p ON p.table = t.name "
          "WHERE t.database = {0} AND t.engine LIKE '%MergeTree' FORMAT RowBinary",
          quote_text(layout_.tables))));
  std::map<std::string, TableMark> marks;
  ByteReader reader(answer);
  while (reader.ok() && !reader.at_end()) {
    TableMark& mark = marks[std::string(reader.string())];
    mark.identity = reader.string();
    mark.written = reader.u64();
  }
  if (!reader.ok()) return Error{ErrorCode::kInternal, "ClickHouse describes its tables in no known way"};
  ASSIGN_OR_RETURN(std::string columns, ask(fmt::format("SELECT table, name FROM system.columns WHERE database = {} "
                                                        "FORMAT RowBinary",
                                                        quote_text(layout_.tables))));
  std::map<std::string, TableMark*> by_history;
  for (auto& [table, mark] : marks) by_history[history_name(table)] = &mark;
  ByteReader column_reader(columns);
  while (column_reader.ok() && !column_reader.at_end()) {
    std::string table(column_reader.string());
    std::string column(column_reader.string());
    if (auto of = marks.find(table); of != marks.end()) of->second.columns.insert(column);
    if (auto of = by_history.find(table); of != by_history.end()) of->second->columns.insert(history_suffix + column);
  }
  if (!column_reader.ok()) return Error{ErrorCode::kInternal, "ClickHouse describes its columns in no known way"};
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
