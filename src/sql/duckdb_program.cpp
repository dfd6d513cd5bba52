// A prepared SELECT over tributary_input(), and what happens to rows that fail.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "base/utf8.h"
#include "sql/duckdb_database.h"
#include "sql/duckdb_values.h"

namespace tributary {
namespace {

// Rows of one run() whose own message is looked up, at the price of running them one by one; further failing rows say that
// they fail as well. A client whose every row is bad must not take the others' time.
constexpr size_t exact_messages_max = 1000;

std::string lower_ascii(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

class DuckDbProgram final : public ExpressionProgram {
 public:
  explicit DuckDbProgram(std::shared_ptr<DuckDbEngine::Database> database)
      : database_(std::move(database)), number_(database_->add_input(&input_)) {}
  ~DuckDbProgram() override {
    statement_.reset();
    failures_.reset();
    connection_.reset();
    database_->remove_input(number_);
  }

  Status open(const std::vector<InputColumn>& inputs, const std::vector<std::string>& expressions);

  const std::vector<LogicalType>& types() const override { return types_; }
  Result<ExpressionOutput> run(std::span<const Column* const> inputs, size_t rows,
                               std::span<const uint32_t> groups) override;

 private:
  Status prepare(const std::string& select, DuckDbStatement& statement);
  // Runs over the rows of `selection`, or the first `rows` where it is null; appends the results unless `out` is null.
  // kInvalidInput: the rows' fault.
  Status execute(duckdb_prepared_statement statement, const uint32_t* selection, size_t rows,
                 std::vector<ResultColumn>* out);
  void refuse_unusable(std::vector<bool>& bad, std::map<uint32_t, std::string>& errors) const;
  Result<std::vector<uint32_t>> find_failing(const std::vector<uint32_t>& rows, std::span<const uint32_t> groups);
  Result<std::vector<uint32_t>> find_by_try(const std::vector<uint32_t>& rows);
  Status bisect(std::span<const uint32_t> rows, std::vector<uint32_t>& failing);
  Status explain(const std::vector<uint32_t>& failing, std::map<uint32_t, std::string>& errors);

  std::shared_ptr<DuckDbEngine::Database> database_;
  ProgramInput input_;
  int64_t number_;
  DuckDbConnection connection_;
  DuckDbStatement statement_;
  DuckDbStatement failures_;  // one BOOLEAN a row: whether an expression fails; made when first wanted
  std::vector<std::string> expressions_;  // with their casts
  std::vector<LogicalType> types_;
};

Status DuckDbProgram::prepare(const std::string& select, DuckDbStatement& statement) {
  std::string sql = fmt::format("SELECT {} FROM tributary_input({})", select, number_);
  if (duckdb_prepare(connection_.get(), sql.c_str(), statement.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kInvalidInput, duckdb_message(duckdb_prepare_error(statement.get()))};
  }
  return {};
}

Status DuckDbProgram::open(const std::vector<InputColumn>& inputs, const std::vector<std::string>& expressions) {
  std::set<std::string> names{input_.names[0]};
  for (const InputColumn& column : inputs) {
    // DuckDB's names do not tell upper from lower case. Of two such columns neither can be named.
    std::string name = column.name;
    while (!names.insert(lower_ascii(name)).second) name += " (twin)";
    input_.names.push_back(name);
    input_.types.push_back(column.type);
  }
  input_.used.assign(input_.names.size(), false);
  if (duckdb_connect(database_->database.get(), connection_.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kInternal, "DuckDB gives no connection"};
  }
  if (expressions.empty()) return {};

  auto select = [](const std::vector<std::string>& list) {
    std::string out;
    for (size_t i = 0; i < list.size(); ++i) out += fmt::format("{}({}\n) AS c{}", i == 0 ? "" : ", ", list[i], i);
    return out;
  };
  RETURN_IF_ERROR(prepare(select(expressions), statement_));
  if (duckdb_prepared_statement_column_count(statement_.get()) != expressions.size()) {
    return Error{ErrorCode::kInvalidInput, "not every expression is one value a row"};
  }
  bool cast = false;
  for (size_t i = 0; i < expressions.size(); ++i) {
    DuckDbType type(duckdb_prepared_statement_column_logical_type(statement_.get(), i));
    ResultType result = result_type_of(type.get());
    types_.push_back(result.type);
    cast = cast || !result.cast.empty();
    expressions_.push_back(result.cast.empty() ? expressions[i]
                                               : fmt::format("CAST(({}\n) AS {})", expressions[i], result.cast));
  }
  if (cast) RETURN_IF_ERROR(prepare(select(expressions_), statement_));
  // A run without rows finds out which columns are used.
  return execute(statement_.get(), nullptr, 0, nullptr);
}

// Whether the rows or DuckDB itself are to blame.
Error execution_error(duckdb_result& result) {
  std::string message = duckdb_message(duckdb_result_error(&result));
  switch (duckdb_result_error_type(&result)) {
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_FATAL:
    case DUCKDB_ERROR_INTERRUPT: return {ErrorCode::kInternal, "DuckDB: " + message};
    default: return {ErrorCode::kInvalidInput, message};
  }
}

Status DuckDbProgram::execute(duckdb_prepared_statement statement, const uint32_t* selection, size_t rows,
                              std::vector<ResultColumn>* out) {
  input_.selection = selection;
  input_.rows = rows;
  // Streaming: a materialized result would copy every text once more.
  DuckDbPending pending;
  DuckDbResult result;
  bool ready = duckdb_pending_prepared_streaming(statement, pending.out()) == DuckDBSuccess &&
               duckdb_execute_pending(pending.get(), &result.result) == DuckDBSuccess;
  if (!ready) return execution_error(result.result);
  size_t got = 0;
  while (true) {
    DuckDbChunk chunk(duckdb_fetch_chunk(result.result));
    if (chunk.get() == nullptr) break;
    size_t count = duckdb_data_chunk_get_size(chunk.get());
    got += count;
    if (out == nullptr) continue;
    for (size_t i = 0; i < out->size(); ++i) {
      RETURN_IF_ERROR((*out)[i].append_vector(duckdb_data_chunk_get_vector(chunk.get(), i), count));
    }
  }
  if (duckdb_result_error(&result.result) != nullptr) return execution_error(result.result);
  if (got != rows) {
    return Error{ErrorCode::kInternal, fmt::format("DuckDB gave {} rows for {}", got, rows)};
  }
  return {};
}

// Rows that cannot be given to DuckDB: cells held as text, and text that is not UTF-8, in columns that are used.
void DuckDbProgram::refuse_unusable(std::vector<bool>& bad, std::map<uint32_t, std::string>& errors) const {
  auto refuse = [&](size_t row, std::string message) {
    bad[row] = true;
    errors.emplace(static_cast<uint32_t>(row), std::move(message));
  };
  for (size_t i = 0; i < input_.columns.size(); ++i) {
    if (!input_.used[i + 1]) continue;
    const Column& column = *input_.columns[i];
    for (const Column::TextCell& cell : column.texts()) {
      refuse(cell.row, fmt::format("column \"{}\" is '{}', which its type {} cannot hold; pass the column through "
                                   "unchanged to keep it",
                                   input_.names[i + 1], cell.text, column.type().to_string()));
    }
    TypeId id = column.type().id;
    if ((id != TypeId::kText && id != TypeId::kJson) || is_utf8(column.variable_data())) continue;
    for (size_t row = 0; row < column.rows(); ++row) {
      if (!is_utf8(column.bytes(row))) refuse(row, fmt::format("column \"{}\" is not UTF-8", input_.names[i + 1]));
    }
  }
}

Status DuckDbProgram::bisect(std::span<const uint32_t> rows, std::vector<uint32_t>& failing) {
  if (rows.empty()) return {};
  Status status = execute(statement_.get(), rows.data(), rows.size(), nullptr);
  if (status.ok() || status.error().code != ErrorCode::kInvalidInput) return status;
  if (rows.size() == 1) {
    failing.push_back(rows[0]);
    return {};
  }
  RETURN_IF_ERROR(bisect(rows.first(rows.size() / 2), failing));
  return bisect(rows.subspan(rows.size() / 2), failing);
}

// All failing rows in one run: TRY makes NULL of an error, and a struct around the expression tells that NULL from its own.
Result<std::vector<uint32_t>> DuckDbProgram::find_by_try(const std::vector<uint32_t>& rows) {
  if (failures_.get() == nullptr) {
    std::string any;
    for (const std::string& expression : expressions_) {
      any += fmt::format("{}TRY({{'v': ({}\n)}}) IS NULL", any.empty() ? "" : " OR ", expression);
    }
    RETURN_IF_ERROR(prepare(any, failures_));
  }
  std::vector<ResultColumn> flags(1, ResultColumn({TypeId::kBool}));
  RETURN_IF_ERROR(execute(failures_.get(), rows.data(), rows.size(), &flags));
  Column failed = std::move(flags[0]).finish();
  std::vector<uint32_t> failing;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (failed.is_value(i) && failed.fixed<uint8_t>(i) != 0) failing.push_back(rows[i]);
  }
  return failing;
}

Result<std::vector<uint32_t>> DuckDbProgram::find_failing(const std::vector<uint32_t>& rows,
                                                          std::span<const uint32_t> groups) {
  std::vector<uint32_t> failing;
  auto found = find_by_try(rows);
  if (!found.ok() && found.error().code != ErrorCode::kInvalidInput) return std::move(found).error();
  if (found.ok() && !found->empty()) {
    std::vector<uint32_t> good;
    std::set_difference(rows.begin(), rows.end(), found->begin(), found->end(), std::back_inserter(good));
    Status status = execute(statement_.get(), good.data(), good.size(), nullptr);
    if (status.ok()) return std::move(found).value();
    if (status.error().code != ErrorCode::kInvalidInput) return std::move(status).error();
  }
  // TRY does not catch everything (an exhausted memory limit): client by client, then row by row.
  std::map<uint32_t, std::vector<uint32_t>> by_group;
  for (uint32_t row : rows) by_group[groups.empty() ? 0 : groups[row]].push_back(row);
  for (const auto& [group, members] : by_group) RETURN_IF_ERROR(bisect(members, failing));
  std::sort(failing.begin(), failing.end());
  return failing;
}

Status DuckDbProgram::explain(const std::vector<uint32_t>& failing, std::map<uint32_t, std::string>& errors) {
  std::string last;
  for (size_t i = 0; i < failing.size(); ++i) {
    if (i >= exact_messages_max) {
      errors.emplace(failing[i], "fails like other rows of its batch: " + last);
      continue;
    }
    Status status = execute(statement_.get(), &failing[i], 1, nullptr);
    if (!status.ok() && status.error().code != ErrorCode::kInvalidInput) return status;
    last = status.ok() ? "failed among other rows, not alone" : status.error().message;
    errors.emplace(failing[i], last);
  }
  return {};
}

Result<ExpressionOutput> DuckDbProgram::run(std::span<const Column* const> inputs, size_t rows,
                                            std::span<const uint32_t> groups) {
  CHECK(inputs.size() + 1 == input_.names.size(), "{} inputs for {}", inputs.size(), input_.names.size() - 1);
  CHECK(groups.empty() || groups.size() == rows);
  input_.columns = inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    CHECK(inputs[i]->rows() == rows && inputs[i]->type() == input_.types[i + 1], "input {}", input_.names[i + 1]);
  }
  ExpressionOutput output;
  auto make_results = [&] {
    std::vector<ResultColumn> columns;
    for (LogicalType type : types_) columns.emplace_back(type);
    return columns;
  };
  std::vector<ResultColumn> results = make_results();
  std::map<uint32_t, std::string> errors;
  std::vector<bool> bad(rows, false);
  if (types_.empty()) return output;

