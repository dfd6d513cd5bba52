#include "verify/compared_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "verify/value_types.h"
#include "verify/view_evaluation.h"

namespace tributary {
namespace {

constexpr size_t failed_rows_max = 1000;
constexpr size_t dead_letters_computed_max = 10'000;
constexpr std::chrono::seconds halving_max{20};  // of one relation's rows in a view

// The message of a statement that was run through json_execute_serialized_sql.
std::string engine_message(const Error& error) {
  std::string_view text = error.message;
  constexpr std::string_view wrapping = "unsuccessful query result\nError: ";
  if (size_t at = text.find(wrapping); at != std::string_view::npos) text.remove_prefix(at + wrapping.size());
  return std::string(text.substr(0, text.find('\n')));
}

class ViewRun {
 public:
  ViewRun(ScratchDatabase& database, const VerifyView& view, const PreparedView& prepared, const DomainTable& domain)
      : database_(database), view_(view), prepared_(prepared), domain_(domain) {}

  Status run_all(const std::vector<VerifyKey>& dead_letters);
  SourceAnswer take() { return std::move(answer_); }

 private:
  std::string insert_sql(const std::string& rows, bool excepted) const;
  std::string key_json() const;
  Status park(const std::vector<VerifyKey>& dead_letters);
  Status run_pieces(const std::string& schema, bool excepted);
  Status remove_uncomputable();
  Status fail_row(const std::string& table, uint64_t row, const std::string& reason);

  ScratchDatabase& database_;
  const VerifyView& view_;
  const PreparedView& prepared_;
  const DomainTable& domain_;
  SourceAnswer answer_;
};

Status create_source_rows(ScratchDatabase& database, const VerifyView& view) {
  return database.run("CREATE OR REPLACE TABLE main.__s (row BIGINT, excepted BOOLEAN, " + compared_columns_sql(view) +
                      ")");
}

// From rows (c0 …, texts_column, and the number `row`) into main.__s. `names`: of the member of the texts for each column.
std::string insert_rows_sql(const VerifyView& view, const std::vector<std::optional<std::string>>& names,
                            const std::string& row, const std::string& from, bool excepted) {
  // Step by step: where an expression stands in one statement twice, the planner's time goes up with the square of the columns.
  std::string held;
  std::string parsed;
  std::string gathered;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    LogicalType type = view.columns[i].type;
    std::string value = fmt::format("CAST(c{} AS {})", i, compared_type(type));
    if (type.id == TypeId::kBigDecimal) value = parse_analytics(type, value);
    parsed += fmt::format(", {} AS u{}", value, i);
    if (!names[i]) {
      held += fmt::format(", c{}", i);
      gathered += fmt::format(", u{0} AS v{0}, CAST(NULL AS VARCHAR) AS t{0}", i);
      continue;
    }
    held += fmt::format(", c{0}, CASE WHEN {1} IS NOT NULL THEN json_extract_string({1}, {2}) END AS h{0}", i,
                        texts_column, member_path(*names[i]));
    parsed += fmt::format(", h{0}, {1} AS p{0}", i, parse_source(type, fmt::format("h{}", i), false));
    gathered += fmt::format(", coalesce(u{0}, p{0}) AS v{0}, CASE WHEN p{0} IS NULL THEN h{0} END AS t{0}", i);
  }
  return fmt::format(
      "INSERT INTO main.__s SELECT r, {}, {} FROM (SELECT r{} FROM (SELECT r{} FROM (SELECT {} AS r{} FROM {})))",
      excepted, gathered_sql(view), gathered, parsed, row, held, from);
}

std::string ViewRun::insert_sql(const std::string& rows, bool excepted) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < view_.columns.size(); ++i) names.push_back(fmt::format("c{}", i));
  names.insert(names.end(), {row_column, texts_column});
  return insert_rows_sql(view_, prepared_.passed, row_column, fmt::format("{} AS q({})", rows, fmt::join(names, ", ")),
                         excepted);
}

// The key of a row of source.NAME as RowDifference has it: a JSON array of texts.
std::string ViewRun::key_json() const {
  std::vector<std::string> parts;
  for (size_t index : domain_.key) parts.push_back(source_text_of(domain_.columns[index]));
  if (parts.empty()) return fmt::format("CAST(to_json([CAST({} AS VARCHAR)]) AS VARCHAR)", row_column);
  return fmt::format("CAST(to_json([{}]) AS VARCHAR)", fmt::join(parts, ", "));
}

