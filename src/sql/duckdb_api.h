// The part of DuckDB's C interface that this project uses, declared by us: the library comes without a header.
//
// Written after DuckDB's public documentation (duckdb.org/docs/stable/clients/c/api) for version 1.5; sql/duckdb_test.cpp
// runs every declared function against the loaded library, and checks the version that deps/ pins.
//
// Ownership, for all of it: a handle that a function gives out is destroyed by the caller with its duckdb_destroy_*,
// which sets the handle to null; vectors belong to their chunk; `const char*` from a result or statement lives as long
// as that, but for column names of prepared statements and duckdb_get_varchar, which are freed with duckdb_free.
// DuckDB throws no exception through this interface. A connection, with its statements and results, is used by one
// thread at a time; a database is thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {  // NOLINTBEGIN(readability-identifier-naming): DuckDB's names

using idx_t = uint64_t;

enum duckdb_type : int {
  DUCKDB_TYPE_INVALID = 0,
  DUCKDB_TYPE_BOOLEAN = 1,
  DUCKDB_TYPE_TINYINT = 2,
  DUCKDB_TYPE_SMALLINT = 3,
  DUCKDB_TYPE_INTEGER = 4,
  DUCKDB_TYPE_BIGINT = 5,
  DUCKDB_TYPE_UTINYINT = 6,
  DUCKDB_TYPE_USMALLINT = 7,
  DUCKDB_TYPE_UINTEGER = 8,
  DUCKDB_TYPE_UBIGINT = 9,
  DUCKDB_TYPE_FLOAT = 10,
  DUCKDB_TYPE_DOUBLE = 11,
  DUCKDB_TYPE_TIMESTAMP = 12,  // int64 microseconds since 1970
  DUCKDB_TYPE_DATE = 13,  // int32 days since 1970
  DUCKDB_TYPE_TIME = 14,  // int64 microseconds
  DUCKDB_TYPE_INTERVAL = 15,
  DUCKDB_TYPE_HUGEINT = 16,  // int128
  DUCKDB_TYPE_VARCHAR = 17,
  DUCKDB_TYPE_BLOB = 18,
  DUCKDB_TYPE_DECIMAL = 19,  // int16, int32, int64 or int128 for up to 4, 9, 18, 38 digits
  DUCKDB_TYPE_TIMESTAMP_S = 20,
  DUCKDB_TYPE_TIMESTAMP_MS = 21,
  DUCKDB_TYPE_TIMESTAMP_NS = 22,
  DUCKDB_TYPE_ENUM = 23,
  DUCKDB_TYPE_LIST = 24,
  DUCKDB_TYPE_STRUCT = 25,
  DUCKDB_TYPE_MAP = 26,
  DUCKDB_TYPE_UUID = 27,  // int128 of the big-endian value with its top bit flipped
  DUCKDB_TYPE_UNION = 28,
  DUCKDB_TYPE_BIT = 29,
  DUCKDB_TYPE_TIME_TZ = 30,
  DUCKDB_TYPE_TIMESTAMP_TZ = 31,  // int64 microseconds since 1970 UTC
  DUCKDB_TYPE_UHUGEINT = 32,
  DUCKDB_TYPE_ARRAY = 33,
  DUCKDB_TYPE_ANY = 34,
  DUCKDB_TYPE_BIGNUM = 35,
  DUCKDB_TYPE_SQLNULL = 36,
};

enum duckdb_state : int { DuckDBSuccess = 0, DuckDBError = 1 };

enum duckdb_pending_state : int {
  DUCKDB_PENDING_RESULT_READY = 0,
  DUCKDB_PENDING_RESULT_NOT_READY = 1,
  DUCKDB_PENDING_ERROR = 2,
  DUCKDB_PENDING_NO_TASKS_AVAILABLE = 3,
};

enum duckdb_error_type : int {  // of those there are: what is not about a row's values
  DUCKDB_ERROR_INTERNAL = 28,
  DUCKDB_ERROR_INTERRUPT = 29,
  DUCKDB_ERROR_FATAL = 30,
  DUCKDB_ERROR_OUT_OF_MEMORY = 33,
};

// Results are plain structs of the caller's; their fields are deprecated or private.
struct duckdb_result {
  uint64_t deprecated_counts[3];
  void* deprecated_pointers[2];
  void* internal_data;
};

// A VARCHAR or BLOB value in a vector: up to 12 bytes inside, longer ones behind a pointer.
struct duckdb_string_t {
  union {
    struct {
      uint32_t length;
      char prefix[4];
      char* data;
    } pointer;
    struct {
      uint32_t length;
      char data[12];
    } inlined;
  } value;
};

