// The analytics in ClickHouse, by its HTTP interface: the embedded engine's socket or a server, the same code.
//
//   ClickHouseStore store({.socket = engine->socket_path()});
//   RETURN_IF_ERROR(store.prepare(tables, clients));
//   ASSIGN_OR_RETURN(std::string rows, store.encode(table, batch));
//   RETURN_IF_ERROR(store.insert(table.name, {rows}));
//
// Layout (docs/formats/analytics-table.md): table `_tributary`.`<view>`, and in a database per client a read view over
// its own current rows. INSERTs are synchronous and synced to disk before they are answered. One whose outcome is not
// known is repeated with the same rows and the same insert_deduplication_token.
//
// Measured on two cores shared with other builds, 12 columns in 177 bytes a row, encode and HTTP and engine, data on
// tmpfs (clickhouse_insert_bench): 10,000 rows in 11 ms (920 thousand rows/s), 100,000 in 115 ms (870 thousand rows/s),
// 1,000 in 4.3 ms, one row in 3.5 ms; encoding is 0.07-0.1 us a row. On disk the sync adds some 10 files a part
// (docs/decisions/0020-clickhouse-inserts-are-synced.md).
// Thread-safe, with one exception: prepare() must not run beside insert() of the same tables (a rebuild copies the rows
// that it sees).
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "contracts/analytics.h"
#include "contracts/run_ledger.h"
#include "store/clickhouse/database_layout.h"
#include "store/clickhouse/http_client.h"
#include "store/clickhouse/table_ddl.h"

namespace tributary {

class ClickHouseStore : public AnalyticsStore {
 public:
  explicit ClickHouseStore(ClickHouseEndpoint endpoint, DatabaseLayout layout = {})
      : http_(std::move(endpoint)), layout_(std::move(layout)) {}

  // Whether the server answers, is new enough (kUnsupported), takes our user (kPermissionDenied), and has no rows of another data
  // directory (kAlreadyExists).
  Status check_server();
  // Of a server's database: it is written to by this run alone, and not where it has seen a later one than the ledger knows
  // (kAlreadyExists). The ledger outlives the store.
  void use_runs(RunLedger& runs) { runs_ = &runs; }

  // Tables that cannot be made to fit, and clients whose id cannot be a database, are named in the error's message; all
  // others are prepared. A column that a table has and its definition lacks stays, and leaves the read views.
  // What the server as a whole refuses (its version, our user, making the databases) is kUnavailable: it may be mended
  // while we wait.
  Status prepare(std::span<const TableDefinition> tables, std::span<const ClientId> clients) override;

  // Deleted rows must have the values of order_by's columns too: they are part of what a row is replaced by.
  Result<std::string> encode(const TableDefinition& table, const OutputBatch& rows) const override;

  // Batches of equal columns go in one INSERT, in their order. Batches that are sent again soon, whatever became of them,
  // are the same INSERTs as before, also where more have come behind them. Of rows that were encoded by an older definition
  // the columns are left out that the table has not had since: nobody reads them.
  Status insert(const std::string& table, std::span<const std::string_view> encoded) override;

  // Rows below `below` get a tombstone of the version just before it: a row of exactly `below` survives whenever it
  // comes, and whatever is written again below it is hidden once more.
  Status withdraw(const Withdrawal& withdrawal) override;
  // By a table's UUID and the numbers of its newest blocks. Nothing of replicated tables, whose replicas may be behind; of
  // tables with a TTL only whether they are there.
  Result<std::map<std::string, TableMark>> marks() override;
  Status drop(const std::string& table) override;

  // As the owner, who sees all clients' rows, in the database of the views' tables: for the validator, differences, status and
  // tests. One statement. `limit` 0: the endpoint's.
  Result<std::string> execute(const std::string& sql, const std::string& format = "TabSeparated",
                              std::chrono::milliseconds limit = {});
  // See ClickHouseHttp.
  void give_up_at(std::chrono::steady_clock::time_point when) { http_.give_up_at(when); }
  // Current rows of one client in a view, as the client sees them.
  Result<uint64_t> count_rows(const std::string& view, const ClientId& client);

 private:
  static constexpr std::chrono::hours change_timeout{6};  // a rebuild copies a whole table

  struct Prepared {
    const TableDefinition* definition;
    ExistingTable table;  // as it is now
    ExistingTable versions;  // likewise, where it keeps history
  };
  Result<Prepared> prepare_table(const TableDefinition& table);
  Result<ExistingTable> apply(const std::string& name, ExistingTable existing, const TableChange& change);
  Status prepare_client(const ClientId& client, std::span<const Prepared> tables);
  Status drop_readers(const std::string& table);
  Result<ExistingTable> read_table(const std::string& name);
  Status load_tables();
  Status prepare_databases();
  Status check_version();
  Status claim_database();
  Status claim_run();
  Status make_database(const std::string& name);
  // How many of `hashes`, of batches not sent in this call yet, go into the next INSERT; `equal` of them could.
  size_t next_group(const std::string& table, std::span<const uint64_t> hashes, size_t equal);
  bool keeps_history(const std::string& table);
  void note_fit(const std::string& table, const Result<Prepared>& prepared);
  Status fits(const std::string& table);
  // "a, b": those of the columns that the table was prepared with; all where it was not.
  std::string insertable(const std::string& table, const std::vector<std::string>& columns);
  Status withdraw_from(const Withdrawal& withdrawal, const ExistingTable& table, const std::string& into);
  Status insert_group(const std::string& table, std::span<const std::string_view> encoded);
  // DDL and maintenance as the owner, with hours of patience.
  Status change(const std::string& sql);
  Result<std::string> ask(const std::string& sql, std::vector<std::pair<std::string, std::string>> parameters = {});

  ClickHouseHttp http_;
  DatabaseLayout layout_;
  RunLedger* runs_ = nullptr;
  using Group = std::vector<uint64_t>;  // hashes of the batches of one INSERT
  std::atomic<bool> loaded_ = false;  // a server that has just started loads its tables when they are asked for
  std::mutex mutex_;
  std::set<std::string> with_history_;  // tables
  std::map<std::string, std::set<std::string>> columns_;  // by table, as it was prepared
  std::map<std::string, Error> unfit_;  // tables that could not be made to fit, and why
  std::map<std::string, std::deque<Group>> sent_;  // by table: the newest INSERTs, since they may be repeated
};

}  // namespace tributary
