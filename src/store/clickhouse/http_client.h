// ClickHouse's HTTP interface from the client's side: one request, one answer, on pooled connections (libcurl).
//
//   ClickHouseHttp http({.socket = "data/analytics/run/engine.sock"});
//   ASSIGN_OR_RETURN(std::string count, http.read({.sql = "SELECT count() FROM t"}));
//
// Errors are ClickHouse's own, by clickhouse_errors.h, and those of the way there: kUnavailable for refused, reset, closed
// in the middle, or a certificate that is not good; kTimeout for no answer in time, when an INSERT may have taken effect.
// User and password travel in headers and appear in no URL, message or log. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/clickhouse/compressed_body.h"

namespace tributary {

struct ClickHouseEndpoint {
  std::string socket;  // a unix socket's path; or else:
  std::string url;  // "http://host:8123", "https://host:8443", without user, password and path
  std::string user;  // empty: ClickHouse's default
  std::string password;
  std::string ca_file;  // certificates that the server's must come from; empty: the system's
  HttpCompression compression = HttpCompression::kNone;  // of inserted data
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds timeout{120'000};  // of a whole request

  std::string name() const;  // for messages: the socket's path, or the URL
};

struct ClickHouseRequest {
  std::string sql;  // in the body; in the URL where there is data
  std::span<const std::string_view> data;  // of an INSERT, sent one after the other
  std::vector<std::pair<std::string, std::string>> parameters;  // database, settings, param_NAME
  std::chrono::milliseconds timeout{0};  // 0: the endpoint's
};

struct ClickHouseAnswer {
  uint64_t written_rows = 0;
  std::string format;  // X-ClickHouse-Format
};

class ClickHouseHttp {
 public:
  explicit ClickHouseHttp(ClickHouseEndpoint endpoint);
  ~ClickHouseHttp();
  ClickHouseHttp(const ClickHouseHttp&) = delete;
  ClickHouseHttp& operator=(const ClickHouseHttp&) = delete;

  // Gives the answer's body to `out` in pieces. `out` sees no error texts but that of an error after the first piece.
  Result<ClickHouseAnswer> run(const ClickHouseRequest& request, const std::function<void(std::string_view)>& out);
  // The whole body; kResourceExhausted when it is over `bytes_max`.
  Result<std::string> read(const ClickHouseRequest& request, size_t bytes_max = 256 << 20);
  Status execute(const ClickHouseRequest& request);

  // Requests under way and those to come are given up at `when`, with kUnavailable: the program is ending, and what they
  // were for is done again. Later calls count.
  void give_up_at(std::chrono::steady_clock::time_point when) { give_up_at_ = when; }

  const ClickHouseEndpoint& endpoint() const { return endpoint_; }

 private:
  struct Pool;
  ClickHouseEndpoint endpoint_;
  std::unique_ptr<Pool> pool_;
  std::atomic<std::chrono::steady_clock::time_point> give_up_at_{std::chrono::steady_clock::time_point::max()};
};

}  // namespace tributary
