#include "capture/postgres/connection.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "base/utf8.h"
#include "codec/postgres/text_values.h"
#include "model/position.h"

namespace tributary {
namespace {

using Wait = asio::posix::stream_descriptor::wait_type;
constexpr auto as_value = asio::as_tuple(asio::use_awaitable);

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// From what libpq writes verbosely ("FATAL:  28P01: … LOCATION:  auth_failed, auth.c:326"): the last SQLSTATE in it, which
// is taken out of the text with the places in the server's source. "" where it has none.
std::string take_sqlstate(std::string& text) {
  auto in_code = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
  std::string found;
  for (size_t at = text.find(":  "); at != std::string::npos; at = text.find(":  ", at + 3)) {
    std::string code = text.substr(at + 3, 7);
    if (!code.ends_with(": ") || std::count_if(code.begin(), code.end(), in_code) != 5) continue;
    found = code.substr(0, 5);
    text.erase(at + 3, code.size());
  }
  for (size_t at = text.find(" LOCATION:  "); at != std::string::npos; at = text.find(" LOCATION:  ")) {
    size_t file = text.find(", ", at);
    size_t end = file == std::string::npos ? file : text.find(' ', file + 2);
    text.erase(at, end == std::string::npos ? end : end - at);
  }
  return found;
}

bool is_local(const std::string& host) {
  return host.empty() || host.front() == '/' || host.front() == '@' || host == "localhost" || host == "::1" ||
         host.starts_with("127.");
}

// libpq itself looks at it only when it connects.
bool is_sslmode(std::string_view mode) {
  constexpr std::array<std::string_view, 6> modes = {"disable", "allow",     "prefer",
                                                     "require", "verify-ca", "verify-full"};
  return std::find(modes.begin(), modes.end(), mode) != modes.end();
}

// Debian's and Red Hat's bundles of public certificate authorities.
std::string system_certificates() {
  for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}) {
    if (access(path, R_OK) == 0) return path;
  }
  return {};
}

}  // namespace

std::vector<std::string> libpq_variables() {
  std::vector<std::string> names;
  PQconninfoOption* options = PQconndefaults();
  for (PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    if (option->envvar != nullptr) names.emplace_back(option->envvar);
  }
  PQconninfoFree(options);
  names.insert(names.end(),
               {"PGTZ", "PGDATESTYLE", "PGGEQO", "PGSERVICEFILE", "PGSYSCONFDIR"});  // read elsewhere in it
  std::erase_if(names, [](const std::string& name) { return name == "PGPASSWORD" || name == "PGPASSFILE"; });
  return names;
}

Result<ConnectionSettings> ConnectionSettings::parse(const std::string& url, const std::string& password) {
  char* message = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &message);
  ConnectionSettings settings;
  settings.password_ = password;
  if (options == nullptr) {
    std::string why = trimmed(message == nullptr ? "out of memory" : message);
    PQfreemem(message);
    return Error{ErrorCode::kInvalidInput, settings.scrubbed("the URL does not parse: " + why)};
  }
  std::string host;
  bool has_sslmode = false;
  bool has_certificates = false;
  for (PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    std::string_view keyword = option->keyword;
    if (keyword == "password") {
      if (settings.password_.empty()) settings.password_ = option->val;
      continue;
    }
    if (keyword == "host" || keyword == "hostaddr") host = option->val;
    if (keyword == "sslmode" && !is_sslmode(option->val)) {
      std::string why = fmt::format(
          "sslmode is {}, and must be disable, allow, prefer, require, verify-ca or verify-full", option->val);
      PQconninfoFree(options);
      return Error{ErrorCode::kInvalidInput, settings.scrubbed(std::move(why))};
    }
    has_sslmode = has_sslmode || keyword == "sslmode";
    has_certificates = has_certificates || keyword == "sslrootcert";
    settings.parameters_.emplace_back(option->keyword, option->val);
  }
  PQconninfoFree(options);
  auto defaults = [&](const char* keyword, const char* value) {
    bool given = std::any_of(settings.parameters_.begin(), settings.parameters_.end(),
                             [&](const auto& parameter) { return parameter.first == keyword; });
    if (!given) settings.parameters_.emplace_back(keyword, value);
  };
  if (!has_sslmode && !is_local(host)) {
    settings.parameters_.emplace_back("sslmode", "verify-full");
    std::string certificates = system_certificates();
    if (!has_certificates && !certificates.empty()) settings.parameters_.emplace_back("sslrootcert", certificates);
  }
  // A dead peer is noticed within 30 s, also while we only wait.
  defaults("keepalives_idle", "10");
  defaults("keepalives_interval", "5");
  defaults("keepalives_count", "3");
  settings.hosts_ = static_cast<size_t>(std::count(host.begin(), host.end(), ',')) + 1;
  if (settings.hosts_ == 1) defaults("tcp_user_timeout", "25000");
  defaults("application_name", "tributary");
  defaults("client_encoding", "UTF8");
  return settings;
}