  refuse_unusable(bad, errors);
  if (errors.empty()) {
    Status status = execute(statement_.get(), nullptr, rows, &results);
    if (status.ok()) {
      for (ResultColumn& column : results) output.columns.push_back(std::move(column).finish());
      return output;
    }
    if (status.error().code != ErrorCode::kInvalidInput) return std::move(status).error();
    results = make_results();
  }

  std::vector<uint32_t> good;
  for (uint32_t row = 0; row < rows; ++row) {
    if (!bad[row]) good.push_back(row);
  }
  Status status = execute(statement_.get(), good.data(), good.size(), &results);
  if (!status.ok()) {
    if (status.error().code != ErrorCode::kInvalidInput) return std::move(status).error();
    ASSIGN_OR_RETURN(std::vector<uint32_t> failing, find_failing(good, groups));
    RETURN_IF_ERROR(explain(failing, errors));
    for (uint32_t row : failing) bad[row] = true;
    std::erase_if(good, [&](uint32_t row) { return bad[row]; });
    results = make_results();
    RETURN_IF_ERROR(execute(statement_.get(), good.data(), good.size(), &results));
  }
  // Results stand for the good rows; the others become NULL.
  for (ResultColumn& result : results) {
    Column dense = std::move(result).finish();
    Column spread(dense.type());
    spread.reserve(rows);
    size_t next = 0;
    for (size_t row = 0; row < rows; ++row) {
      if (bad[row]) {
        spread.append_null();
      } else {
        spread.append_from(dense, next++);
      }
    }
    output.columns.push_back(std::move(spread));
  }
  for (auto& [row, message] : errors) output.errors.push_back({row, std::move(message)});
  return output;
}

}  // namespace

Result<std::unique_ptr<ExpressionProgram>> make_duckdb_program(std::shared_ptr<DuckDbEngine::Database> database,
                                                               const std::vector<InputColumn>& inputs,
                                                               const std::vector<std::string>& expressions) {
  auto program = std::make_unique<DuckDbProgram>(std::move(database));
  RETURN_IF_ERROR(program->open(inputs, expressions));
  return std::unique_ptr<ExpressionProgram>(std::move(program));
}

}  // namespace tributary
