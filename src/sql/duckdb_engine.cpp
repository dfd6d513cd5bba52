#include "sql/duckdb_engine.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "sql/duckdb_database.h"
#include "sql/duckdb_values.h"

namespace tributary {

int64_t DuckDbEngine::Database::add_input(ProgramInput* input) {
  std::lock_guard lock(mutex);
  int64_t number = next_input++;
  inputs.emplace(number, input);
  return number;
}

void DuckDbEngine::Database::remove_input(int64_t number) {
  std::lock_guard lock(mutex);
  inputs.erase(number);
}

std::string duckdb_version() { return duckdb_library_version(); }

DuckDbEngine::DuckDbEngine(std::shared_ptr<Database> database) : database_(std::move(database)) {}
DuckDbEngine::~DuckDbEngine() = default;

Result<std::unique_ptr<DuckDbEngine>> DuckDbEngine::open(const DuckDbOptions& options) {
  const std::array<std::pair<const char*, std::string>, 8> settings = {{
      {"threads", "1"},
      {"memory_limit", fmt::format("{}B", options.memory_bytes_max)},
      {"temp_directory", ""},  // nothing is written to disk
      {"enable_external_access", "false"},
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"allow_community_extensions", "false"},
      {"allow_unsigned_extensions", "false"},
  }};
  DuckDbConfig config;
  if (duckdb_create_config(config.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kResourceExhausted, "no memory for DuckDB's configuration"};
  }
  for (const auto& [name, value] : settings) {
    if (duckdb_set_config(config.get(), name, value.c_str()) != DuckDBSuccess) {
      return Error{ErrorCode::kInternal, fmt::format("DuckDB {} has no setting {} = {}; is it the pinned version?",
                                                     duckdb_version(), name, value)};
    }
  }
  auto database = std::make_shared<Database>();
  char* message = nullptr;
  if (duckdb_open_ext(nullptr, database->database.out(), config.get(), &message) != DuckDBSuccess) {
    Error error{ErrorCode::kInternal, "DuckDB does not open: " + duckdb_message(message)};
    duckdb_free(message);
    return error;
  }
  if (duckdb_connect(database->database.get(), database->syntax.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "DuckDB gives no connection"};
  }
  RETURN_IF_ERROR(register_input_function(database->syntax.get(), database.get()));
  RETURN_IF_ERROR(duckdb_run(database->syntax.get(), "SET GLOBAL TimeZone = 'UTC'"));
  RETURN_IF_ERROR(duckdb_run(database->syntax.get(), "SET GLOBAL lock_configuration = true"));
  return std::unique_ptr<DuckDbEngine>(new DuckDbEngine(std::move(database)));
}

Result<std::unique_ptr<ExpressionProgram>> DuckDbEngine::prepare(const std::vector<InputColumn>& inputs,
                                                                 const std::vector<std::string>& expressions) {
  return make_duckdb_program(database_, inputs, expressions);
}

Result<ExpressionType> DuckDbEngine::describe(const std::vector<InputColumn>& inputs, const std::string& expression) {
  ProgramInput input;
  for (const InputColumn& column : inputs) {
    input.names.push_back(column.name);
    input.types.push_back(column.type);
  }
  if (input.names.empty()) {  // a table function must have a column
    input.names.emplace_back("_nothing");
    input.types.push_back({TypeId::kBool});
  }
  DuckDbConnection connection;
  if (duckdb_connect(database_->database.get(), connection.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "DuckDB gives no connection"};
  }
  int64_t number = database_->add_input(&input);
  DuckDbStatement statement;
  std::string sql = fmt::format("SELECT ({}\n) FROM tributary_input({})", expression, number);
  bool prepared = duckdb_prepare(connection.get(), sql.c_str(), statement.out()) == DuckDBSuccess;
  database_->remove_input(number);
  if (!prepared) {
    return Error{ErrorCode::kInvalidInput, duckdb_message(duckdb_prepare_error(statement.get()))};
  }
  if (duckdb_prepared_statement_column_count(statement.get()) != 1) {
    return Error{ErrorCode::kInvalidInput, "the expression is not one value a row"};
  }
  DuckDbType type(duckdb_prepared_statement_column_logical_type(statement.get(), 0));
  ResultType result = result_type_of(type.get());
  return ExpressionType{result.type, result.native, result.cast == "VARCHAR"};
}

Result<std::string> DuckDbEngine::syntax_json(std::string_view sql) {
  std::lock_guard lock(database_->mutex);
  return duckdb_call_text(database_->syntax.get(), "SELECT CAST(json_serialize_sql(CAST($1 AS VARCHAR)) AS VARCHAR)",
                          sql);
}

Result<std::string> DuckDbEngine::sql_of_syntax_json(std::string_view json) {
  std::lock_guard lock(database_->mutex);
  return duckdb_call_text(database_->syntax.get(), "SELECT CAST(json_deserialize_sql(CAST($1 AS JSON)) AS VARCHAR)",
                          json);
}

}  // namespace tributary
