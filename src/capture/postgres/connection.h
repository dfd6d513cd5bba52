// One libpq connection driven by coroutines: nothing here blocks the event loop but name resolution, which libpq does
// inside PQconnectStart (use an IP address, or a local resolver, where that matters).
//
// Not thread-safe: a connection lives on its event loop. One coroutine uses it at a time, but for replication, where one
// reads while another sends status messages. After an error the connection may be used again only if usable().
#pragma once

#include <libpq-fe.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

// GCC 12 mistakes Asio's allocation of coroutine frames (aligned_alloc and free, inlined) for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace tributary {

namespace asio = boost::asio;

// The environment variables by which libpq takes what a URL leaves out, those of passwords apart: one of them would send every
// client's connection to one server.
std::vector<std::string> libpq_variables();

// Where a client's database is. The password is kept apart from everything that may be printed.
class ConnectionSettings {
 public:
  // `url` as libpq reads it. Without `sslmode` in it, a loopback address or Unix socket may go unencrypted; every other
  // host must prove who it is (verify-full, against the system's certificates where no `sslrootcert` is named).
  static Result<ConnectionSettings> parse(const std::string& url, const std::string& password);

  // The parameters for PQconnectStartParams, password included. `limit`: how long connecting may take.
  std::vector<std::pair<std::string, std::string>> parameters(
      bool replication, std::chrono::milliseconds limit = std::chrono::seconds(20)) const;
  // A server's message as it may be shown: without the password. Such messages may be in any encoding (the server's
  // language, SQL_ASCII): where one is not UTF-8, what is not ASCII becomes '?'.
  std::string scrubbed(std::string text) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
  std::string password_;
  size_t hosts_ = 1;  // that are tried one after the other
};

// Rows of a query, as text. Owns the result.
class PgRows {
 public:
  explicit PgRows(PGresult* result) : result_(result, &PQclear) {}
  int rows() const { return PQntuples(result_.get()); }
  bool null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string text(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column), static_cast<size_t>(PQgetlength(result_.get(), row, column))};
  }
  bool is_true(int row, int column) const { return text(row, column) == "t"; }
  uint64_t number(int row, int column) const;  // 0 where it is not one
  uint64_t lsn(int row, int column) const;  // 0 where it is not one

 private:
  std::unique_ptr<PGresult, void (*)(PGresult*)> result_;
};

class PgConnection {
 public:
  using Clock = std::chrono::steady_clock;

  PgConnection(asio::any_io_executor executor, ConnectionSettings settings);
  ~PgConnection() { close(); }
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // Connects and makes the session write values in the form that the parsers read (codec/postgres/text_values.h).
  asio::awaitable<Status> connect(bool replication, std::chrono::milliseconds limit);
  void close();
  bool usable() const { return connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK; }

  // Runs `sql`, one statement or several, and gives the rows of the last one that has any.
  asio::awaitable<Result<PgRows>> query(std::string sql, std::chrono::milliseconds limit = std::chrono::seconds(30));
  asio::awaitable<Status> execute(std::string sql, std::chrono::milliseconds limit = std::chrono::seconds(30));

  // Starts statements of which one is a COPY … TO STDOUT or START_REPLICATION, and returns when its data begins.
  // `before` takes the rows of the statements that stand before it.
  asio::awaitable<Status> start_copy(std::string sql, std::vector<PgRows>& before, std::chrono::milliseconds limit);

  // The next message of the data where one is here already; nullopt: wait_readable(), or ended(), or failed().
  // The view is valid until the next call.
  std::optional<std::string_view> next_message();
  bool copy_ended() const { return copy_ended_; }
  bool copy_failed() const { return copy_failed_; }
  // After the data ended: the rows of the statements behind it, or the error that ended it.
  asio::awaitable<Status> finish_copy(std::vector<PgRows>& after, std::chrono::milliseconds limit);
  // Asks the server to stop what runs on this connection (a cancel request: it blocks for a round trip). Best effort.
  void cancel_running();

  // Takes in what the socket has, waiting for it at most `limit`. kTimeout: nothing came.
  asio::awaitable<Status> wait_readable(std::chrono::milliseconds limit);
  // The same without a limit, and much cheaper: for whoever has a timer beside it.
  asio::awaitable<Status> wait_readable();
  // Sends one message to the server inside START_REPLICATION. Never waits longer than `limit`.
  asio::awaitable<Status> send_message(std::string bytes, std::chrono::milliseconds limit);

  // The SQLSTATE of the newest error, five characters, or empty where the server did not say.
  const std::string& sqlstate() const { return sqlstate_; }
  std::string server_encoding() const;  // "UTF8"
  int server_version() const { return PQserverVersion(connection_); }

 private:
  Error refused();  // why there is no connection, in whatever language the server says it; sets sqlstate()
  Error connection_error(std::string_view doing);
  Error result_error(const PGresult* result);
  asio::awaitable<Status> flush(Clock::time_point deadline);
  asio::awaitable<Status> wait(asio::posix::stream_descriptor::wait_type what, Clock::time_point deadline);
  asio::awaitable<Result<PGresult*>> next_result(Clock::time_point deadline);
  void attach_socket();

  asio::any_io_executor executor_;
  ConnectionSettings settings_;
  PGconn* connection_ = nullptr;
  asio::posix::stream_descriptor socket_;
  std::string sqlstate_;
  char* message_ = nullptr;  // of the newest next_message(), libpq's memory
  bool copy_ended_ = false;
  bool copy_failed_ = false;
};

// A name or a text inside SQL.
std::string quote_pg_identifier(std::string_view name);
std::string quote_pg_literal(std::string_view text);
// "public.orders" as the pipeline file names it → "public"."orders". A name without a dot is in "public", and what follows the first
// one is the table's: a schema with a dot in its name has no plain names of tables, and is left quoted.
struct TableName {
  std::string schema;
  std::string name;
  std::string quoted() const { return quote_pg_identifier(schema) + "." + quote_pg_identifier(name); }
  std::string plain() const {
    return (schema.find('.') == std::string::npos ? schema : quote_pg_identifier(schema)) + "." + name;
  }
  friend bool operator==(const TableName&, const TableName&) = default;
};
TableName split_table_name(std::string_view table);

}  // namespace tributary