Status ViewRun::park(const std::vector<VerifyKey>& dead_letters) {
  RETURN_IF_ERROR(database_.run("CREATE OR REPLACE TABLE main.__dead (key VARCHAR)"));
  TextLoader loader(database_, "__dead", 1);
  for (const VerifyKey& key : dead_letters) {
    std::string text = key_json_of({key.begin(), key.end()});
    std::optional<std::string_view> cell = text;
    RETURN_IF_ERROR(loader.add({&cell, 1}));
  }
  RETURN_IF_ERROR(loader.flush());
  std::string name = quote_duckdb_identifier(domain_.name);
  RETURN_IF_ERROR(database_.run("CREATE SCHEMA IF NOT EXISTS parked"));
  RETURN_IF_ERROR(
      database_.run(fmt::format("CREATE OR REPLACE TABLE parked.{0} AS SELECT * FROM source.{0} WHERE {1} IN "
                                "(SELECT key FROM main.__dead)",
                                name, key_json())));
  RETURN_IF_ERROR(
      database_.run(fmt::format("DELETE FROM source.{0} WHERE {1} IN (SELECT {1} FROM parked.{0})", name, row_column)));
  ASSIGN_OR_RETURN(auto keys, database_.rows(fmt::format("SELECT {} FROM parked.{}", key_json(), name)));
  for (const ScratchRow& key : keys) answer_.excepted_keys.push_back(key[0].value_or(""));
  return {};
}

Status ViewRun::run_all(const std::vector<VerifyKey>& dead_letters) {
  bool parked = !dead_letters.empty() && !domain_.key.empty();
  if (parked) RETURN_IF_ERROR(park(dead_letters));
  Status all = database_.run(insert_sql(prepared_.rows, false));
  if (!all.ok()) {
    if (all.error().code == ErrorCode::kResourceExhausted) return all;
    RETURN_IF_ERROR(run_pieces("source", false));
  }
  if (parked) {
    if (answer_.excepted_keys.size() <= dead_letters_computed_max) RETURN_IF_ERROR(run_pieces("parked", true));
    RETURN_IF_ERROR(database_.run(
        fmt::format("INSERT INTO source.{0} SELECT * FROM parked.{0}", quote_duckdb_identifier(domain_.name))));
  }
  return remove_uncomputable();
}

// Halves the rows until those are left on which the SQL fails. In a flood of them there is no end to that: dead letters that were
// not looked at by then stay excepted, and other rows are too many to be named.
Status ViewRun::run_pieces(const std::string& schema, bool excepted) {
  std::string table = fmt::format("{}.{}", schema, quote_duckdb_identifier(domain_.name));
  RETURN_IF_ERROR(database_.run("CREATE SCHEMA IF NOT EXISTS piece"));
  ASSIGN_OR_RETURN(uint64_t end,
                   database_.number(fmt::format("SELECT coalesce(max({}) + 1, 0) FROM {}", row_column, table)));
  struct Range {
    uint64_t first, end;
  };
  auto until = std::chrono::steady_clock::now() + halving_max;
  std::string reason;  // of the last piece that failed
  std::vector<Range> open{{0, end}};
  while (!open.empty()) {
    Range range = open.back();
    open.pop_back();
    if (std::chrono::steady_clock::now() > until) {
      if (excepted) return {};
      return Error{ErrorCode::kInvalidInput,
                   "the view's SQL fails on too many rows that are not dead letters: " + reason};
    }
    RETURN_IF_ERROR(database_.run(
        fmt::format("CREATE OR REPLACE TABLE piece.{} AS SELECT * FROM {} WHERE {} >= {} AND {} < {}",
                    quote_duckdb_identifier(domain_.name), table, row_column, range.first, row_column, range.end)));
    Status status = database_.run(insert_sql(prepared_.piece, excepted));
    if (status.ok()) continue;
    if (status.error().code == ErrorCode::kResourceExhausted) return status;
    reason = engine_message(status.error());
    if (range.end - range.first > 1) {
      uint64_t middle = range.first + (range.end - range.first) / 2;
      open.push_back({middle, range.end});
      open.push_back({range.first, middle});
    } else if (!excepted) {
      RETURN_IF_ERROR(fail_row(table, range.first, reason));
    }
  }
  return {};
}

Status ViewRun::fail_row(const std::string& table, uint64_t row, const std::string& reason) {
  if (answer_.failed.size() == failed_rows_max) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the view's SQL fails on more than {} rows that are not dead letters; "
                             "the last: {}",
                             failed_rows_max, reason)};
  }
  ASSIGN_OR_RETURN(auto key,
                   database_.rows(fmt::format("SELECT {} FROM {} WHERE {} = {}", key_json(), table, row_column, row)));
  answer_.failed.push_back({key.empty() ? "" : key[0][0].value_or(""), reason});
  return {};
}

// A value that its type cannot hold is NULL to the SQL, which would compute with it; the pipeline sets such a row aside.
Status ViewRun::remove_uncomputable() {
  std::string table = "source." + quote_duckdb_identifier(domain_.name);
  for (const std::string& column : prepared_.computed) {
    std::string held = fmt::format("json_extract_string({}, {})", texts_column, member_path(column));
    ASSIGN_OR_RETURN(auto rows,
                     database_.rows(fmt::format("SELECT CAST(s.row AS VARCHAR), {}, CAST(s.excepted AS VARCHAR) FROM "
                                                "main.__s AS s JOIN (SELECT * FROM {} WHERE {} IS NOT NULL) "
                                                "AS d ON d.{} = s.row WHERE {} IS NOT NULL",
                                                held, table, texts_column, row_column, held)));
    for (const ScratchRow& row : rows) {
      RETURN_IF_ERROR(database_.run("DELETE FROM main.__s WHERE row = " + *row[0]));
      if (*row[2] == "true") continue;
      std::string reason = fmt::format("the value {} of {} cannot be computed with", row[1].value_or(""), column);
      RETURN_IF_ERROR(fail_row(table, std::stoull(*row[0]), reason));
    }
  }
  return {};
}

}  // namespace