using duckdb_database = struct tributary_duckdb_database*;
using duckdb_connection = struct tributary_duckdb_connection*;
using duckdb_config = struct tributary_duckdb_config*;
using duckdb_prepared_statement = struct tributary_duckdb_prepared_statement*;
using duckdb_pending_result = struct tributary_duckdb_pending_result*;
using duckdb_data_chunk = struct tributary_duckdb_data_chunk*;
using duckdb_vector = struct tributary_duckdb_vector*;
using duckdb_logical_type = struct tributary_duckdb_logical_type*;
using duckdb_value = struct tributary_duckdb_value*;
using duckdb_appender = struct tributary_duckdb_appender*;
using duckdb_table_function = struct tributary_duckdb_table_function*;
using duckdb_bind_info = struct tributary_duckdb_bind_info*;
using duckdb_init_info = struct tributary_duckdb_init_info*;
using duckdb_function_info = struct tributary_duckdb_function_info*;

using duckdb_delete_callback_t = void (*)(void* data);
using duckdb_table_function_bind_t = void (*)(duckdb_bind_info info);
using duckdb_table_function_init_t = void (*)(duckdb_init_info info);
using duckdb_table_function_t = void (*)(duckdb_function_info info, duckdb_data_chunk output);

const char* duckdb_library_version();
idx_t duckdb_vector_size();
void duckdb_free(void* memory);

// ---- databases and connections. `out_error` is freed with duckdb_free.
duckdb_state duckdb_create_config(duckdb_config* out_config);
duckdb_state duckdb_set_config(duckdb_config config, const char* name, const char* option);
void duckdb_destroy_config(duckdb_config* config);
duckdb_state duckdb_open_ext(const char* path, duckdb_database* out_database, duckdb_config config, char** out_error);
void duckdb_close(duckdb_database* database);
duckdb_state duckdb_connect(duckdb_database database, duckdb_connection* out_connection);
void duckdb_disconnect(duckdb_connection* connection);
void duckdb_interrupt(duckdb_connection connection);

// ---- queries. A result is destroyed also after an error; duckdb_result_error is null where there was none.
duckdb_state duckdb_query(duckdb_connection connection, const char* query, duckdb_result* out_result);
void duckdb_destroy_result(duckdb_result* result);
const char* duckdb_result_error(duckdb_result* result);
duckdb_error_type duckdb_result_error_type(duckdb_result* result);
idx_t duckdb_column_count(duckdb_result* result);
const char* duckdb_column_name(duckdb_result* result, idx_t column);
duckdb_type duckdb_column_type(duckdb_result* result, idx_t column);
duckdb_logical_type duckdb_column_logical_type(duckdb_result* result, idx_t column);
// The next piece of the result; null at its end.
duckdb_data_chunk duckdb_fetch_chunk(duckdb_result result);

// ---- prepared statements. duckdb_prepare gives a statement also after an error, for its text; destroy it.
duckdb_state duckdb_prepare(duckdb_connection connection, const char* query, duckdb_prepared_statement* out_statement);
void duckdb_destroy_prepare(duckdb_prepared_statement* statement);
const char* duckdb_prepare_error(duckdb_prepared_statement statement);
idx_t duckdb_prepared_statement_column_count(duckdb_prepared_statement statement);
const char* duckdb_prepared_statement_column_name(duckdb_prepared_statement statement, idx_t column);
duckdb_logical_type duckdb_prepared_statement_column_logical_type(duckdb_prepared_statement statement, idx_t column);
duckdb_state duckdb_bind_int64(duckdb_prepared_statement statement, idx_t parameter, int64_t value);
duckdb_state duckdb_bind_varchar_length(duckdb_prepared_statement statement, idx_t parameter, const char* value,
                                        idx_t length);
duckdb_state duckdb_execute_prepared(duckdb_prepared_statement statement, duckdb_result* out_result);

// A result that is computed while it is fetched: an error may come after the first chunks, as a missing chunk with
// duckdb_result_error set.
duckdb_state duckdb_pending_prepared_streaming(duckdb_prepared_statement statement, duckdb_pending_result* out_result);
duckdb_state duckdb_execute_pending(duckdb_pending_result pending, duckdb_result* out_result);
void duckdb_destroy_pending(duckdb_pending_result* pending);

// ---- logical types
duckdb_logical_type duckdb_create_logical_type(duckdb_type type);
duckdb_logical_type duckdb_create_decimal_type(uint8_t width, uint8_t scale);
void duckdb_logical_type_set_alias(duckdb_logical_type type, const char* alias);
char* duckdb_logical_type_get_alias(duckdb_logical_type type);  // freed with duckdb_free; null: none
duckdb_type duckdb_get_type_id(duckdb_logical_type type);
uint8_t duckdb_decimal_width(duckdb_logical_type type);
uint8_t duckdb_decimal_scale(duckdb_logical_type type);
void duckdb_destroy_logical_type(duckdb_logical_type* type);

