// The validator behind `tributary verify`: what a client's analytics hold is compared, row by row, with what the same
// SQL says in batch over the source's own tables.
//
// It shares nothing with the pipeline but the views' SQL: its own reading of PostgreSQL's catalog and of values, its own
// DuckDB database, no merge and no incremental operator. Per client it takes one snapshot of the source (REPEATABLE READ,
// COPY, read-only), marks the position of the log in it, waits until the analytics have reached the mark, and compares.
// Keys that differ are read again from both sides until they agree, or stay different while the source's row stays as
// it is: so it is exact also while writers go on.
//
//   VerifyRequest request{.clients = {acme}, .domains = {{.name = "orders"}}, .views = {{.name = "orders", .sql =
//       "SELECT * FROM orders", .columns = …}}, .scratch_directory = "/tmp/verify"};
//   Result<VerifyReport> report = verify(request, ports);
//   if (report.ok() && !report->clean()) exit code 1
//
// Views may join, aggregate, take first rows, unite and read other views. In batch their SQL means exactly what it means in the
// pipeline (aggregate_rewrite.h): sums of doubles are exact sums rounded once, averages of integers and decimals exact quotients
// rounded once; of rows equal in the ORDER BY of QUALIFY row_number() = 1 the first one by the output columns wins, ascending,
// NULLs last; of rows equal in the order of arg_min and arg_max the least argument.
//
// Comparison: decimals, integers, dates, timestamps, uuids, text and bytes are exact, so sums of integers and decimals are;
// doubles within 1e-9 relative, NaN equals NaN, -0 equals 0. Since batch sums of doubles are exact, too, no bound has to allow
// for cancellation: 1e16 + 1 - 1e16 is 1 on both sides, also in the views above. A column that is avg() of integers or
// decimals and nothing else may differ by one unit in the last place. A value that its type cannot hold is compared by its
// text, also where it went through joins, unions and groups; a row that was computed with it must be a dead letter.
//
// A view of one domain's rows that passes the domain's whole key through is compared by that key, any other one by its `key`,
// and without one (or with doubles in it) as a multiset of rows. While writers go on, rows that differ are read again by the
// domain's key; for other views all domains are read again in one new snapshot, and the differing rows are looked at.
//
// Memory is bounded by `memory_bytes_max`: what is above it goes to `scratch_directory`.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "contracts/analytics.h"

