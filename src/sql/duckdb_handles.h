// Owners of DuckDB's handles, and the two things one does with its text. Only src/sql includes this.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "sql/duckdb_api.h"

namespace tributary {

// Owns a handle that is destroyed through a pointer to it.
template <typename Handle, auto destroy>
class DuckDbHandle {
 public:
  DuckDbHandle() = default;
  explicit DuckDbHandle(Handle handle) : handle_(handle) {}
  DuckDbHandle(DuckDbHandle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  DuckDbHandle& operator=(DuckDbHandle&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~DuckDbHandle() { reset(); }

  Handle get() const { return handle_; }
  // For functions that give a handle out. Destroys what was held.
  Handle* out() {
    reset();
    return &handle_;
  }
  void reset() {
    if (handle_ != nullptr) destroy(&handle_);
    handle_ = nullptr;
  }

 private:
  Handle handle_ = nullptr;
};

using DuckDbConfig = DuckDbHandle<duckdb_config, duckdb_destroy_config>;
using DuckDbDatabase = DuckDbHandle<duckdb_database, duckdb_close>;
using DuckDbConnection = DuckDbHandle<duckdb_connection, duckdb_disconnect>;
using DuckDbStatement = DuckDbHandle<duckdb_prepared_statement, duckdb_destroy_prepare>;
using DuckDbPending = DuckDbHandle<duckdb_pending_result, duckdb_destroy_pending>;
using DuckDbChunk = DuckDbHandle<duckdb_data_chunk, duckdb_destroy_data_chunk>;
using DuckDbType = DuckDbHandle<duckdb_logical_type, duckdb_destroy_logical_type>;
using DuckDbTableFunction = DuckDbHandle<duckdb_table_function, duckdb_destroy_table_function>;

struct DuckDbResult {
  duckdb_result result{};

  DuckDbResult() = default;
  DuckDbResult(const DuckDbResult&) = delete;
  DuckDbResult& operator=(const DuckDbResult&) = delete;
  ~DuckDbResult() { duckdb_destroy_result(&result); }
};

// A VARCHAR or BLOB in a vector.
inline std::string_view duckdb_text(const duckdb_string_t& text) {
  uint32_t length = text.value.inlined.length;
  return {length <= sizeof(text.value.inlined.data) ? text.value.inlined.data : text.value.pointer.data, length};
}

// DuckDB's message without the excerpt of the query that it appends ("\n\nLINE 1: …"): that query is ours.
std::string duckdb_message(const char* message);

// Runs a statement without a result of interest.
Status duckdb_run(duckdb_connection connection, const std::string& sql);

// Runs a query with one text parameter, whose result is one text.
Result<std::string> duckdb_call_text(duckdb_connection connection, const char* sql, std::string_view parameter);

}  // namespace tributary
