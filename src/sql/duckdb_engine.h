// DuckDbEngine: the ExpressionEngine on DuckDB.
//
//   ASSIGN_OR_RETURN(auto engine, DuckDbEngine::open());
//   ASSIGN_OR_RETURN(auto program, engine->prepare({{"email", {TypeId::kText}}}, {"lower(trim(email))"}));
//   ASSIGN_OR_RETURN(ExpressionOutput out, program->run(inputs, rows, {}));   // out.columns[0]
//
// One in-memory database, in which nothing is stored; each program has a connection of its own to it and reads its input
// through a table function, of which DuckDB asks only the columns that the expressions use. A program runs on the thread
// that calls run(). The database cannot reach files, network or extensions, its time zone is UTC, and its settings are
// locked. SQL given to prepare() is trusted to be expressions: what users write is checked by view_planner.h before.
//
// Thread-safe. Programs may outlive the engine object (they share its database); one is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/expression.h"

namespace tributary {

struct DuckDbOptions {
  uint64_t memory_bytes_max = 512ull << 20;  // of DuckDB's own buffers, for all programs together
};

// The version of the library that is loaded: "v1.5.6".
std::string duckdb_version();

// What an expression gives, before anything runs.
struct ExpressionType {
  LogicalType type;
  std::string native;  // "HUGEINT": DuckDB's type, where a column of `type` must be cast back to be seen as that
  bool as_text = false;  // DuckDB's type is none of ours: `type` is kText, and holds its text form
};

class DuckDbEngine final : public ExpressionEngine {
 public:
  // Takes some 30 ms.
  static Result<std::unique_ptr<DuckDbEngine>> open(const DuckDbOptions& options = {});
  ~DuckDbEngine() override;

  // Errors: kInvalidInput with DuckDB's text where an expression does not compile or has no type of ours.
  // A column may be named as no other (without regard to case) is, or it cannot be used.
  Result<std::unique_ptr<ExpressionProgram>> prepare(const std::vector<InputColumn>& inputs,
                                                     const std::vector<std::string>& expressions) override;

  // The type of an expression, aggregates among them. Errors as prepare().
  Result<ExpressionType> describe(const std::vector<InputColumn>& inputs, const std::string& expression);

  // The JSON by which DuckDB describes the syntax of `sql`, also where it does not parse (then with "error": true).
  Result<std::string> syntax_json(std::string_view sql);
  // The SQL of such JSON, which holds one SELECT.
  Result<std::string> sql_of_syntax_json(std::string_view json);

  struct Database;

 private:
  explicit DuckDbEngine(std::shared_ptr<Database> database);

  std::shared_ptr<Database> database_;
};

}  // namespace tributary
