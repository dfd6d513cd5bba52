#include "sim_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "process/memory_tables.h"
#include "sim_text.h"
#include "sim_views.h"
#include "sql/type_names.h"

namespace tributary::simulation {
namespace {

using TextRow = std::vector<std::string>;

constexpr double relative_tolerance = 1e-9;
constexpr double absolute_tolerance = 1e-9;  // of sums of numbers below 200

// `sql` with the values of attributes in the place of client.NAME.
std::string with_attributes(std::string sql, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) {
    std::string wanted = "client." + name;
    std::string with = fmt::format("CAST({} AS VARCHAR)", value ? quote_duckdb_text(*value) : "NULL");
    for (size_t at = sql.find(wanted); at != std::string::npos; at = sql.find(wanted, at + with.size())) {
      sql.replace(at, wanted.size(), with);
    }
  }
  return sql;
}

double number(const std::string& text) { return std::strtod(text.c_str(), nullptr); }

bool close(const std::string& a, const std::string& b) {
  if (a == b) return true;
  double x = number(a);
  double y = number(b);
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  if (std::isinf(x) || std::isinf(y)) return x == y;
  return std::fabs(x - y) <= absolute_tolerance + relative_tolerance * std::max(std::fabs(x), std::fabs(y));
}

// NaN is the greatest.
bool less(const std::string& a, const std::string& b) {
  double x = number(a);
  double y = number(b);
  return std::isnan(y) ? !std::isnan(x) : x < y;
}

class RowOrder {
 public:
  explicit RowOrder(std::span<const OutputColumn> columns) {
    for (size_t i = 0; i < columns.size(); ++i) {
      (columns[i].type.id == TypeId::kFloat64 ? doubles_ : others_).push_back(i);
    }
  }

  bool operator()(const TextRow& a, const TextRow& b) const {
    for (size_t i : others_) {
      if (a[i] != b[i]) return a[i] < b[i];
    }
    for (size_t i : doubles_) {
      bool a_null = a[i] == null_text;
      bool b_null = b[i] == null_text;
      if (a_null != b_null) return a_null;
      if (!a_null && !close(a[i], b[i])) return less(a[i], b[i]);
    }
    return false;
  }

 private:
  std::vector<size_t> others_;
  std::vector<size_t> doubles_;
};

std::string lines(const std::vector<TextRow>& rows) {
  std::string out;
  for (const TextRow& row : rows) {
    out += "    ";
    for (const std::string& cell : row) out += (cell == null_text ? "NULL" : cell) + " | ";
    out += "\n";
  }
  return out;
}

std::string table_sql(const DomainShape& shape) {
  std::string columns;
  for (const ColumnSchema& column : shape.columns) {
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", column.name, duckdb_type_text(column.type));
  }
  return fmt::format("CREATE TABLE {}({})", shape.name, columns);
}

}  // namespace

std::string Judge::fill(uint32_t client, const Attributes& attributes, std::span<const ViewText> views) {
  // DuckDB's optimizer fails on some of these (1.5.6: "Failed to bind column reference" of a LEFT JOIN whose right side it
  // finds empty), and a judge is better without.
  std::vector<std::string> statements{"PRAGMA disable_optimizer", "DROP SCHEMA IF EXISTS s CASCADE", "CREATE SCHEMA s",
                                      "USE s"};
  for (uint32_t i = 0; i < sim_.domains.size(); ++i) {
    statements.push_back(table_sql(sim_.domains[i]));
    std::string rows;
    for (const auto& [key, row] : world_.table(client, i)) {
      std::string cells;
      std::vector<Value> values = world_.cells(i, key, row);
      for (size_t column = 0; column < values.size(); ++column) {
        if (values[column]) {
          auto other = stand_in(sim_.domains[i].columns[column].type, *values[column]);
          values[column] = quote_duckdb_text(other ? *other : *values[column]);
        }
        cells += (cells.empty() ? "" : ", ") + values[column].value_or("NULL");
      }
      rows += fmt::format("{}({})", rows.empty() ? "" : ", ", cells);
    }
    if (!rows.empty()) statements.push_back(fmt::format("INSERT INTO {} VALUES {}", sim_.domains[i].name, rows));
  }
  for (const ViewText& view : views) {
    statements.push_back(fmt::format("CREATE TABLE {} AS {}", view.name, with_attributes(view.batch, attributes)));
  }
  for (const std::string& statement : statements) {
    Status done = batch_.run(statement);
    if (!done.ok()) return fmt::format("TheBatchRuns {}: {}", statement, done.error().message);
  }
  return "";
}

std::string Judge::compare(const std::string& view, std::span<const OutputColumn> columns, std::vector<TextRow> rows) {
  std::string select;
  for (const OutputColumn& column : columns)
    select += fmt::format("{}CAST(\"{}\" AS VARCHAR)", select.empty() ? "" : ", ", column.name);
  auto answer = batch_.rows(fmt::format("SELECT {} FROM {}", select, view));
  if (!answer.ok()) return "the batch: " + answer.error().message;
  constexpr std::string_view held = "\1TEXT ";
  for (TextRow& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (!row[i].starts_with(held)) continue;
      auto other = stand_in(columns[i].type, row[i].substr(held.size()));
      if (other) row[i] = *other;
    }
  }
  std::vector<TextRow> wanted;
  for (const ScratchRow& row : *answer) {
    TextRow& cells = wanted.emplace_back();
    for (const auto& cell : row) cells.push_back(cell.value_or(null_text));
  }
  RowOrder order(columns);
  std::sort(wanted.begin(), wanted.end(), order);
  std::sort(rows.begin(), rows.end(), order);
  bool same = std::equal(wanted.begin(), wanted.end(), rows.begin(), rows.end(),
                         [&](const TextRow& a, const TextRow& b) { return !order(a, b) && !order(b, a); });
  return same ? "" : fmt::format("  batch:\n{}  incremental:\n{}", lines(wanted), lines(rows));
}

Result<std::optional<uint64_t>> Judge::failing(const ViewText& view, const Attributes& attributes) {
  if (view.failing == unknown_failing) return std::optional<uint64_t>();
  if (view.failing.empty()) return std::optional<uint64_t>(0);
  ASSIGN_OR_RETURN(uint64_t number, batch_.number(with_attributes(view.failing, attributes)));
  return std::optional(number);
}

}  // namespace tributary::simulation
