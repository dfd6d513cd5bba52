#include "store/clickhouse/clickhouse_query.h"

#include "store/clickhouse/clickhouse_errors.h"
#include "store/clickhouse/query_gate.h"
#include "store/clickhouse/table_ddl.h"

namespace tributary {
namespace {

constexpr size_t tree_bytes_max = 16 << 20;

// What a client learns of an error: nothing of who else is there.
Error for_client(Error error, const ClientId& client) {
  if (refuses_user(error)) return {ErrorCode::kUnavailable, "the analytics server refuses the pipeline's own user"};
  // Its own, since every other one's name is refused before: no run of the pipeline has made its tables yet.
  if (error.message.find("(UNKNOWN_DATABASE)") != std::string::npos) {
    return {ErrorCode::kUnavailable,
            fmt::format("client {} has no tables yet; `tributary run` makes them once it knows "
                        "the source's columns",
                        client)};
  }
  switch (error.code) {
    case ErrorCode::kNotFound:
    case ErrorCode::kInvalidInput: return Error{ErrorCode::kInvalidInput, without_hints(error.message)};
    case ErrorCode::kPermissionDenied: return refusal();
    case ErrorCode::kResourceExhausted:
      // READONLY: a setting in a subquery. Else a limit of the client's own.
      if (error.message.find("(READONLY)") != std::string::npos) return refusal();
      return Error{error.code, without_hints(error.message)};
    default: return error;
  }
}

// Makes the number behind `words` smaller by `less`.
void count_back(std::string& message, std::string_view words, size_t less) {
  size_t at = message.find(words);
  if (at == std::string::npos) return;
  size_t begin = at + words.size();
  size_t end = begin;
  while (end < message.size() && message[end] >= '0' && message[end] <= '9') ++end;
  size_t number = std::strtoull(message.c_str() + begin, nullptr, 10);
  if (number > less) message.replace(begin, end - begin, std::to_string(number - less));
}

// A position is told in the query as the client wrote it.
Error without_prefix(Error error, size_t prefix) {
  count_back(error.message, "failed at position ", prefix);
  count_back(error.message, "(line 1, col ", prefix);
  return error;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> ClickHouseQueries::parameters(const ClientQuery& query) const {
  return {{"database", layout_.client_database(query.client)},
          {"default_format", query.format.empty() ? "TabSeparated" : query.format},
          {"max_execution_time", std::to_string(limits_.execution_time_max.count())},
          {"timeout_before_checking_execution_speed", "0"},
          {"max_memory_usage", std::to_string(limits_.memory_bytes_max)},
          {"max_result_bytes", std::to_string(limits_.result_bytes_max)},
          {"max_result_rows", std::to_string(limits_.result_rows_max)},
          {"result_overflow_mode", "throw"},
          {"max_threads", std::to_string(limits_.threads)},
          {"allow_introspection_functions", "0"},
          {"output_format_json_quote_denormals", "1"},  // infinity and NaN, which would be null
          {"use_query_cache", "0"},
          {"readonly", "1"}};
}

Status ClickHouseQueries::query(const ClientQuery& query, const std::function<void(std::string_view)>& out) {
  RETURN_IF_ERROR(check_client_name(query.client));
  ASSIGN_OR_RETURN(GateStatement statement, read_statement(query.sql));
  if (statement.needs_tree) {
    constexpr std::string_view explain_words = "EXPLAIN AST ";
    ClientQuery explain{query.client, std::string(explain_words) + statement.text, "TabSeparatedRaw"};
    auto tree = http_.read({.sql = explain.sql, .parameters = parameters(explain)}, tree_bytes_max);
    // What does not parse is told so, whatever it begins with.
    bool parses = tree.ok() || tree.error().message.find("(SYNTAX_ERROR)") == std::string::npos;
    if (statement.refused && parses) return refusal();
    if (!tree.ok()) return for_client(without_prefix(std::move(tree).error(), explain_words.size()), query.client);
    RETURN_IF_ERROR(check_tree(*tree, layout_.client_database(query.client)));
  }
  ClientQuery run = query;
  run.sql = statement.text;
  if (!statement.format.empty()) run.format = statement.format;
  auto answer = http_.run(
      {.sql = run.sql, .parameters = parameters(run), .timeout = limits_.execution_time_max + std::chrono::seconds(10)},
      out);
  if (!answer.ok()) return for_client(std::move(answer).error(), query.client);
  return {};
}

}  // namespace tributary