// ---- chunks and vectors. A validity mask has a bit a row, 1 where there is a value; null: all have.
void duckdb_destroy_data_chunk(duckdb_data_chunk* chunk);
duckdb_data_chunk duckdb_create_data_chunk(duckdb_logical_type* types, idx_t column_count);
void duckdb_data_chunk_reset(duckdb_data_chunk chunk);
idx_t duckdb_data_chunk_get_column_count(duckdb_data_chunk chunk);
idx_t duckdb_data_chunk_get_size(duckdb_data_chunk chunk);
void duckdb_data_chunk_set_size(duckdb_data_chunk chunk, idx_t size);
duckdb_vector duckdb_data_chunk_get_vector(duckdb_data_chunk chunk, idx_t column);
void* duckdb_vector_get_data(duckdb_vector vector);
uint64_t* duckdb_vector_get_validity(duckdb_vector vector);
void duckdb_vector_ensure_validity_writable(duckdb_vector vector);
void duckdb_validity_set_row_invalid(uint64_t* validity, idx_t row);
void duckdb_vector_assign_string_element_len(duckdb_vector vector, idx_t row, const char* text, idx_t length);
// Without a check that the text is UTF-8: three times as fast.
void duckdb_unsafe_vector_assign_string_element_len(duckdb_vector vector, idx_t row, const char* text, idx_t length);

// ---- values
void duckdb_destroy_value(duckdb_value* value);
int64_t duckdb_get_int64(duckdb_value value);

// ---- appenders: rows into a table, chunk by chunk
duckdb_state duckdb_appender_create(duckdb_connection connection, const char* schema, const char* table,
                                    duckdb_appender* out_appender);
duckdb_state duckdb_append_data_chunk(duckdb_appender appender, duckdb_data_chunk chunk);
const char* duckdb_appender_error(duckdb_appender appender);
duckdb_state duckdb_appender_flush(duckdb_appender appender);
duckdb_state duckdb_appender_destroy(duckdb_appender* appender);

// ---- table functions
duckdb_table_function duckdb_create_table_function();
void duckdb_destroy_table_function(duckdb_table_function* function);
void duckdb_table_function_set_name(duckdb_table_function function, const char* name);
void duckdb_table_function_add_parameter(duckdb_table_function function, duckdb_logical_type type);
void duckdb_table_function_set_extra_info(duckdb_table_function function, void* extra_info,
                                          duckdb_delete_callback_t destroy);
void duckdb_table_function_set_bind(duckdb_table_function function, duckdb_table_function_bind_t bind);
void duckdb_table_function_set_init(duckdb_table_function function, duckdb_table_function_init_t init);
void duckdb_table_function_set_function(duckdb_table_function function, duckdb_table_function_t callback);
void duckdb_table_function_supports_projection_pushdown(duckdb_table_function function, bool pushdown);
duckdb_state duckdb_register_table_function(duckdb_connection connection, duckdb_table_function function);
void* duckdb_bind_get_extra_info(duckdb_bind_info info);
void duckdb_bind_add_result_column(duckdb_bind_info info, const char* name, duckdb_logical_type type);
duckdb_value duckdb_bind_get_parameter(duckdb_bind_info info, idx_t index);
void duckdb_bind_set_bind_data(duckdb_bind_info info, void* bind_data, duckdb_delete_callback_t destroy);
void duckdb_bind_set_cardinality(duckdb_bind_info info, idx_t cardinality, bool is_exact);
void duckdb_bind_set_error(duckdb_bind_info info, const char* error);
void* duckdb_init_get_bind_data(duckdb_init_info info);
void duckdb_init_set_init_data(duckdb_init_info info, void* init_data, duckdb_delete_callback_t destroy);
idx_t duckdb_init_get_column_count(duckdb_init_info info);
idx_t duckdb_init_get_column_index(duckdb_init_info info, idx_t index);
void duckdb_init_set_max_threads(duckdb_init_info info, idx_t max_threads);
void duckdb_init_set_error(duckdb_init_info info, const char* error);
void* duckdb_function_get_bind_data(duckdb_function_info info);
void* duckdb_function_get_init_data(duckdb_function_info info);
void duckdb_function_set_error(duckdb_function_info info, const char* error);

}  // extern "C"  // NOLINTEND(readability-identifier-naming)
