// What programs share: the database, and the inputs that its table function reads. Only src/sql includes this.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "contracts/expression.h"
#include "sql/duckdb_engine.h"
#include "sql/duckdb_handles.h"

namespace tributary {

// What tributary_input(number) reads: a program's columns. Set by the program before it runs its statement.
struct ProgramInput {
  // As DuckDB sees them. The first is nobody's: DuckDB reads it where the expressions use none, and a table function must
  // have one.
  std::vector<std::string> names{"_nothing"};
  std::vector<LogicalType> types{{TypeId::kBool}};
  std::vector<bool> used;  // by the expressions: known once the statement has run
  std::span<const Column* const> columns;
  const uint32_t* selection = nullptr;  // rows to read; null: the first `rows`
  size_t rows = 0;
};

struct DuckDbEngine::Database {
  DuckDbDatabase database;
  std::mutex mutex;  // guards all below
  std::unordered_map<int64_t, ProgramInput*> inputs;
  int64_t next_input = 1;
  DuckDbConnection syntax;  // for syntax_json and its inverse

  int64_t add_input(ProgramInput* input);
  void remove_input(int64_t number);
};

// Makes the table function tributary_input(BIGINT) known to the database.
Status register_input_function(duckdb_connection connection, DuckDbEngine::Database* database);

// Makes a program (duckdb_program.cpp).
Result<std::unique_ptr<ExpressionProgram>> make_duckdb_program(std::shared_ptr<DuckDbEngine::Database> database,
                                                               const std::vector<InputColumn>& inputs,
                                                               const std::vector<std::string>& expressions);

}  // namespace tributary
