#include "verify/view_evaluation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "verify/stand_ins.h"
#include "verify/value_types.h"

namespace tributary {
namespace {

constexpr size_t failed_rows_max = 100;
// Evaluations of a view with a part of a relation's rows, to find those that fail.
constexpr size_t probes_max = 2000;
constexpr std::chrono::seconds probing_max{60};
constexpr const char* unfit_column = "__unfit";

std::string quoted_names(const BatchRelation& relation) {
  std::vector<std::string> names;
  for (const auto& column : relation.columns) names.push_back(quote_duckdb_identifier(column.name));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string dead_table(const BatchRelation& relation) { return "dead." + quote_duckdb_identifier(relation.name); }

std::string key_json(const BatchRelation& relation) {
  return fmt::format("CAST(to_json([{}]) AS VARCHAR)", fmt::join(relation.key_texts, ", "));
}

std::string engine_message(const Error& error) {
  std::string_view text = error.message;
  constexpr std::string_view wrapping = "unsuccessful query result\nError: ";
  if (size_t at = text.find(wrapping); at != std::string_view::npos) text.remove_prefix(at + wrapping.size());
  return std::string(text.substr(0, text.find('\n')));
}

class Evaluator {
 public:
  Evaluator(ScratchDatabase& database, const PreparedView& prepared, const BatchRelation& own,
            const std::vector<const BatchRelation*>& read)
      : database_(database), prepared_(prepared), own_(own), read_(read), stand_ins_(database) {}

  Status run(const std::vector<VerifyDeadLetter>& dead_letters);
  Evaluation take() { return std::move(result_); }

 private:
  Status set_aside(const BatchRelation& relation, const std::vector<VerifyDeadLetter>& dead_letters);
  Result<bool> load_dead_keys(const std::string& relation, const std::vector<VerifyDeadLetter>& dead_letters);
  Status put_back_what_computes();
  Status except_own(const std::vector<VerifyDeadLetter>& dead_letters);
  Status answer();
  Status compute();
  Status compute_once(const std::string& table);
  std::vector<std::string> fitted_columns() const;
  Status leave_out_failing();
  Status show_part(const BatchRelation& relation, const std::string& condition);
  Status show_all();
  std::string kept(const BatchRelation& relation) const;
  Result<std::vector<uint64_t>> failing_rows(const BatchRelation& relation, const std::string& condition);
  Result<std::vector<std::string>> people_keys(const BatchRelation& relation, const std::string& condition);

  ScratchDatabase& database_;
  const PreparedView& prepared_;
  const BatchRelation& own_;
  const std::vector<const BatchRelation*>& read_;
  StandIns stand_ins_;
  bool high_ = false;  // which of the stand-ins relations show
  bool marks_unfit_ = false;  // a result that does not fit its column is marked, and does not fail the SQL
  size_t probes_ = 0;
  std::chrono::steady_clock::time_point probing_until_ = std::chrono::steady_clock::now() + probing_max;
  std::string reason_;  // of the last probe that failed
  std::map<const BatchRelation*, bool> has_dead_;
  Evaluation result_;
};

std::string Evaluator::kept(const BatchRelation& relation) const {
  std::string condition = relation.is_view ? fmt::format("NOT {}", depends_column) : "true";
  auto dead = has_dead_.find(&relation);
  if (dead != has_dead_.end() && dead->second) {
    condition += fmt::format(" AND {} NOT IN (SELECT row FROM {})", relation.row, dead_table(relation));
  }
  return condition;
}

Status Evaluator::show_part(const BatchRelation& relation, const std::string& condition) {
  std::vector<std::string> columns;
  for (const auto& column : relation.columns) {
    std::string name = quote_duckdb_identifier(column.name);
    std::string value = stand_ins_.value(relation.name, column.name, high_);
    columns.push_back(value.empty() ? name : value + " AS " + name);
  }
  return database_.run(fmt::format("CREATE OR REPLACE VIEW main.{} AS SELECT {} FROM {} WHERE {}",
                                   quote_duckdb_identifier(relation.name), fmt::join(columns, ", "), relation.table,
                                   condition));
}

Status Evaluator::show_all() {
  for (const BatchRelation* relation : read_) RETURN_IF_ERROR(show_part(*relation, kept(*relation)));
  return {};
}

// main.__dead (key): those of the relation. False: there are none.
Result<bool> Evaluator::load_dead_keys(const std::string& relation, const std::vector<VerifyDeadLetter>& dead_letters) {
  RETURN_IF_ERROR(database_.run("CREATE OR REPLACE TABLE main.__dead (key VARCHAR)"));
  TextLoader loader(database_, "__dead", 1);
  bool any = false;
  for (const VerifyDeadLetter& letter : dead_letters) {
    if (lower_case(letter.relation) != lower_case(relation)) continue;
    std::string text = key_json_of(letter.key);
    std::optional<std::string_view> cell = text;
    RETURN_IF_ERROR(loader.add({&cell, 1}));
    any = true;
  }
  RETURN_IF_ERROR(loader.flush());
  return any;
}

// A group over values that their types cannot hold may come out the same whatever stands for them: the least of one value, or
// what another column has beside it. Where the pipeline has set the group aside, it is not in the view.
Status Evaluator::except_own(const std::vector<VerifyDeadLetter>& dead_letters) {
  if (stand_ins_.empty()) return {};
  ASSIGN_OR_RETURN(bool any, load_dead_keys(own_.name, dead_letters));
  if (!any) return {};
  return database_.run(fmt::format("UPDATE {} SET {} = true WHERE {} IN (SELECT key FROM main.__dead)", own_.table,
                                   depends_column, key_json(own_)));
}

// dead.NAME (row): rows of the relation that are dead letters.
Status Evaluator::set_aside(const BatchRelation& relation, const std::vector<VerifyDeadLetter>& dead_letters) {
  RETURN_IF_ERROR(database_.run("CREATE SCHEMA IF NOT EXISTS dead"));
  RETURN_IF_ERROR(database_.run("CREATE OR REPLACE TABLE " + dead_table(relation) + " (row BIGINT)"));
  has_dead_[&relation] = false;
  if (relation.key_texts.empty()) return {};
  ASSIGN_OR_RETURN(bool any, load_dead_keys(relation.name, dead_letters));
  if (!any) return {};
  has_dead_[&relation] = true;
  return database_.run(fmt::format("INSERT INTO {} SELECT {} FROM {} WHERE {} IN (SELECT key FROM main.__dead)",
                                   dead_table(relation), relation.row, relation.table, key_json(relation)));
}

Result<std::vector<std::string>> Evaluator::people_keys(const BatchRelation& relation, const std::string& condition) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < relation.key_texts.size(); ++i) {
    parts.push_back(
        fmt::format("{} || coalesce({}, 'NULL')", quote_duckdb_text(relation.key[i] + "="), relation.key_texts[i]));
  }
  if (parts.empty()) parts.push_back(fmt::format("'row=' || CAST({} AS VARCHAR)", relation.row));
  ASSIGN_OR_RETURN(
      auto rows,
      database_.rows(fmt::format("SELECT {} || ' ' || concat_ws(', ', {}) FROM {} WHERE {} ORDER BY 1",
                                 quote_duckdb_text(relation.name), fmt::join(parts, ", "), relation.table, condition)));
  std::vector<std::string> keys;
  for (ScratchRow& row : rows) keys.push_back(row[0].value_or(""));
  return keys;
}

// Rows of the relation on each of which alone, with all rows of the others, the SQL fails.
Result<std::vector<uint64_t>> Evaluator::failing_rows(const BatchRelation& relation, const std::string& condition) {
  std::vector<uint64_t> failing;
  auto fails = [&](const std::string& part) -> Result<bool> {
    if (++probes_ > probes_max || std::chrono::steady_clock::now() > probing_until_) {
      return Error{ErrorCode::kInvalidInput, "it fails on too many rows to name them: " + reason_};
    }
    RETURN_IF_ERROR(show_part(relation, part));
    Status status = compute_once("main.__probe");
    if (status.ok()) return false;
    if (status.error().code == ErrorCode::kResourceExhausted) return status.error();
    reason_ = engine_message(status.error());
    return true;
  };
  ASSIGN_OR_RETURN(bool anyway, fails("false"));
  if (anyway) return failing;  // not for this relation's rows
  struct Range {
    uint64_t first, end;
  };
  RETURN_IF_ERROR(
      database_.run(fmt::format("CREATE OR REPLACE TABLE main.__candidates AS SELECT row_number() OVER (ORDER BY "
                                "{0}) - 1 AS n, {0} AS row FROM {1} WHERE {2}",
                                relation.row, relation.table, condition)));
  ASSIGN_OR_RETURN(uint64_t end, database_.number("SELECT count(*) FROM main.__candidates"));
  std::vector<Range> open{{0, end}};
  while (!open.empty()) {
    Range range = open.back();
    open.pop_back();
    if (range.first == range.end) continue;
    ASSIGN_OR_RETURN(bool failed,
                     fails(fmt::format("{} IN (SELECT row FROM main.__candidates WHERE n >= {} AND n < {})",
                                       relation.row, range.first, range.end)));
    if (!failed) continue;
    if (range.end - range.first == 1) {
      ASSIGN_OR_RETURN(uint64_t row,
                       database_.number(fmt::format("SELECT row FROM main.__candidates WHERE n = {}", range.first)));
      failing.push_back(row);
      if (failing.size() > failed_rows_max) {
        return Error{ErrorCode::kInvalidInput,
                     fmt::format("it fails on more than {} rows of {} that are not dead letters; the last: {}",
                                 failed_rows_max, relation.name, reason_)};
      }
      continue;
    }
    uint64_t middle = range.first + (range.end - range.first) / 2;
    open.push_back({middle, range.end});
    open.push_back({range.first, middle});
  }
  return failing;
}

// A dead letter excuses a row that fails; where the row computes, its absence has to be seen.
Status Evaluator::put_back_what_computes() {
  for (const BatchRelation* relation : read_) {
    if (!has_dead_[relation]) continue;
    RETURN_IF_ERROR(show_all());
    std::string dead = fmt::format("{} IN (SELECT row FROM {})", relation->row, dead_table(*relation));
    auto failing = failing_rows(*relation, dead);
    if (failing.ok()) {
      std::string fails = failing->empty() ? "false" : fmt::format("row IN ({})", fmt::join(*failing, ", "));
      std::string held = stand_ins_.any_text(relation->name);
      if (!held.empty()) {
        fails += fmt::format(" OR row IN (SELECT {} FROM {} WHERE {})", relation->row, relation->table, held);
      }
      RETURN_IF_ERROR(database_.run(fmt::format("DELETE FROM {} WHERE NOT ({})", dead_table(*relation), fails)));
    } else if (failing.error().code == ErrorCode::kResourceExhausted) {
      return failing.error();
    }
    // Too many to be looked at: all of them are excepted.
    ASSIGN_OR_RETURN(auto keys, people_keys(*relation, dead));
    result_.excepted.insert(result_.excepted.end(), keys.begin(), keys.end());
  }
  return {};
}

// The answer's columns in the table's types, and whether the row has a value that does not fit: sums beyond 38 digits, which
// DuckDB holds in the 128 bits of a DECIMAL(38,s) or a HUGEINT.
std::vector<std::string> Evaluator::fitted_columns() const {
  std::vector<std::string> values;
  std::string unfit = "false";
  for (const auto& column : own_.columns) {
    std::string name = quote_duckdb_identifier(column.name);
    if (!column.type.starts_with("DECIMAL(38,")) {
      values.push_back(fmt::format("CAST({0} AS {1}) AS {0}", name, column.type));
      continue;
    }
    std::string wide =
        fmt::format("coalesce(length(ltrim(translate(CAST({} AS VARCHAR), '-.', ''), '0')) > 38, false)", name);
    std::string instead = marks_unfit_ ? "NULL" : "error('it does not fit into " + column.type + "')";
    values.push_back(
        fmt::format("CASE WHEN {0} THEN {1} ELSE CAST({2} AS {3}) END AS {2}", wide, instead, name, column.type));
    unfit += " OR " + wide;
  }
  values.push_back((marks_unfit_ ? unfit : "false") + " AS " + unfit_column);
  return values;
}

Status Evaluator::compute_once(const std::string& table) {
  return database_.run(fmt::format("CREATE OR REPLACE TABLE {} AS SELECT {} FROM {} AS q({})", table,
                                   fmt::join(fitted_columns(), ", "), prepared_.answer, quoted_names(own_)));
}

Status Evaluator::compute() {
  RETURN_IF_ERROR(show_all());
  std::string names = quoted_names(own_);
  if (stand_ins_.empty()) {
    RETURN_IF_ERROR(compute_once("main.__low"));
    return database_.run(
        fmt::format("CREATE OR REPLACE TABLE {} AS SELECT {}, CAST(NULL AS VARCHAR) AS {}, {} AS {} "
                    "FROM main.__low",
                    own_.table, names, texts_column, unfit_column, depends_column));
  }
  for (bool high : {false, true}) {
    high_ = high;
    RETURN_IF_ERROR(show_all());
    std::string table = high ? "main.__high" : "main.__low";
    Status status = compute_once(table);
    if (!status.ok()) {
      high_ = false;
      return status;
    }
    std::vector<std::string> values;
    std::vector<std::string> entries;
    for (const auto& column : own_.columns) {
      std::string name = quote_duckdb_identifier(column.name);
      std::string text = stand_ins_.text(column.type, name, high);
      values.push_back(text.empty() ? name : fmt::format("CASE WHEN {} IS NULL THEN {} END AS {}", text, name, name));
      if (!text.empty()) {
        entries.push_back(fmt::format("{{'k': {}, 'v': {}}}", quote_duckdb_text(column.name), text));
      }
    }
    std::string texts = entries.empty() ? "CAST(NULL AS VARCHAR)"
                                        : fmt::format(
                                              "nullif(CAST(to_json(map_from_entries(list_filter([{}], lambda e: e.v "
                                              "IS NOT NULL))) AS VARCHAR), '{{}}')",
                                              fmt::join(entries, ", "));
    RETURN_IF_ERROR(database_.run(fmt::format("CREATE OR REPLACE TABLE {0}d AS SELECT {1}, {2} AS {3}, {4} FROM {0}",
                                              table, fmt::join(values, ", "), texts, texts_column, unfit_column)));
  }
  high_ = false;
  std::string hash = fmt::format("hash('tributary', {}, {})", names, texts_column);
  return database_.run(
      fmt::format("CREATE OR REPLACE TABLE {} AS SELECT {}, {}, {} OR {} NOT IN (SELECT {} FROM main.__highd) AS {} "
                  "FROM main.__lowd",
                  own_.table, names, texts_column, unfit_column, hash, hash, depends_column));
}

Status Evaluator::leave_out_failing() {
  for (const BatchRelation* relation : read_) {
    RETURN_IF_ERROR(show_all());
    ASSIGN_OR_RETURN(auto failing, failing_rows(*relation, kept(*relation)));
    if (failing.empty()) continue;
    std::string in_failing = fmt::format("{} IN ({})", relation->row, fmt::join(failing, ", "));
    ASSIGN_OR_RETURN(auto keys, people_keys(*relation, in_failing));
    for (std::string& key : keys) result_.failed.push_back({std::move(key), reason_});
    RETURN_IF_ERROR(database_.run(fmt::format("INSERT INTO {} SELECT {} FROM {} WHERE {}", dead_table(*relation),
                                              relation->row, relation->table, in_failing)));
    has_dead_[relation] = true;
    return {};
  }
  return Error{ErrorCode::kInvalidInput, reason_};
}

Status Evaluator::answer() {
  for (size_t attempt = 0;; ++attempt) {
    Status status = compute();
    if (status.ok() || status.error().code == ErrorCode::kResourceExhausted) return status;
    reason_ = engine_message(status.error());
    // One relation's failing rows are left out at a time.
    Status left_out =
        attempt < read_.size() + 1 ? leave_out_failing() : Status(Error{ErrorCode::kInvalidInput, reason_});
    if (left_out.ok()) continue;
    if (!marks_unfit_) {  // no single row's fault: a group's sum may be what does not fit
      marks_unfit_ = true;
      status = compute();
      if (status.ok() || status.error().code == ErrorCode::kResourceExhausted) return status;
    }
    return Error{left_out.error().code, "the view's SQL fails: " + left_out.error().message};
  }
}

Status Evaluator::run(const std::vector<VerifyDeadLetter>& dead_letters) {
  for (const BatchRelation* relation : read_) {
    RETURN_IF_ERROR(stand_ins_.add(relation->name, relation->table, relation->columns, prepared_.used));
    RETURN_IF_ERROR(set_aside(*relation, dead_letters));
  }
  RETURN_IF_ERROR(stand_ins_.choose());
  RETURN_IF_ERROR(put_back_what_computes());
  probes_ = 0;
  probing_until_ = std::chrono::steady_clock::now() + probing_max;
  RETURN_IF_ERROR(answer());
  return except_own(dead_letters);
}

}  // namespace