std::vector<std::pair<std::string, std::string>> ConnectionSettings::parameters(bool replication,
                                                                                std::chrono::milliseconds limit) const {
  auto all = parameters_;
  // Of several hosts libpq tries the next one when the network says that one is gone. A silent one says nothing: it gets
  // its part of the limit. Ahead of what the URL sets, since libpq takes the last of a name.
  if (hosts_ > 1) {
    all.emplace(all.begin(), "tcp_user_timeout", std::to_string(limit.count() / static_cast<int64_t>(hosts_)));
  }
  if (!password_.empty()) all.emplace_back("password", password_);
  if (replication) all.emplace_back("replication", "database");
  return all;
}

std::string ConnectionSettings::scrubbed(std::string text) const {
  if (!is_utf8(text)) {
    std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  }
  if (password_.empty()) return text;
  // Stars in a user's or a host's name, which everybody knows, would tell the password that is a part of it.
  auto in_known_word = [&](size_t at) {
    return std::any_of(parameters_.begin(), parameters_.end(), [&](const auto& parameter) {
      const std::string& word = parameter.second;
      for (size_t in = word.find(password_); in != std::string::npos; in = word.find(password_, in + 1)) {
        if (in <= at && text.compare(at - in, word.size(), word) == 0) return true;
      }
      return false;
    });
  };
  for (size_t at = text.find(password_); at != std::string::npos;) {
    bool known = in_known_word(at);
    if (!known) text.replace(at, password_.size(), "***");
    at = text.find(password_, at + (known ? 1 : 3));
  }
  return text;
}

uint64_t PgRows::number(int row, int column) const {
  uint64_t value = 0;
  const char* begin = PQgetvalue(result_.get(), row, column);
  std::from_chars(begin, begin + PQgetlength(result_.get(), row, column), value);
  return value;
}

uint64_t PgRows::lsn(int row, int column) const { return parse_lsn(text(row, column)).value_or(0); }

PgConnection::PgConnection(asio::any_io_executor executor, ConnectionSettings settings)
    : executor_(executor), settings_(std::move(settings)), socket_(executor) {}

void PgConnection::close() {
  if (message_ != nullptr) PQfreemem(std::exchange(message_, nullptr));
  if (socket_.is_open()) socket_.release();  // libpq closes it
  if (connection_ != nullptr) PQfinish(std::exchange(connection_, nullptr));
  copy_ended_ = copy_failed_ = false;
}

Error PgConnection::connection_error(std::string_view doing) {
  sqlstate_.clear();
  std::string why = connection_ == nullptr ? "out of memory" : trimmed(PQerrorMessage(connection_));
  if (why.empty()) why = "the server closed the connection";
  return {ErrorCode::kUnavailable, settings_.scrubbed(fmt::format("{}: {}", doing, why))};
}

Error PgConnection::refused() {
  Error error = connection_error("could not connect");
  std::string state = take_sqlstate(error.message);
  if (state.starts_with("28") || state == "3D000" || state == "42501") sqlstate_ = state;
  return error;
}

Error PgConnection::result_error(const PGresult* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  std::string text = primary != nullptr ? primary : trimmed(PQresultErrorMessage(result));
  if (detail != nullptr) text += fmt::format(" ({})", detail);
  sqlstate_ = state != nullptr ? state : "";
  auto code = ErrorCode::kInvalidInput;
  if (sqlstate_.empty() || sqlstate_.starts_with("08") || sqlstate_.starts_with("57P")) code = ErrorCode::kUnavailable;
  if (sqlstate_ == "42501" || sqlstate_.starts_with("28")) code = ErrorCode::kPermissionDenied;
  if (sqlstate_.starts_with("53")) code = ErrorCode::kResourceExhausted;
  return {code, settings_.scrubbed(sqlstate_.empty() ? text : fmt::format("{} [{}]", text, sqlstate_))};
}

// Each time anew: for the next of several addresses libpq closes the socket, and the new one may have the same number.
void PgConnection::attach_socket() {
  int fd = PQsocket(connection_);
  if (socket_.is_open()) socket_.release();
  boost::system::error_code ignored;
  if (fd >= 0) (void)socket_.assign(fd, ignored);
}

