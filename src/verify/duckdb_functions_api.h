// The part of DuckDB's C interface for functions of one's own, which only the validator uses (see sql/duckdb_api.h).
#pragma once

#include "sql/duckdb_api.h"

extern "C" {
using duckdb_scalar_function = struct tributary_duckdb_scalar_function*;
using duckdb_aggregate_function = struct tributary_duckdb_aggregate_function*;
using duckdb_aggregate_state = struct tributary_duckdb_aggregate_state*;

duckdb_scalar_function duckdb_create_scalar_function();
void duckdb_destroy_scalar_function(duckdb_scalar_function* function);
void duckdb_scalar_function_set_name(duckdb_scalar_function function, const char* name);
void duckdb_scalar_function_add_parameter(duckdb_scalar_function function, duckdb_logical_type type);
void duckdb_scalar_function_set_return_type(duckdb_scalar_function function, duckdb_logical_type type);
void duckdb_scalar_function_set_function(duckdb_scalar_function function,
                                         void (*call)(duckdb_function_info, duckdb_data_chunk, duckdb_vector));
duckdb_state duckdb_register_scalar_function(duckdb_connection connection, duckdb_scalar_function function);

duckdb_aggregate_function duckdb_create_aggregate_function();
void duckdb_destroy_aggregate_function(duckdb_aggregate_function* function);
void duckdb_aggregate_function_set_name(duckdb_aggregate_function function, const char* name);
void duckdb_aggregate_function_add_parameter(duckdb_aggregate_function function, duckdb_logical_type type);
void duckdb_aggregate_function_set_return_type(duckdb_aggregate_function function, duckdb_logical_type type);
void duckdb_aggregate_function_set_functions(
    duckdb_aggregate_function function, idx_t (*state_size)(duckdb_function_info),
    void (*init)(duckdb_function_info, duckdb_aggregate_state),
    void (*update)(duckdb_function_info, duckdb_data_chunk, duckdb_aggregate_state*),
    void (*combine)(duckdb_function_info, duckdb_aggregate_state*, duckdb_aggregate_state*, idx_t),
    void (*finalize)(duckdb_function_info, duckdb_aggregate_state*, duckdb_vector, idx_t, idx_t));
duckdb_state duckdb_register_aggregate_function(duckdb_connection connection, duckdb_aggregate_function function);
}

namespace tributary {

inline bool is_valid(const uint64_t* validity, idx_t row) {
  return validity == nullptr || (validity[row / 64] >> (row % 64) & 1) != 0;
}

inline void set_null(duckdb_vector vector, idx_t row) {
  duckdb_vector_ensure_validity_writable(vector);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row);
}

}  // namespace tributary
