#include "sql/duckdb_handles.h"

namespace tributary {

std::string duckdb_message(const char* message) {
  std::string text = message == nullptr ? "DuckDB gave no reason" : message;
  text = text.substr(0, text.find("\n\nLINE "));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

Status duckdb_run(duckdb_connection connection, const std::string& sql) {
  DuckDbResult result;
  if (duckdb_query(connection, sql.c_str(), &result.result) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "DuckDB: " + duckdb_message(duckdb_result_error(&result.result))};
  }
  return {};
}

Result<std::string> duckdb_call_text(duckdb_connection connection, const char* sql, std::string_view parameter) {
  DuckDbStatement statement;
  if (duckdb_prepare(connection, sql, statement.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "DuckDB: " + duckdb_message(duckdb_prepare_error(statement.get()))};
  }
  if (duckdb_bind_varchar_length(statement.get(), 1, parameter.data(), parameter.size()) != DuckDBSuccess) {
    return Error{ErrorCode::kInvalidInput, "the text is not valid UTF-8"};
  }
  DuckDbResult result;
  if (duckdb_execute_prepared(statement.get(), &result.result) != DuckDBSuccess) {
    return Error{ErrorCode::kInvalidInput, duckdb_message(duckdb_result_error(&result.result))};
  }
  DuckDbChunk chunk(duckdb_fetch_chunk(result.result));
  if (chunk.get() == nullptr || duckdb_data_chunk_get_size(chunk.get()) != 1) {
    return Error{ErrorCode::kInternal, "DuckDB gave no row"};
  }
  duckdb_vector vector = duckdb_data_chunk_get_vector(chunk.get(), 0);
  const uint64_t* validity = duckdb_vector_get_validity(vector);
  if (validity != nullptr && (validity[0] & 1) == 0) return Error{ErrorCode::kInternal, "DuckDB gave NULL"};
  return std::string(duckdb_text(*static_cast<const duckdb_string_t*>(duckdb_vector_get_data(vector))));
}

}  // namespace tributary
