// One statement's life inside the engine: a chDB connection of its own, opened for the request and closed after it.
//
// A fresh connection costs some 0.3 ms (measured here: 1.1 ms for connect, SET, SELECT 1 and close; no growth over
// 1,000 of them) and brings what a pool could only imitate: nothing of one request (settings, current database,
// readonly, temporary tables, an insert stream half written) can reach the next.
// Not thread-safe; different sessions run side by side.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chdb_api.h"
#include "engine/http_connection.h"

namespace tributary {

struct StatementSummary {
  uint64_t read_rows = 0;
  uint64_t read_bytes = 0;
  uint64_t written_rows = 0;
  uint64_t written_bytes = 0;
  uint64_t result_rows = 0;
  double seconds = 0;
};

// Gives the result's bytes in pieces; an error stops the statement.
using ResultSink = std::function<Status(std::string_view)>;
// Fills the buffer; 0 at the end.
using BodySource = std::function<Result<size_t>(char* buffer, size_t size)>;

// Errors of the engine are kInvalidInput with its text, "Code: 60. DB::Exception: …".
class EngineSession {
 public:
  // `options` boot the engine with the first session of the process.
  static Result<EngineSession> open(const ChdbApi& api, const std::vector<std::string>& options);
  ~EngineSession();
  EngineSession(EngineSession&& other) noexcept;
  EngineSession& operator=(EngineSession&&) = delete;

  Status use_database(std::string_view name);
  Status set(const HttpFields& settings);
  // By ClickHouse's own parser. A statement that it cannot parse has class kUnknown and count 0.
  Result<ChdbQueryAnalysis> classify(std::string_view sql);

  // `streamed`: block by block, for a SELECT in a format whose pieces may be put together; else all at once.
  Result<StatementSummary> run(std::string_view sql, std::string_view format, const HttpFields& parameters,
                               bool streamed, const ResultSink& sink);
  // `sql` without FORMAT and data. Commits when it returns a summary; any error means that nothing or a part was kept.
  Result<StatementSummary> insert(std::string_view sql, std::string_view format, const BodySource& body);

 private:
  EngineSession(const ChdbApi& api, ChdbConnection* connection) : api_(&api), connection_(connection) {}
  Status run_quiet(const std::string& sql);

  const ChdbApi* api_;
  ChdbConnection* connection_;
};

}  // namespace tributary