BatchRelation batch_relation(const DomainTable& domain) {
  BatchRelation relation{
      .name = domain.name, .table = "source." + quote_duckdb_identifier(domain.name), .row = row_column};
  for (const DomainColumn& column : domain.columns) {
    relation.columns.push_back({column.column.name, domain_type(column.column.type)});
  }
  for (size_t index : domain.key) {
    relation.key.push_back(domain.columns[index].column.name);
    relation.key_texts.push_back(source_text_of(domain.columns[index]));
  }
  return relation;
}

BatchRelation batch_relation(const VerifyView& view, const std::vector<std::string>& types) {
  BatchRelation relation{
      .name = view.name, .table = "answer." + quote_duckdb_identifier(view.name), .row = "rowid", .is_view = true};
  for (size_t i = 0; i < view.columns.size(); ++i) relation.columns.push_back({view.columns[i].name, types[i]});
  for (const std::string& key : view.key) {
    for (const OutputColumn& column : view.columns) {
      if (lower_case(column.name) != lower_case(key)) continue;
      relation.key.push_back(column.name);
      relation.key_texts.push_back(
          fmt::format("coalesce({}, json_extract_string({}, {}))",
                      to_source_text(column.type, fmt::format("CAST({} AS {})", quote_duckdb_identifier(column.name),
                                                              compared_type(column.type))),
                      texts_column, member_path(column.name)));
      break;
    }
  }
  return relation;
}