asio::awaitable<Status> PgConnection::wait(Wait what, Clock::time_point deadline) {
  using asio::experimental::awaitable_operators::operator||;
  if (!socket_.is_open()) co_return connection_error("the connection is gone");
  asio::steady_timer timer(executor_, deadline);
  auto woken = co_await (socket_.async_wait(what, as_value) || timer.async_wait(as_value));
  if (woken.index() == 1) co_return Error{ErrorCode::kTimeout, "no answer from the server in time"};
  if (std::get<0>(std::get<0>(woken))) co_return connection_error("waiting for the server");
  co_return Status();
}

asio::awaitable<Status> PgConnection::connect(bool replication, std::chrono::milliseconds limit) {
  close();
  auto deadline = Clock::now() + limit;
  auto parameters = settings_.parameters(replication, limit);
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : parameters) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = PQconnectStartParams(keywords.data(), values.data(), 0);
  if (connection_ == nullptr || PQstatus(connection_) == CONNECTION_BAD) co_return refused();
  PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);  // for the SQLSTATE, which refused() takes out again
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    attach_socket();
    Status waited = co_await wait(state == PGRES_POLLING_READING ? Wait::wait_read : Wait::wait_write, deadline);
    if (!waited.ok()) co_return with_context(waited.error(), "could not connect");
    state = PQconnectPoll(connection_);
    if (state == PGRES_POLLING_FAILED) co_return refused();
  }
  attach_socket();
  PQsetErrorVerbosity(connection_, PQERRORS_DEFAULT);
  PQsetnonblocking(connection_, 1);
  PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
  // synchronous_commit: our own marks in the log must not wait for a standby (see snapshot.h).
  // A database in SQL_ASCII holds bytes of any encoding. Asked for UTF-8 it would refuse a whole reading for one value.
  bool any_bytes = server_encoding() == "SQL_ASCII";
  co_return co_await execute(std::string(postgres_text_settings) +
                             (any_bytes ? "; SET client_encoding = 'SQL_ASCII'" : "") +
                             "; SET synchronous_commit = local; SET statement_timeout = 0; SET lock_timeout = 0; "
                             "SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0; SET "
                             "search_path = pg_catalog; SET row_security = off; SET jit = off");
}

std::string PgConnection::server_encoding() const {
  const char* encoding = PQparameterStatus(connection_, "server_encoding");
  return encoding == nullptr ? "" : encoding;
}

asio::awaitable<Status> PgConnection::flush(Clock::time_point deadline) {
  while (true) {
    int left = PQflush(connection_);
    if (left == 0) co_return Status();
    if (left < 0) co_return connection_error("sending to the server");
    Status waited = co_await wait(Wait::wait_write, deadline);
    if (!waited.ok()) co_return waited;
  }
}

asio::awaitable<Result<PGresult*>> PgConnection::next_result(Clock::time_point deadline) {
  while (PQisBusy(connection_) != 0) {
    Status waited = co_await wait(Wait::wait_read, deadline);
    if (!waited.ok()) co_return waited.error();
    if (PQconsumeInput(connection_) == 0) co_return connection_error("reading from the server");
  }
  co_return PQgetResult(connection_);
}

asio::awaitable<Result<PgRows>> PgConnection::query(std::string sql, std::chrono::milliseconds limit) {
  auto deadline = Clock::now() + limit;
  if (!usable() || PQsendQuery(connection_, sql.c_str()) == 0) co_return connection_error("sending a query");
  Status sent = co_await flush(deadline);
  if (!sent.ok()) co_return sent.error();
  std::optional<PgRows> rows;
  std::optional<Error> failed;
  while (true) {
    Result<PGresult*> next = co_await next_result(deadline);
    if (!next.ok()) co_return next.error();
    if (*next == nullptr) break;
    PgRows result(*next);
    ExecStatusType status = PQresultStatus(*next);
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      failed = result_error(*next);
      if (!usable()) break;
    } else if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      co_return Error{ErrorCode::kInternal, "the server answered a query with COPY data"};
    } else if (!rows || status == PGRES_TUPLES_OK) {
      rows = std::move(result);
    }
  }
  if (failed) co_return *failed;
  if (!rows) co_return Error{ErrorCode::kInternal, "the server answered a query with nothing"};
  co_return std::move(*rows);
}

asio::awaitable<Status> PgConnection::execute(std::string sql, std::chrono::milliseconds limit) {
  Result<PgRows> rows = co_await query(std::move(sql), limit);
  if (!rows.ok()) co_return rows.error();
  co_return Status();
}

