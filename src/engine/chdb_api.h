// The part of libchdb's C interface that the engine child uses, bound at run time.
//
// The library comes without a header. What is declared here follows chDB's public C interface as documented by its
// makers for 26.7; the engine's tests run it against the library itself, in a child. Nothing is linked: 566 MB are
// loaded only there, by ChdbApi::load().
//
// Ownership: results and insert streams are the caller's and are destroyed by the functions named destroy_*. Text and
// buffers inside them live as long as they do.
// Threads: different connections may be used from different threads at once; one connection runs one statement at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace tributary {

// Opaque handles. A connection is handed out as a pointer to the handle that the other functions take.
struct ChdbConnectionData {
  void* internal;
};
using ChdbConnection = ChdbConnectionData*;
struct ChdbResult {
  void* internal;
};
struct ChdbInsertStreamData {
  void* internal;
};
using ChdbInsertStream = ChdbInsertStreamData*;

// What a statement does, by ClickHouse's own parser.
enum class ChdbQueryClass : uint32_t {
  kReadOnly = 0,  // SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS, CHECK
  kMutating = 1,  // INSERT, CREATE, ALTER, DROP …
  kMutatingGlobal = 2,  // functions, users, writes into `system`
  kControl = 3,  // USE, SET, ATTACH, SYSTEM, BACKUP, KILL, INTO OUTFILE
  kUnknown = 4,  // does not parse
};

struct ChdbQueryAnalysis {
  uint32_t struct_size = sizeof(ChdbQueryAnalysis);  // the library checks it
  uint32_t statement_count = 0;  // 0: does not parse
  uint32_t flags = 0;
  ChdbQueryClass query_class = ChdbQueryClass::kUnknown;
};
static_assert(sizeof(ChdbQueryAnalysis) == 16);

inline constexpr int chdb_success = 0;

struct ChdbApi {
  const char* (*version)() = nullptr;
  void (*set_signal_handlers_enabled)(int enabled) = nullptr;  // 0 before the first connect

  // argv as a program's: {"engine", "--path=/data", …}. Options apply to the connection that boots the engine. nullptr on
  // failure, with the reason on stderr.
  ChdbConnection* (*connect)(int argc, char** argv) = nullptr;
  void (*close_conn)(ChdbConnection* connection) = nullptr;
  int (*classify_query_n)(ChdbConnection connection, const char* sql, size_t sql_bytes, const char* database,
                          size_t database_bytes, ChdbQueryAnalysis* out) = nullptr;

  // Runs a statement and holds the whole result. Parameter values are escaped text, as a field of TabSeparated.
  ChdbResult* (*query_with_params_n)(ChdbConnection connection, const char* sql, size_t sql_bytes, const char* format,
                                     size_t format_bytes, const char* const* names, const size_t* name_bytes,
                                     const char* const* values, const size_t* value_bytes, size_t count) = nullptr;

  // The same, block by block; SELECT only. fetch gives an empty result at the end.
  ChdbResult* (*stream_query_with_params_n)(ChdbConnection connection, const char* sql, size_t sql_bytes,
                                            const char* format, size_t format_bytes, const char* const* names,
                                            const size_t* name_bytes, const char* const* values,
                                            const size_t* value_bytes, size_t count) = nullptr;
  ChdbResult* (*stream_fetch_result)(ChdbConnection connection, ChdbResult* stream) = nullptr;
  void (*stream_cancel_query)(ChdbConnection connection, ChdbResult* stream) = nullptr;
  void (*destroy_query_result)(ChdbResult* result) = nullptr;

  // INSERT without FORMAT and without data; then data in any pieces. The connection refuses other statements meanwhile.
  ChdbInsertStream (*stream_insert_n)(ChdbConnection connection, const char* sql, size_t sql_bytes, const char* format,
                                      size_t format_bytes) = nullptr;
  const char* (*stream_insert_error)(ChdbInsertStream stream) = nullptr;
  int (*stream_append)(ChdbInsertStream stream, const void* data, size_t bytes) = nullptr;  // 0: taken
  ChdbResult* (*stream_done)(ChdbInsertStream stream) = nullptr;  // commits; a result with rows_written or the error
  void (*stream_cancel_insert)(ChdbInsertStream stream) = nullptr;
  void (*destroy_insert_stream)(ChdbInsertStream stream) = nullptr;

  const char* (*result_error)(ChdbResult* result) = nullptr;  // nullptr: none
  char* (*result_buffer)(ChdbResult* result) = nullptr;
  size_t (*result_length)(ChdbResult* result) = nullptr;
  double (*result_elapsed)(ChdbResult* result) = nullptr;  // seconds
  uint64_t (*result_rows_read)(ChdbResult* result) = nullptr;
  uint64_t (*result_bytes_read)(ChdbResult* result) = nullptr;
  uint64_t (*result_rows_written)(ChdbResult* result) = nullptr;
  uint64_t (*result_bytes_written)(ChdbResult* result) = nullptr;

  // Loads the library and binds all of the above. kNotFound without the file, kUnsupported where it lacks a function.
  // The library stays loaded for the life of the process.
  static Result<ChdbApi> load(const std::string& library);
};

}  // namespace tributary
