// ClickHouse's HTTP interface, as far as it is answered by the engine child:
//
//   GET  /ping                                      "Ok."
//   GET  /?query=…                                  read-only
//   POST /?query=…&database=…&default_format=…      the body continues the query, or is the data of its INSERT
//        &param_NAME=…                              values of {NAME:Type}
//        &query_id=…                                given back in X-ClickHouse-Query-Id
//        &SETTING=…                                 any setting of ClickHouse's; readonly is set last
//
// The data of an INSERT may have a Content-Encoding (body_decoder.h). Answers carry X-ClickHouse-Format, X-ClickHouse-Timezone, X-ClickHouse-Summary (rows and bytes written, and rows read
// where the engine tells) and on errors X-ClickHouse-Exception-Code with the text as body. An error after the first
// bytes went out leaves the chunked answer without its end. One statement a request, always. Under readonly only
// statements that ClickHouse's parser calls read-only are run, and INTO OUTFILE never.
//
// Source of the format: ClickHouse's documentation, "HTTP Interface".
#pragma once

#include <atomic>

#include "engine/engine_session.h"
#include "engine/http_connection.h"

namespace tributary {

struct QueryHandlerOptions {
  std::vector<std::string> engine_options;  // boot options of every session
  size_t query_bytes_max = 16 << 20;  // SQL text, without INSERT's data
  size_t first_bytes_held = 64 << 10;  // kept back, so that an early error still gets its own status
};

class QueryHandler {
 public:
  QueryHandler(const ChdbApi& api, QueryHandlerOptions options) : api_(api), options_(std::move(options)) {}

  // Answers one request. An error: the connection is of no use any more. Thread-safe.
  Status handle(HttpConnection& connection, const HttpRequestHead& head);

 private:
  struct Answer;
  Status answer_query(HttpConnection& connection, const HttpRequestHead& head, Answer& answer);
  Result<std::string> read_query(HttpConnection& connection, const HttpRequestHead& head, bool* body_left);

  const ChdbApi& api_;
  QueryHandlerOptions options_;
  std::atomic<uint64_t> queries_{0};
};

// Where an INSERT's own data begins: "INSERT INTO t (a) FORMAT CSV\n1\n" → statement "INSERT INTO t (a)", format
// "CSV", data at "1\n". INSERT … SELECT and whatever is no INSERT have no format. For VALUES the format is "Values".
struct InsertParts {
  std::string statement;
  std::string format;
  size_t data_begin = 0;
  bool is_insert = false;  // an INSERT with data to come
};
InsertParts split_insert(std::string_view sql);

// 404 for UNKNOWN_TABLE and so on, as ClickHouse answers.
int http_status_of(int exception_code);
// "Code: 60. DB::Exception: …" → 60; 1002 (unknown) where there is none.
int exception_code_of(std::string_view message);

}  // namespace tributary