asio::awaitable<Status> PgConnection::start_copy(std::string sql, std::vector<PgRows>& before,
                                                 std::chrono::milliseconds limit) {
  auto deadline = Clock::now() + limit;
  copy_ended_ = copy_failed_ = false;
  if (!usable() || PQsendQuery(connection_, sql.c_str()) == 0) co_return connection_error("sending a query");
  Status sent = co_await flush(deadline);
  if (!sent.ok()) co_return sent;
  std::optional<Error> failed;
  while (true) {
    Result<PGresult*> next = co_await next_result(deadline);
    if (!next.ok()) co_return next.error();
    if (*next == nullptr) break;
    PgRows result(*next);
    ExecStatusType status = PQresultStatus(*next);
    if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) co_return Status();
    if (status == PGRES_FATAL_ERROR) {
      failed = result_error(*next);
      if (!usable()) break;
    } else if (status == PGRES_TUPLES_OK) {
      before.push_back(std::move(result));
    }
  }
  co_return failed.value_or(Error{ErrorCode::kInternal, "the server did not begin to copy"});
}

std::optional<std::string_view> PgConnection::next_message() {
  if (message_ != nullptr) PQfreemem(std::exchange(message_, nullptr));
  if (copy_ended_ || copy_failed_) return std::nullopt;
  int size = PQgetCopyData(connection_, &message_, 1);
  // What the socket has already is taken without a turn of the loop, which costs more than the messages in it.
  if (size == 0 && PQconsumeInput(connection_) == 1) size = PQgetCopyData(connection_, &message_, 1);
  if (size > 0) return std::string_view(message_, static_cast<size_t>(size));
  copy_ended_ = size == -1;
  copy_failed_ = size == -2;
  return std::nullopt;
}

asio::awaitable<Status> PgConnection::finish_copy(std::vector<PgRows>& after, std::chrono::milliseconds limit) {
  auto deadline = Clock::now() + limit;
  if (copy_failed_) co_return connection_error("reading from the server");
  std::optional<Error> failed;
  while (true) {
    Result<PGresult*> next = co_await next_result(deadline);
    if (!next.ok()) co_return next.error();
    if (*next == nullptr) break;
    PgRows result(*next);
    if (PQresultStatus(*next) == PGRES_FATAL_ERROR) {
      failed = result_error(*next);
      if (!usable()) break;
    } else if (PQresultStatus(*next) == PGRES_TUPLES_OK) {
      after.push_back(std::move(result));
    } else if (PQresultStatus(*next) == PGRES_COPY_IN || PQresultStatus(*next) == PGRES_COPY_BOTH) {
      co_return Error{ErrorCode::kUnavailable, "the server ended the replication stream"};
    }
  }
  if (failed) co_return *failed;
  co_return Status();
}

void PgConnection::cancel_running() {
  if (connection_ == nullptr) return;
  PGcancel* cancel = PQgetCancel(connection_);
  if (cancel == nullptr) return;
  char why[256];
  PQcancel(cancel, why, sizeof why);
  PQfreeCancel(cancel);
}

asio::awaitable<Status> PgConnection::wait_readable(std::chrono::milliseconds limit) {
  Status waited = co_await wait(Wait::wait_read, Clock::now() + limit);
  if (!waited.ok()) co_return waited;
  if (PQconsumeInput(connection_) == 0) co_return connection_error("reading from the server");
  co_return Status();
}

asio::awaitable<Status> PgConnection::wait_readable() {
  if (!socket_.is_open()) co_return connection_error("the connection is gone");
  auto [failed] = co_await socket_.async_wait(Wait::wait_read, as_value);
  if (failed || PQconsumeInput(connection_) == 0) co_return connection_error("reading from the server");
  co_return Status();
}

asio::awaitable<Status> PgConnection::send_message(std::string bytes, std::chrono::milliseconds limit) {
  if (!usable()) co_return connection_error("sending to the server");
  if (PQputCopyData(connection_, bytes.data(), static_cast<int>(bytes.size())) != 1) {
    co_return connection_error("sending to the server");
  }
  co_return co_await flush(Clock::now() + limit);
}

std::string quote_pg_identifier(std::string_view name) {
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  return out + "\"";
}

std::string quote_pg_literal(std::string_view text) {
  bool escapes = text.find('\\') != std::string_view::npos;
  std::string out = escapes ? " E'" : "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out.push_back(c);
    out.push_back(c);
  }
  return out + "'";
}

TableName split_table_name(std::string_view table) {
  size_t dot = table.find('.');
  if (dot == std::string_view::npos) return {"public", std::string(table)};
  return {std::string(table.substr(0, dot)), std::string(table.substr(dot + 1))};
}

}  // namespace tributary
