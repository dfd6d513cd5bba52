// The table function through which DuckDB reads a program's input.
#include <algorithm>
#include <memory>

#include "sql/duckdb_database.h"
#include "sql/duckdb_values.h"

namespace tributary {
namespace {

struct Scan {
  ProgramInput* input;
  std::vector<idx_t> columns;  // projected ones, by index into the input's
  size_t next = 0;
};

void bind(duckdb_bind_info info) {
  auto* database = static_cast<DuckDbEngine::Database*>(duckdb_bind_get_extra_info(info));
  duckdb_value number = duckdb_bind_get_parameter(info, 0);
  ProgramInput* input = nullptr;
  {
    std::lock_guard lock(database->mutex);
    auto found = database->inputs.find(duckdb_get_int64(number));
    if (found != database->inputs.end()) input = found->second;
  }
  duckdb_destroy_value(&number);
  if (input == nullptr) {
    duckdb_bind_set_error(info, "no such input");
    return;
  }
  for (size_t i = 0; i < input->names.size(); ++i) {
    DuckDbType type = duckdb_type_of(input->types[i]);
    duckdb_bind_add_result_column(info, input->names[i].c_str(), type.get());
  }
  duckdb_bind_set_bind_data(info, input, nullptr);
}

void init(duckdb_init_info info) {
  auto scan = std::make_unique<Scan>();
  scan->input = static_cast<ProgramInput*>(duckdb_init_get_bind_data(info));
  idx_t count = duckdb_init_get_column_count(info);
  for (idx_t i = 0; i < count; ++i) {
    idx_t column = duckdb_init_get_column_index(info, i);
    scan->columns.push_back(column);
    if (column < scan->input->used.size()) scan->input->used[column] = true;
  }
  duckdb_init_set_max_threads(info, 1);
  duckdb_init_set_init_data(info, scan.release(), [](void* data) { delete static_cast<Scan*>(data); });
}

void read(duckdb_function_info info, duckdb_data_chunk output) {
  auto* scan = static_cast<Scan*>(duckdb_function_get_init_data(info));
  const ProgramInput& input = *scan->input;
  size_t count = std::min<size_t>(input.rows - scan->next, duckdb_vector_size());
  for (size_t i = 0; i < scan->columns.size() && count > 0; ++i) {
    if (scan->columns[i] == 0 || scan->columns[i] > input.columns.size()) continue;
    write_vector(*input.columns[scan->columns[i] - 1], input.selection, scan->next, count,
                 duckdb_data_chunk_get_vector(output, i));
  }
  scan->next += count;
  duckdb_data_chunk_set_size(output, count);
}

}  // namespace

Status register_input_function(duckdb_connection connection, DuckDbEngine::Database* database) {
  DuckDbTableFunction function(duckdb_create_table_function());
  duckdb_table_function_set_name(function.get(), "tributary_input");
  DuckDbType bigint(duckdb_create_logical_type(DUCKDB_TYPE_BIGINT));
  duckdb_table_function_add_parameter(function.get(), bigint.get());
  duckdb_table_function_set_extra_info(function.get(), database, nullptr);
  duckdb_table_function_set_bind(function.get(), bind);
  duckdb_table_function_set_init(function.get(), init);
  duckdb_table_function_set_function(function.get(), read);
  duckdb_table_function_supports_projection_pushdown(function.get(), true);
  if (duckdb_register_table_function(connection, function.get()) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "DuckDB refuses the table function tributary_input"};
  }
  return {};
}

}  // namespace tributary
