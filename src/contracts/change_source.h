// ChangeSource: reads the changes of clients' databases into the EventLog. Native PostgreSQL here; Debezium and MySQL
// later.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "contracts/event_log.h"
#include "contracts/status.h"
#include "model/schema.h"

namespace tributary {

// One table of one client that feeds a domain.
struct CapturedTable {
  std::string table;   // "public.orders"
  std::string domain;  // "orders"
  std::map<std::string, std::string> columns;  // types that the user names, "numeric(12,2)", where messages tell less
};

struct CaptureClient {
  ClientId client;
  std::string url;  // postgresql://user@host:port/database?parameters, without a password
  std::string password;  // empty: none
  std::string name;  // stable name for slot and publication: "tributary_shop_acme"
  std::vector<CapturedTable> tables;
  uint64_t rows_per_second = 0;  // of stream and table reads together; 0: unlimited
  uint64_t snapshot_rows_per_second = 0;  // 0: unlimited
  uint64_t retained_wal_bytes_max = 0;  // 0: only warn
};

// What a source says of one of a client's tables, for the lock file.
struct TableLook {
  CapturedTable table;
  std::optional<TableSchema> schema;  // version 0
  std::string refusal;  // why it cannot be captured, with what to do; then there is no schema
};

// Runs in its own threads from start() to stop(). All methods are thread-safe.
class ChangeSource {
 public:
  virtual ~ChangeSource() = default;

  virtual Status start() = 0;
  // Stops reading, appends nothing more, and returns when all threads have ended (within 10 s).
  virtual void stop() = 0;

  virtual std::vector<SourceStatus> status() = 0;

  // Marks each source's head as of now. caught_up() is true once everything up to the marks is durable in the log and
  // the snapshots have ended; a client that is stopped, or that another node reads, counts as caught up, and is listed in
  // status(). The positions are
  // those of the marks, for waiting until they are queryable.
  virtual void mark_heads() = 0;
  virtual bool caught_up() = 0;
  // The same of one client: others may be away.
  virtual bool caught_up(const ClientId& client) = 0;

  // Rows to read again from the source by key, since a value is missing (parked rows). Best effort: asked again later.
  virtual void read_again(const ClientId& client, const std::string& table, std::vector<std::string> row_keys) = 0;

  // Ends the client's session, so that the next one begins at once with what the log says of it then. False: this source
  // does that at its start only.
  virtual bool begin_session_again(const ClientId& client) = 0;
};

}  // namespace tributary