std::string compared_columns_sql(const VerifyView& view) {
  std::string out;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    out += fmt::format("c{} {}, ", i, compared_type(view.columns[i].type));
  }
  return out + "texts VARCHAR";
}

std::string gathered_sql(const VerifyView& view) {
  std::string values;
  std::vector<std::string> any;
  std::vector<std::string> entries;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    values += fmt::format("v{}, ", i);
    any.push_back(fmt::format("t{} IS NOT NULL", i));
    entries.push_back(fmt::format("{{'k': '{0}', 'v': t{0}}}", i));
  }
  return fmt::format(
      "{}CASE WHEN {} THEN CAST(to_json(map_from_entries(list_filter([{}], lambda e: e.v IS NOT NULL))) AS VARCHAR) "
      "END",
      values, fmt::join(any, " OR "), fmt::join(entries, ", "));
}

std::vector<size_t> key_columns(const PreparedView& prepared, const DomainTable& domain) {
  std::vector<size_t> result;
  for (size_t index : domain.key) {
    for (size_t i = 0; i < prepared.passed.size(); ++i) {
      if (prepared.passed[i] != domain.columns[index].column.name) continue;
      result.push_back(i);
      break;
    }
  }
  return result.size() == domain.key.size() ? result : std::vector<size_t>{};
}

std::string key_json_of(const std::vector<std::optional<std::string>>& key) {
  nlohmann::json out = nlohmann::json::array();
  for (const auto& value : key) out.push_back(value ? nlohmann::json(*value) : nlohmann::json());
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<SourceAnswer> run_by_row(ScratchDatabase& database, const VerifyView& view, const PreparedView& prepared,
                                const DomainTable& domain, const std::vector<VerifyKey>& dead_letters) {
  CHECK(prepared.by_row);
  ViewRun run(database, view, prepared, domain);
  RETURN_IF_ERROR(create_source_rows(database, view));
  RETURN_IF_ERROR(run.run_all(dead_letters));
  return run.take();
}

Result<SourceAnswer> take_answer(ScratchDatabase& database, const VerifyView& view, const std::vector<size_t>& key,
                                 const std::set<std::string>& dead) {
  std::vector<std::optional<std::string>> names;
  std::vector<std::string> columns;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    names.push_back(view.columns[i].name);
    columns.push_back(fmt::format("{} AS c{}", quote_duckdb_identifier(view.columns[i].name), i));
  }
  std::string table = "answer." + quote_duckdb_identifier(view.name);
  auto insert = [&](bool depends) {
    return database.run(insert_rows_sql(view, names, "CAST(NULL AS BIGINT)",
                                        fmt::format("(SELECT {}, {} FROM {} WHERE {} = {})", fmt::join(columns, ", "),
                                                    texts_column, table, depends_column, depends),
                                        false));
  };
  SourceAnswer answer;
  RETURN_IF_ERROR(create_source_rows(database, view));
  RETURN_IF_ERROR(insert(true));
  std::vector<std::string> parts;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    if (key.empty()) parts.push_back(compared_text(view, i, "s"));
  }
  for (size_t column : key) parts.push_back(compared_text(view, column, "s"));
  ASSIGN_OR_RETURN(auto depending, database.rows(fmt::format(
                                       "SELECT DISTINCT CAST(to_json([{}]) AS VARCHAR) FROM main.__s AS s LIMIT {}",
                                       fmt::join(parts, ", "), failed_rows_max + 1)));
  if (depending.size() > failed_rows_max) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("more than {} rows depend on values that their types cannot hold", failed_rows_max)};
  }
  for (ScratchRow& row : depending) {
    std::string text = row[0].value_or("");
    // The one row of an aggregate without GROUP BY has no key.
    if (dead.contains(key.empty() ? "[]" : text)) {
      answer.excepted_keys.push_back(std::move(text));
    } else {
      answer.failed.push_back({std::move(text), "it depends on a value that its type cannot hold"});
    }
  }
  RETURN_IF_ERROR(create_source_rows(database, view));
  RETURN_IF_ERROR(insert(false));
  return answer;
}

std::string compared_text(const VerifyView& view, size_t column, const std::string& table) {
  return fmt::format("coalesce(json_extract_string({}.texts, '/{}'), {})", table, column,
                     to_source_text(view.columns[column].type, fmt::format("{}.c{}", table, column)));
}

}  // namespace tributary
