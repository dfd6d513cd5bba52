#include "engine/query_handler.h"

#include <unistd.h>

#include <array>

#include "base/clickhouse_tokens.h"
#include "engine/body_decoder.h"

namespace tributary {
namespace {

constexpr size_t refused_body_bytes_max = 64 << 20;

// ClickHouse's formats whose output is the same cut at any row: only they can be streamed, since the engine formats
// each block on its own, with header and footer.
bool streams(std::string_view format) {
  constexpr std::array<std::string_view, 13> names = {
      "TabSeparated", "TSV",       "TabSeparatedRaw",    "TSVRaw",       "CSV", "JSONEachRow", "JSONLines", "NDJSON",
      "Native",       "RowBinary", "JSONCompactEachRow", "LineAsString", "TSKV"};
  for (std::string_view name : names) {
    if (name == format) return true;
  }
  return false;
}

bool is_select(std::string_view first_word) {
  SqlToken token{SqlTokenKind::kWord, first_word, 0};
  return token.is_word("SELECT") || token.is_word("WITH") || first_word == "(";
}

std::string_view content_type_of(std::string_view format) {
  if (format == "JSON" || format == "JSONCompact") return "application/json; charset=UTF-8";
  if (format == "CSV" || format == "CSVWithNames") return "text/csv; charset=UTF-8; header=absent";
  if (format == "TabSeparated" || format == "TSV") return "text/tab-separated-values; charset=UTF-8";
  if (format.starts_with("JSON")) return "application/x-ndjson; charset=UTF-8";
  if (format == "Native" || format == "RowBinary" || format == "Parquet") return "application/octet-stream";
  return "text/plain; charset=UTF-8";
}

std::string summary_json(const StatementSummary& summary) {
  return fmt::format(
      R"({{"read_rows":"{}","read_bytes":"{}","written_rows":"{}","written_bytes":"{}","result_rows":"{}","elapsed_ns":"{}"}})",
      summary.read_rows, summary.read_bytes, summary.written_rows, summary.written_bytes, summary.result_rows,
      static_cast<uint64_t>(summary.seconds * 1e9));
}

// Parameters of the interface itself; all others are settings.
bool is_interface_parameter(std::string_view name) {
  constexpr std::array<std::string_view, 13> names = {
      "query",    "database",   "default_format",         "query_id",    "user",
      "password", "quota_key",  "wait_end_of_query",      "buffer_size", "session_timeout",
      "compress", "decompress", "enable_http_compression"};
  for (std::string_view known : names) {
    if (name == known) return true;
  }
  return false;
}

Error clickhouse_error(int code, std::string_view text, std::string_view name) {
  return Error{ErrorCode::kInvalidInput, fmt::format("Code: {}. DB::Exception: {} ({})", code, text, name)};
}

}  // namespace

// The answer of one query: its first bytes are held back until more come or the statement ends.
struct QueryHandler::Answer {
  HttpConnection& connection;
  size_t held_bytes_max;
  HttpResponse response;
  std::string held;
  bool begun = false;
  bool lost = false;  // the peer is gone: nothing more can be said