namespace tributary {

// A relation that views read. `columns` are the union of the clients' columns, by name, as the views' SQL sees them; a
// column that one client's table does not have is NULL there. Empty: as the client's own table has them.
struct VerifyDomain {
  std::string name;
  std::vector<OutputColumn> columns;
  std::vector<std::string> key;  // columns of the row key. Empty: the table's replica identity, else its primary key
};

// Its SQL may name domains and earlier views of the request. An earlier view's rows are what its own SQL gives in batch, never
// what the analytics hold. A domain hides a view of the same name.
struct VerifyView {
  std::string name;  // also of its relation in the analytics
  std::string sql;  // of a view that is a whole domain: SELECT * FROM domain
  std::vector<OutputColumn> columns;  // in the order of the SQL's result
  std::vector<std::string> names_in_analytics;  // of the columns, where they are others; empty: the same
  std::vector<std::string> key;  // columns of its that are unique together, per client; empty: none known
  std::optional<size_t> ttl_column;  // rows whose time in it is `ttl` ago are no part of the view any more
  std::chrono::seconds ttl{0};
  bool compared = true;  // false: only a definition for the views that read it
};

// `client.name` in a view's SQL: CAST('text' AS type), NULL without a text.
struct VerifyAttribute {
  std::string name;
  LogicalType type{TypeId::kText};
  std::optional<std::string> text;
};

struct VerifyClient {
  ClientId client;
  std::string url;  // postgresql://user@host:port/database?parameters, without a password; a replica's is welcome
  std::string password;
  std::map<std::string, std::string> tables;  // domain -> schema.table. A view of a domain that is not here is left out
  std::vector<VerifyAttribute> attributes;
};

struct VerifyRequest {
  std::vector<VerifyClient> clients;
  std::vector<VerifyDomain> domains;
  std::vector<VerifyView> views;  // each after those that it reads
  std::string scratch_directory;  // exists; files in it are gone when verify() returns
  size_t memory_bytes_max = size_t{512} << 20;  // for each client's comparison; clients are compared one by one
  bool live = false;  // the pipeline is running: wait for marks, read again what differs
  std::chrono::milliseconds mark_limit{60'000};  // how long a mark may take to be queryable
  int attempts = 3;  // readings of an unchanged source row that must all differ
  int rounds_max = 12;  // readings of a key that changes all the time
  size_t keys_again_max = 200'000;  // differing rows kept, and read again with `live`; more are counted only
  size_t samples_max = 10;  // findings listed for each view
  uint64_t source_rows_per_second = 0;  // 0: as fast as the source gives them
  std::string
      state_file;  // not empty: views that compared clean are noted there, and left out by a later call with the same
  // views; removed when all are clean. A file that verify did not write is refused
};

// The values of a row key's columns, as PostgreSQL's text, in the key's order.
using VerifyKey = std::vector<std::string>;

// A row that is withdrawn since it could not be processed.
struct VerifyDeadLetter {
  // Whose row it is: a domain or an earlier view that the view's SQL names, for a row that counts as absent in it; the view
  // itself, for a row of its result (a group).
  std::string relation;
  std::vector<std::optional<std::string>> key;  // by the relation's `key`, as PostgreSQL's text; nullopt: NULL
};

struct VerifyProgress {
  ClientId client;
  std::string what;  // "orders": the domain being read, or the view being compared
  uint64_t rows = 0;
};

// All are called from verify()'s thread.
struct VerifyPorts {
  // Runs ClickHouse SQL as `client` and gives the answer's bytes in ClickHouse's output format `format`, piece by piece.
  std::function<Status(const ClientId& client, std::string_view sql, std::string_view format,
                       const std::function<void(std::string_view)>& out)>
      analytics;
  // True once all that `client` committed before the log position `lsn` is queryable; false where it is not in time.
  // Called only with `live`.
  std::function<Result<bool>(const ClientId& client, uint64_t lsn, std::chrono::milliseconds limit)>
      wait_until_queryable;
  // Rows that are withdrawn from a view since they could not be processed. May be empty.
  std::function<Result<std::vector<VerifyDeadLetter>>(const ClientId& client, const std::string& view)> dead_rows;
  // Called every second or so while rows are read, and before each comparison. An error ends the client's, and is its
  // error: what is judged may be gone. May be empty.
  std::function<Status(const VerifyProgress&)> progress;
};

enum class FindingKind : uint8_t {
  kMissing,  // the source's answer has the row, the analytics do not
  kUnexpected,  // the analytics have a row that the source's answer does not have
  kDifferent,  // both have the key, with other values
  kDuplicate,  // the analytics have the row more than once
  kFailed,  // the SQL fails on this row ("orders id=7" where the view has several relations), or the group needs a value
  // that cannot be held; and it is not among the dead letters
};
std::string_view finding_name(FindingKind kind);  // "missing"

struct CellDifference {
  std::string column;
  std::string source;  // as text, "NULL" for NULL, cut after 120 bytes
  std::string analytics;
};

struct Finding {
  FindingKind kind{};
  std::string key;  // "id=7", or the row's columns where the view does not pass its key through
  std::vector<CellDifference> cells;  // kDifferent: the columns that differ
  std::string reason;  // kFailed: the engine's message
};

struct ViewReport {
  std::string view;
  std::string error;  // not empty: not compared, and why
  uint64_t source_rows = 0;  // in the source's answer
  uint64_t analytics_rows = 0;
  std::map<FindingKind, uint64_t> findings;  // how many; only kinds that occurred
  std::vector<Finding> samples;
  uint64_t excepted = 0;  // dead-lettered rows that are absent, as they should be
  std::vector<std::string> excepted_keys;  // the first `samples_max`
  uint64_t unsettled = 0;  // rows that changed in every round, and could not be judged: a group that is written to all
      // the time. With the writers stopped there are none
  int rounds = 1;  // readings it took
  bool skipped = false;  // clean by the state file
  std::vector<std::string> notes;

  bool clean() const { return error.empty() && findings.empty(); }
};

struct ClientReport {
  ClientId client;
  std::string error;  // not empty: the client could not be compared, and why
  uint64_t mark = 0;  // log position of the first snapshot
  std::vector<ViewReport> views;
  std::vector<std::string> notes;
};

struct VerifyReport {
  std::vector<ClientReport> clients;

  bool clean() const;  // no difference, and every client and view was compared
  bool different() const;  // at least one difference
};

// Compares. An error is about the request (SQL that names unknown columns, a scratch folder that cannot be written); what is
// wrong with one client or one view is in the report, and the others go on.
Result<VerifyReport> verify(const VerifyRequest& request, const VerifyPorts& ports);

// For a terminal: a line per client and view, and the findings below it.
std::string report_text(const VerifyReport& report);
// {"clean":false,"clients":[{"client":"acme","error":"","mark":"0/1A2B","views":[{"view":"orders", …}]}]}
std::string report_json(const VerifyReport& report);

}  // namespace tributary
