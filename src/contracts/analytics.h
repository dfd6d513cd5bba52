// The columnar store of the views' rows, and the way to ask it. ClickHouse, embedded or a server.
//
// Rows are versioned: the store keeps the row with the greatest version under (client, key), so writing twice changes
// nothing and late writes lose. A deleted row is a row with its deleted flag set.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "model/column.h"
#include "model/position.h"

namespace tributary {

struct OutputColumn {
  std::string name;
  LogicalType type;
  bool nullable = true;  // false only for key columns passed through unchanged

  friend bool operator==(const OutputColumn&, const OutputColumn&) = default;
};

// What the versions of a view's rows are read as: "sales_history".
inline constexpr const char* history_suffix = "_history";

// What the user asks of a view's table beyond its order, checked: nothing of it can come between a row and what replaces it.
struct TableOptions {
  std::string partition_by;  // the store's SQL over order_by's columns and client_id; empty: one partition
  std::string ttl_column;  // a date or timestamp among order_by's columns; empty: rows stay
  std::chrono::seconds ttl{0};  // after the time in ttl_column a row goes
  std::map<std::string, std::string> settings;  // of the store's, by name
  bool history = false;  // every version of a row is kept beside the table, for clients as NAME_history

  friend bool operator==(const TableOptions&, const TableOptions&) = default;
};

// One view's table (docs/formats/analytics-table.md).
struct TableDefinition {
  std::string name;  // the view's; a later build of it has its number behind: "sales@2"
  std::vector<OutputColumn> columns;  // without the technical ones
  std::vector<std::string> order_by;  // columns that sort the table after the client and before the key
  std::string comment;
  TableOptions options;
  bool shown = true;  // clients read it, as read_name()
  bool hidden = false;  // clients read nothing under read_name()

  std::string read_name() const { return name.substr(0, name.find('@')); }

  friend bool operator==(const TableDefinition&, const TableDefinition&) = default;
};

// Rows of one view, of any number of clients.
struct OutputBatch {
  std::vector<ClientId> clients;  // those that occur
  std::vector<uint32_t> client_of_row;  // index into clients
  std::vector<Column> columns;  // as the definition's. kText cells are stored as NULL, with their text beside
  std::vector<std::string> keys;  // row key bytes
  std::vector<Version> versions;
  std::vector<uint8_t> deleted;  // 1: the row is gone; its columns may be anything but absent

  size_t rows() const { return keys.size(); }
};

// Everything of (client, view) with a version below `below` and a key in [low, high) is gone. Empty bounds are open.
struct Withdrawal {
  std::string view;  // its table's name
  ClientId client;
  Version below;
  std::string low;
  std::string high;
};

// How far a table has come, as the store itself sees it. Two of them tell whether it still has what it had.
struct TableMark {
  std::string identity;  // another one once the table was made anew; empty: that cannot be told
  uint64_t written = 0;  // rises with what is written, and falls only where that is lost
  std::set<std::string> columns = {};  // those of its history, too, with `history_suffix` before them

  friend bool operator==(const TableMark&, const TableMark&) = default;
};

class AnalyticsStore {
 public:
  virtual ~AnalyticsStore() = default;

  // Creates what is missing and alters what differs (adds columns, widens types), also the read views of each client.
  // Idempotent. A table that cannot be made to fit is an error that names it; the others are prepared all the same.
  virtual Status prepare(std::span<const TableDefinition> tables, std::span<const ClientId> clients) = 0;

  // The bytes that insert() takes. Pure and thread-safe; bytes made today can be inserted after a restart and after
  // columns were added.
  virtual Result<std::string> encode(const TableDefinition& table, const OutputBatch& rows) const = 0;

  // Inserts encoded batches of one table; returns when the store has them durably. Retrying is harmless. kUnavailable,
  // kTimeout, kResourceExhausted: try again later. Any other error: this table's rows are refused, with the reason.
  virtual Status insert(const std::string& table, std::span<const std::string_view> encoded) = 0;

  // Takes effect on all rows inserted before it. Retrying is harmless.
  virtual Status withdraw(const Withdrawal& withdrawal) = 0;

  // Of the tables it has, as far as it can tell.
  virtual Result<std::map<std::string, TableMark>> marks() = 0;

  // Removes a table that no client reads any more. One that is not there is removed.
  virtual Status drop(const std::string& table) = 0;
};

struct ClientQuery {
  ClientId client;
  std::string sql;
  std::string format;  // ClickHouse's output format name
};

class QueryBackend {
 public:
  virtual ~QueryBackend() = default;

  // Runs one SELECT as `client`, who sees its own views' current rows and nothing else, and gives the result's bytes to `out`
  // piece by piece. After an error `out` may have had a part.
  virtual Status query(const ClientQuery& query, const std::function<void(std::string_view)>& out) = 0;
};

}  // namespace tributary