namespace {

// The type that views above see: the table's, where it has none like the SQL's (HUGEINT, TIME, lists …).
std::string table_type(const std::string& type, LogicalType declared) {
  bool held = type == "VARCHAR" || type == "JSON" || type.starts_with("DECIMAL(");
  return held ? type : domain_type(declared);
}

}  // namespace

Result<std::vector<std::string>> answer_types(ScratchDatabase& database, const VerifyView& view,
                                              const PreparedView& prepared, std::vector<std::string>& notes) {
  auto columns = database.rows("SELECT column_type FROM (DESCRIBE SELECT * FROM " + prepared.answer + ")");
  if (!columns.ok()) {
    return Error{ErrorCode::kInvalidInput,
                 "the view's SQL does not run on the source's tables: " + engine_message(columns.error())};
  }
  if (columns->size() != view.columns.size()) {
    return Error{ErrorCode::kInvalidInput, fmt::format("the view's SQL gives {} columns, and the pipeline has {}",
                                                       columns->size(), view.columns.size())};
  }
  std::vector<std::string> types;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    types.push_back((*columns)[i][0].value_or(""));
    // A cast hides it where the one side computes with doubles and the other with decimals.
    bool floating = types[i] == "DOUBLE" || types[i] == "FLOAT";
    if (floating == is_floating(view.columns[i].type)) {
      types[i] = table_type(types[i], view.columns[i].type);
      continue;
    }
    notes.push_back(fmt::format("the SQL gives {} for {}, and the pipeline has {}", types[i], view.columns[i].name,
                                view.columns[i].type.to_string()));
  }
  return types;
}

