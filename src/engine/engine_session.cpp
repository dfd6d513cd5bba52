#include "engine/engine_session.h"

#include <memory>

#include "base/clickhouse_tokens.h"

namespace tributary {
namespace {

constexpr size_t insert_piece_bytes = 1 << 20;

Error engine_error(std::string_view text) { return Error{ErrorCode::kInvalidInput, std::string(text)}; }

// Parameter values are read as a field of TabSeparated: these characters would end or change it.
std::string escape_parameter(std::string_view value) {
  std::string out;
  for (char c : value) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\0': out += "\\0"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

struct ParameterArrays {
  std::vector<std::string> escaped;
  std::vector<const char*> names;
  std::vector<size_t> name_bytes;
  std::vector<const char*> values;
  std::vector<size_t> value_bytes;

  explicit ParameterArrays(const HttpFields& parameters) {
    for (const auto& [name, value] : parameters) escaped.push_back(escape_parameter(value));
    for (size_t i = 0; i < parameters.size(); ++i) {
      names.push_back(parameters[i].first.data());
      name_bytes.push_back(parameters[i].first.size());
      values.push_back(escaped[i].data());
      value_bytes.push_back(escaped[i].size());
    }
  }
};

struct DestroyResult {
  const ChdbApi* api;
  void operator()(ChdbResult* result) const { api->destroy_query_result(result); }
};
using ResultPointer = std::unique_ptr<ChdbResult, DestroyResult>;

}  // namespace

Result<EngineSession> EngineSession::open(const ChdbApi& api, const std::vector<std::string>& options) {
  std::vector<std::string> arguments = {"engine"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) argv.push_back(argument.data());
  ChdbConnection* connection = api.connect(static_cast<int>(argv.size()), argv.data());
  if (connection == nullptr) {
    return Error{ErrorCode::kUnavailable, "the ClickHouse engine refuses a connection; see its log for the reason"};
  }
  return EngineSession(api, connection);
}

EngineSession::EngineSession(EngineSession&& other) noexcept : api_(other.api_), connection_(other.connection_) {
  other.connection_ = nullptr;
}

EngineSession::~EngineSession() {
  if (connection_ != nullptr) api_->close_conn(connection_);
}

Status EngineSession::run_quiet(const std::string& sql) {
  return [&]() -> Status {
    auto summary = run(sql, "Null", {}, false, [](std::string_view) { return Status(); });
    if (!summary.ok()) return std::move(summary).error();
    return {};
  }();
}

Status EngineSession::use_database(std::string_view name) { return run_quiet("USE " + quote_identifier(name)); }

Status EngineSession::set(const HttpFields& settings) {
  if (settings.empty()) return {};
  std::string sql = "SET ";
  for (const auto& [name, value] : settings) {
    if (sql.size() > 4) sql += ", ";
    sql += quote_identifier(name) + " = " + quote_text(value);
  }
  return run_quiet(sql);
}

Result<ChdbQueryAnalysis> EngineSession::classify(std::string_view sql) {
  ChdbQueryAnalysis analysis;
  if (api_->classify_query_n(*connection_, sql.data(), sql.size(), nullptr, 0, &analysis) != chdb_success) {
    return Error{ErrorCode::kInternal, "the ClickHouse engine cannot classify a statement"};
  }
  return analysis;
}

Result<StatementSummary> EngineSession::run(std::string_view sql, std::string_view format, const HttpFields& parameters,
                                            bool streamed, const ResultSink& sink) {
  ParameterArrays arrays(parameters);
  auto start = streamed ? api_->stream_query_with_params_n : api_->query_with_params_n;
  ResultPointer result(
      start(*connection_, sql.data(), sql.size(), format.data(), format.size(), arrays.names.data(),
            arrays.name_bytes.data(), arrays.values.data(), arrays.value_bytes.data(), parameters.size()),
      DestroyResult{api_});
  if (!result) return Error{ErrorCode::kInternal, "the ClickHouse engine gave no result"};
  if (const char* error = api_->result_error(result.get())) return engine_error(error);

  StatementSummary summary;
  auto take = [&](ChdbResult* piece) -> Status {
    summary.result_rows += api_->result_rows_read(piece);
    size_t bytes = api_->result_length(piece);
    return bytes == 0 ? Status() : sink({api_->result_buffer(piece), bytes});
  };
  if (!streamed) {
    RETURN_IF_ERROR(take(result.get()));
    summary.read_rows = api_->result_rows_read(result.get());
    summary.read_bytes = api_->result_bytes_read(result.get());
    summary.written_rows = api_->result_rows_written(result.get());
    summary.written_bytes = api_->result_bytes_written(result.get());
    summary.seconds = api_->result_elapsed(result.get());
    return summary;
  }
  while (true) {
    ResultPointer piece(api_->stream_fetch_result(*connection_, result.get()), DestroyResult{api_});
    if (!piece) return Error{ErrorCode::kInternal, "the ClickHouse engine ended a result without saying so"};
    if (const char* error = api_->result_error(piece.get())) return engine_error(error);
    if (api_->result_length(piece.get()) == 0) break;
    summary.read_bytes += api_->result_bytes_read(piece.get());
    if (Status status = take(piece.get()); !status.ok()) {
      api_->stream_cancel_query(*connection_, result.get());
      return std::move(status).error();
    }
  }
  summary.read_rows = summary.result_rows;
  return summary;
}

Result<StatementSummary> EngineSession::insert(std::string_view sql, std::string_view format, const BodySource& body) {
  ChdbInsertStream stream = api_->stream_insert_n(*connection_, sql.data(), sql.size(), format.data(), format.size());
  auto finish = [&](Result<StatementSummary> outcome) {
    if (!outcome.ok()) api_->stream_cancel_insert(stream);
    api_->destroy_insert_stream(stream);
    return outcome;
  };
  if (const char* error = api_->stream_insert_error(stream)) return finish(engine_error(error));

  std::string buffer(insert_piece_bytes, '\0');
  while (true) {
    Result<size_t> got = body(buffer.data(), buffer.size());
    if (!got.ok()) return finish(std::move(got).error());  // the client vanished: what it had sent is not an INSERT
    if (*got == 0) break;
    if (api_->stream_append(stream, buffer.data(), *got) != chdb_success) {
      const char* error = api_->stream_insert_error(stream);
      return finish(engine_error(error == nullptr ? "Code: 1001. the engine refused an insert's data" : error));
    }
  }
  ResultPointer done(api_->stream_done(stream), DestroyResult{api_});
  if (const char* error = api_->result_error(done.get())) {
    Error refused = engine_error(error);
    done.reset();
    api_->destroy_insert_stream(stream);
    return refused;
  }
  StatementSummary summary{.written_rows = api_->result_rows_written(done.get()),
                           .written_bytes = api_->result_bytes_written(done.get()),
                           .seconds = api_->result_elapsed(done.get())};
  return finish(summary);
}

}  // namespace tributary