  Status add(std::string_view bytes) {
    if (!begun && held.size() + bytes.size() <= held_bytes_max) {
      held += bytes;
      return {};
    }
    Status status = [&]() -> Status {
      if (!begun) {
        begun = true;
        RETURN_IF_ERROR(connection.begin_chunks(response));
        RETURN_IF_ERROR(connection.write_chunk(held));
        held.clear();
      }
      return connection.write_chunk(bytes);
    }();
    lost = !status.ok();
    return status;
  }
  Status finish(const StatementSummary& summary) {
    if (begun) return connection.end_chunks();
    response.headers.emplace_back("X-ClickHouse-Summary", summary_json(summary));
    response.body = std::move(held);
    return connection.respond(response);
  }
};

Status QueryHandler::handle(HttpConnection& connection, const HttpRequestHead& head) {
  if (head.method != "GET" && head.method != "POST") {
    RETURN_IF_ERROR(connection.respond({.status = 405, .body = "only GET and POST are answered\n"}));
    return connection.drain_body(refused_body_bytes_max);
  }
  if (head.path == "/ping" || (head.path == "/" && head.method == "GET" && head.parameter("query").empty())) {
    return connection.respond({.headers = {{"Content-Type", "text/plain"}}, .body = "Ok.\n"});
  }
  if (head.path != "/") {
    RETURN_IF_ERROR(connection.respond({.status = 404, .body = "there is no such path; queries go to /\n"}));
    return connection.drain_body(refused_body_bytes_max);
  }
  std::string id(head.parameter("query_id"));
  if (id.empty()) id = fmt::format("{:x}-{:x}", getpid(), queries_.fetch_add(1));
  Answer answer{.connection = connection, .held_bytes_max = options_.first_bytes_held};
  answer.response.headers = {{"X-ClickHouse-Query-Id", id}, {"X-ClickHouse-Timezone", "UTC"}};

  Status outcome = answer_query(connection, head, answer);
  if (outcome.ok()) return {};
  if (answer.lost || outcome.error().code == ErrorCode::kUnavailable || outcome.error().code == ErrorCode::kTimeout) {
    return outcome;
  }
  int code = exception_code_of(outcome.error().message);
  if (answer.begun) {
    // The text for people who look; the missing end for programs.
    RETURN_IF_ERROR(connection.write_chunk("\n" + outcome.error().message + "\n"));
    return outcome;
  }
  std::erase_if(answer.response.headers, [](const auto& header) { return header.first == "Content-Type"; });
  answer.response.status = outcome.error().code == ErrorCode::kResourceExhausted ? 413 : http_status_of(code);
  answer.response.headers.emplace_back("X-ClickHouse-Exception-Code", std::to_string(code));
  answer.response.headers.emplace_back("Content-Type", "text/plain; charset=UTF-8");
  answer.response.body = outcome.error().message + "\n";
  RETURN_IF_ERROR(connection.respond(answer.response));
  return connection.drain_body(refused_body_bytes_max);
}

// The SQL: the URL's, and the body after it unless that is an INSERT's data. An INSERT in the body is cut where its data
// begins as soon as its FORMAT was read.
Result<std::string> QueryHandler::read_query(HttpConnection& connection, const HttpRequestHead& head, bool* body_left) {
  std::string sql(head.parameter("query"));
  *body_left = false;
  if (!head.has_body) return sql;
  if (!sql.empty() && split_insert(sql).is_insert) {
    *body_left = true;
    return sql;
  }
  if (!sql.empty()) sql += '\n';
  std::string piece(64 << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(size_t got, connection.read_body(piece.data(), piece.size()));
    if (got == 0) return sql;
    sql.append(piece, 0, got);
    InsertParts parts = split_insert(sql);
    // A line beyond the name, so that the name and the line's end are surely whole.
    if (parts.is_insert && parts.data_begin < sql.size()) {
      *body_left = true;
      return sql;
    }
    if (sql.size() > options_.query_bytes_max) {
      return Error{ErrorCode::kResourceExhausted,
                   fmt::format("Code: 62. DB::Exception: the query is over {} bytes (QUERY_TOO_LARGE)",
                               options_.query_bytes_max)};
    }
  }
}

Status QueryHandler::answer_query(HttpConnection& connection, const HttpRequestHead& head, Answer& answer) {
  bool body_left = false;
  ASSIGN_OR_RETURN(std::string sql, read_query(connection, head, &body_left));
  bool readonly = head.method == "GET";
  HttpFields settings;
  HttpFields parameters;
  HttpFields last;  // readonly: nothing can be set after it
  for (const auto& [name, value] : head.parameters) {
    if (name.starts_with("param_")) {
      parameters.emplace_back(name.substr(6), value);
    } else if (name == "readonly") {
      last = {{name, value}};
      readonly = readonly || value != "0";
    } else if ((name == "compress" || name == "decompress") && value == "1") {
      return clickhouse_error(48, "ClickHouse's own compression is not built in", "NOT_IMPLEMENTED");
    } else if (name == "session_id") {
      return clickhouse_error(48, "sessions are not kept; send settings with each query", "NOT_IMPLEMENTED");
    } else if (!is_interface_parameter(name)) {
      settings.emplace_back(name, value);
    }
  }

  ASSIGN_OR_RETURN(EngineSession session, EngineSession::open(api_, options_.engine_options));
  if (std::string_view database = head.parameter("database"); !database.empty()) {
    RETURN_IF_ERROR(session.use_database(database));
  }
  RETURN_IF_ERROR(session.set(settings));

  InsertParts insert = split_insert(sql);
  if (insert.is_insert) {
    if (readonly) return clickhouse_error(164, "an INSERT is refused in readonly mode", "READONLY");
    std::string_view inline_data = std::string_view(sql).substr(insert.data_begin);
    auto body = BodyDecoder::open(head.content_encoding, [&](char* buffer, size_t size) {
      return body_left ? connection.read_body(buffer, size) : Result<size_t>(size_t{0});
    });
    if (!body.ok()) return clickhouse_error(48, body.error().message, "NOT_IMPLEMENTED");
    ASSIGN_OR_RETURN(StatementSummary summary,
                     session.insert(insert.statement, insert.format, [&](char* buffer, size_t size) -> Result<size_t> {
                       if (!inline_data.empty()) {
                         size_t take = std::min(size, inline_data.size());
                         inline_data.copy(buffer, take);
                         inline_data.remove_prefix(take);
                         return take;
                       }
                       return body->read(buffer, size);
                     }));
    return answer.finish(summary);
  }

  StatementParts parts = split_statement(sql);
  ASSIGN_OR_RETURN(ChdbQueryAnalysis analysis, session.classify(sql));
  if (analysis.statement_count > 1) {
    return clickhouse_error(62, "Syntax error (Multi-statements are not allowed): one statement a request",
                            "SYNTAX_ERROR");
  }
  if (readonly && analysis.query_class != ChdbQueryClass::kReadOnly &&
      analysis.query_class != ChdbQueryClass::kUnknown) {
    return clickhouse_error(164, "only reading statements are run in readonly mode", "READONLY");
  }
  RETURN_IF_ERROR(session.set(last));
  std::string format(!parts.format.empty() ? parts.format : head.parameter("default_format"));
  if (format.empty()) format = head.format.empty() ? "TabSeparated" : head.format;
  answer.response.headers.emplace_back("X-ClickHouse-Format", format);
  answer.response.headers.emplace_back("Content-Type", std::string(content_type_of(format)));
  // Text that does not parse goes the streaming way: only that one refuses it before running a part of it.
  bool streamed = analysis.query_class == ChdbQueryClass::kUnknown ||
                  (analysis.query_class == ChdbQueryClass::kReadOnly && is_select(parts.first_word) && streams(format));
  ASSIGN_OR_RETURN(StatementSummary summary, session.run(sql, format, parameters, streamed,
                                                         [&](std::string_view bytes) { return answer.add(bytes); }));
  return answer.finish(summary);
}

}  // namespace tributary