Status show(ScratchDatabase& database, const BatchRelation& relation) {
  return database.run(fmt::format("CREATE OR REPLACE VIEW main.{} AS SELECT {} FROM {}{}",
                                  quote_duckdb_identifier(relation.name), quoted_names(relation), relation.table,
                                  relation.is_view ? fmt::format(" WHERE NOT {}", depends_column) : ""));
}

Status create_answer(ScratchDatabase& database, const BatchRelation& relation) {
  std::vector<std::string> columns;
  for (const auto& column : relation.columns)
    columns.push_back(quote_duckdb_identifier(column.name) + " " + column.type);
  RETURN_IF_ERROR(database.run("CREATE SCHEMA IF NOT EXISTS answer"));
  return database.run(fmt::format("CREATE OR REPLACE TABLE {} ({}, {} VARCHAR, {} BOOLEAN)", relation.table,
                                  fmt::join(columns, ", "), texts_column, depends_column));
}

Result<Evaluation> evaluate(ScratchDatabase& database, const PreparedView& prepared, const BatchRelation& own,
                            const std::vector<const BatchRelation*>& read,
                            const std::vector<VerifyDeadLetter>& dead_letters) {
  Evaluator evaluator(database, prepared, own, read);
  Status status = evaluator.run(dead_letters);
  for (const BatchRelation* relation : read) RETURN_IF_ERROR(show(database, *relation));
  for (const char* table : {"__low", "__lowd", "__high", "__highd", "__probe", "__candidates"}) {
    RETURN_IF_ERROR(database.run(fmt::format("DROP TABLE IF EXISTS main.{}", table)));
  }
  if (!status.ok()) return status.error();
  return evaluator.take();
}

}  // namespace tributary
