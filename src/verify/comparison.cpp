#include "verify/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "verify/value_types.h"

namespace tributary {
namespace {

constexpr size_t shown_bytes_max = 120;

// SQL: the columns' texts as a JSON array, which is RowDifference::key.
std::string key_json(const VerifyView& view, const char* table, const std::vector<size_t>& columns) {
  std::vector<std::string> parts;
  for (size_t column : columns) parts.push_back(compared_text(view, column, table));
  return fmt::format("CAST(to_json([{}]) AS VARCHAR)", fmt::join(parts, ", "));
}

class Comparer {
 public:
  Comparer(ScratchDatabase& database, const VerifyView& view, const CompareOptions& options)
      : database_(database), view_(view), options_(options), key_(options.key) {}

  Result<Comparison> run() {
    RETURN_IF_ERROR(find_odd_rows());
    ASSIGN_OR_RETURN(uint64_t odd, database_.number("SELECT count(*) FROM main.__odd"));
    if (odd == 0) return std::move(result_);
    RETURN_IF_ERROR(key_.empty() ? as_multiset() : by_key());
    return std::move(result_);
  }

 private:
  Status find_odd_rows();
  Status by_key();
  Status as_multiset();
  Status gather(FindingKind kind, const std::string& sql);
  std::string cells(const char* left, const char* right) const;
  std::string differs(size_t column) const;
  std::string row_columns() const;

  ScratchDatabase& database_;
  const VerifyView& view_;
  const CompareOptions& options_;
  const std::vector<size_t>& key_;
  Comparison result_;
};

std::string Comparer::row_columns() const {
  std::string out;
  for (size_t i = 0; i < view_.columns.size(); ++i) out += fmt::format("c{}, ", i);
  return out + "texts";
}

// Rows whose hash does not occur equally often on both sides. One that is there falsely (1e-9 apart) is let go below; one
// that is missing falsely would be a collision of 128 bits.
Status Comparer::find_odd_rows() {
  std::string hashes = fmt::format("hash({0}) AS h1, hash('tributary', {0}) AS h2", row_columns());
  RETURN_IF_ERROR(
      database_.run(fmt::format("CREATE OR REPLACE TABLE main.__odd AS SELECT h1, h2 FROM (SELECT {0}, 1 AS n FROM "
                                "main.__s UNION ALL SELECT {0}, -1 AS n FROM "
                                "main.__a) GROUP BY h1, h2 HAVING sum(n) <> 0",
                                hashes)));
  std::vector<size_t> all;
  for (size_t i = 0; i < view_.columns.size(); ++i) all.push_back(i);
  for (const char* side : {"s", "a"}) {
    RETURN_IF_ERROR(
        database_.run(fmt::format("CREATE OR REPLACE TABLE main.__{0}_odd AS SELECT *, {1} AS k, CAST(hash({2}) AS "
                                  "VARCHAR) AS version FROM main.__{0} AS {0} SEMI JOIN "
                                  "main.__odd AS odd ON hash({2}) = odd.h1 AND hash('tributary', {2}) = odd.h2",
                                  side, key_json(view_, side, key_.empty() ? all : key_), row_columns())));
  }
  return {};
}

std::string Comparer::differs(size_t column) const {
  std::string condition = fmt::format("s.c{0} IS DISTINCT FROM a.c{0}", column);
  if (options_.exact_averages.contains(column)) {
    condition += fmt::format(
        " AND nextafter(s.c{0}, CAST('inf' AS DOUBLE)) IS DISTINCT FROM a.c{0} AND "
        "nextafter(s.c{0}, CAST('-inf' AS DOUBLE)) IS DISTINCT FROM a.c{0}",
        column);
  } else if (is_floating(view_.columns[column].type)) {
    condition += fmt::format(
        " AND coalesce(NOT (abs(CAST(s.c{0} AS DOUBLE) - a.c{0}) <= 1e-9 * greatest(abs(s.c{0}), abs(a.c{0}))) OR "
        "isnan(s.c{0}) OR "
        "isnan(a.c{0}) OR isinf(s.c{0}) OR isinf(a.c{0}), true)",
        column);
  }
  return fmt::format(
      "(({0}) OR json_extract_string(s.texts, '/{1}') IS DISTINCT FROM json_extract_string(a.texts, '/{1}'))",
      condition, column);
}

// SQL: JSON of the columns that differ, [{"c":2,"s":"5.00","a":"6.00"}].
std::string Comparer::cells(const char* left, const char* right) const {
  std::vector<std::string> entries;
  for (size_t i = 0; i < view_.columns.size(); ++i) {
    entries.push_back(fmt::format("{{'c': CASE WHEN {} THEN {} END, 's': substr({}, 1, {}), 'a': substr({}, 1, {})}}",
                                  differs(i), i, compared_text(view_, i, left), shown_bytes_max,
                                  compared_text(view_, i, right), shown_bytes_max));
  }
  return fmt::format("CAST(to_json(list_filter([{}], lambda e: e.c IS NOT NULL)) AS VARCHAR)",
                     fmt::join(entries, ", "));
}

// `sql` gives (key, source version, cells or NULL).
Status Comparer::gather(FindingKind kind, const std::string& sql) {
  ASSIGN_OR_RETURN(uint64_t count, database_.number("SELECT count(*) FROM (" + sql + ")"));
  size_t room = options_.differences_max - std::min(options_.differences_max, result_.differences.size());
  if (count > room) result_.more[kind] += count - room;
  ASSIGN_OR_RETURN(auto rows, database_.rows(fmt::format("SELECT * FROM ({}) ORDER BY ALL LIMIT {}", sql, room)));
  for (ScratchRow& row : rows) {
    RowDifference& difference = result_.differences.emplace_back();
    difference.kind = kind;
    difference.key = row[0].value_or("");
    difference.source_version = row[1].value_or("");
    if (!row[2]) continue;
    nlohmann::json cells = nlohmann::json::parse(*row[2], nullptr, false);
    for (const auto& cell : cells) {
      auto text = [&](const char* side) { return cell[side].is_null() ? "NULL" : cell[side].get<std::string>(); };
      difference.cells.push_back({view_.columns.at(cell["c"].get<size_t>()).name, text("s"), text("a")});
    }
  }
  return {};
}

Status Comparer::by_key() {
  RETURN_IF_ERROR(gather(FindingKind::kMissing,
                         "SELECT k, version, NULL::VARCHAR FROM main.__s_odd AS s ANTI JOIN main.__a_odd AS a "
                         "ON s.k = a.k WHERE NOT excepted"));
  ASSIGN_OR_RETURN(result_.excepted_absent,
                   database_.number("SELECT count(*) FROM main.__s_odd AS s ANTI JOIN main.__a_odd AS a ON "
                                    "s.k = a.k WHERE excepted"));
  // A key that only the analytics have among the odd rows may still be there among the even ones: a row too many.
  RETURN_IF_ERROR(
      database_.run("CREATE OR REPLACE TABLE main.__only_a AS SELECT DISTINCT a.k FROM main.__a_odd AS a ANTI JOIN "
                    "main.__s_odd AS s ON s.k = a.k"));
  RETURN_IF_ERROR(database_.run(
      fmt::format("CREATE OR REPLACE TABLE main.__known AS SELECT k, version FROM (SELECT {} AS k, "
                  "CAST(hash({}) AS VARCHAR) AS version FROM "
                  "main.__s AS s WHERE (SELECT count(*) FROM main.__only_a) > 0) SEMI JOIN main.__only_a USING (k)",
                  key_json(view_, "s", key_), row_columns())));
  RETURN_IF_ERROR(gather(FindingKind::kUnexpected,
                         "SELECT k, NULL::VARCHAR, NULL::VARCHAR FROM main.__only_a ANTI JOIN main.__known "
                         "USING (k)"));
  RETURN_IF_ERROR(
      gather(FindingKind::kDuplicate,
             "SELECT k, version, NULL::VARCHAR FROM main.__known UNION ALL SELECT a.k, any_value(s.version), "
             "NULL::VARCHAR FROM main.__a_odd AS a JOIN main.__s_odd AS s ON s.k = a.k GROUP BY a.k HAVING "
             "count(DISTINCT a.rowid) > 1"));
  std::vector<std::string> any;
  for (size_t i = 0; i < view_.columns.size(); ++i) any.push_back(differs(i));
  return gather(
      FindingKind::kDifferent,
      fmt::format(
          "SELECT s.k, any_value(s.version), any_value({}) FROM main.__s_odd AS s JOIN main.__a_odd AS a ON s.k = a.k "
          "WHERE {} GROUP BY s.k",
          cells("s", "a"), fmt::join(any, " OR ")));
}

// Rows that agree in all but their doubles are paired in the order of these; what has no partner, or none within 1e-9, is left.
Status Comparer::as_multiset() {
  std::vector<size_t> exact;
  std::vector<std::string> order;
  std::vector<std::string> any;
  for (size_t i = 0; i < view_.columns.size(); ++i) {
    if (is_floating(view_.columns[i].type)) {
      order.push_back(fmt::format("c{}", i));
      any.push_back(differs(i));
    } else {
      exact.push_back(i);
    }
  }
  std::string ordering = order.empty() ? "k" : fmt::format("{}", fmt::join(order, ", "));
  for (const char* side : {"s", "a"}) {
    std::string group = exact.empty() ? "''" : key_json(view_, side, exact);
    RETURN_IF_ERROR(
        database_.run(fmt::format("CREATE OR REPLACE TABLE main.__{0}_ranked AS SELECT *, row_number() OVER (PARTITION "
                                  "BY g ORDER BY {1}) AS n FROM (SELECT *, "
                                  "concat({2}, texts) AS g FROM main.__{0}_odd AS {0})",
                                  side, ordering, group)));
  }
  std::string agree = "s.g = a.g AND s.n = a.n";
  if (!any.empty()) agree += fmt::format(" AND NOT ({})", fmt::join(any, " OR "));
  // The version is how often the source has the row: where that changes, the finding is another one.
  std::string times = "CAST((SELECT count(*) FROM main.__s_ranked AS t WHERE t.k = {0}.k) AS VARCHAR)";
  std::string missing = fmt::format(
      "SELECT s.k, {}, NULL::VARCHAR FROM main.__s_ranked AS s WHERE NOT excepted AND NOT EXISTS (SELECT "
      "1 FROM main.__a_ranked AS a WHERE {})",
      fmt::format(fmt::runtime(times), "s"), agree);
  RETURN_IF_ERROR(gather(FindingKind::kMissing, missing));
  std::string unexpected = fmt::format(
      "SELECT a.k, {}, NULL::VARCHAR FROM main.__a_ranked AS a WHERE NOT EXISTS (SELECT 1 FROM "
      "main.__s_ranked AS s WHERE {})",
      fmt::format(fmt::runtime(times), "a"), agree);
  return gather(FindingKind::kUnexpected, unexpected);
}

// Rows that expire while both sides are read may be on one of them only: those of the next minutes go, too. What is at the
// very beginning of 1970 never expires (docs/formats/pipeline-file.md).
Status leave_out_expired(ScratchDatabase& database, const VerifyView& view) {
  if (!view.ttl_column) return {};
  constexpr std::chrono::minutes margin{10};
  auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  for (const char* side : {"s", "a"}) {
    RETURN_IF_ERROR(
        database.run(fmt::format("DELETE FROM main.__{0} WHERE CAST(c{1} AS TIMESTAMP) <= "
                                 "make_timestamp(CAST({2}000000 AS BIGINT)) AND CAST(c{1} AS "
                                 "TIMESTAMP) <> TIMESTAMP '1970-01-01'",
                                 side, *view.ttl_column, (now + margin - view.ttl).count())));
  }
  return {};
}

}  // namespace

Result<Comparison> compare(ScratchDatabase& database, const VerifyView& view, const CompareOptions& options) {
  RETURN_IF_ERROR(leave_out_expired(database, view));
  return Comparer(database, view, options).run();
}

Status keep_keys(ScratchDatabase& database, const VerifyView& view, const std::vector<size_t>& key,
                 const std::vector<std::string>& keys) {
  RETURN_IF_ERROR(database.run("CREATE OR REPLACE TABLE main.__keys (k VARCHAR)"));
  TextLoader loader(database, "__keys", 1);
  for (const std::string& text : keys) {
    std::optional<std::string_view> cell = text;
    RETURN_IF_ERROR(loader.add({&cell, 1}));
  }
  RETURN_IF_ERROR(loader.flush());
  for (const char* side : {"s", "a"}) {
    RETURN_IF_ERROR(database.run(fmt::format(
        "CREATE OR REPLACE TABLE main.__{0} AS SELECT {0}.* FROM main.__{0} AS {0} SEMI JOIN main.__keys AS kept ON "
        "kept.k = {1}",
        side, key_json(view, side, key))));
  }
  return {};
}

std::string key_for_people(const VerifyView& view, const std::vector<size_t>& key, const std::string& key_json) {
  nlohmann::json values = nlohmann::json::parse(key_json, nullptr, false);
  if (!values.is_array()) return key_json;
  std::vector<std::string> parts;
  for (size_t i = 0; i < values.size(); ++i) {
    std::string value = values[i].is_string() ? values[i].get<std::string>() : "NULL";
    size_t column = key.empty() ? i : i < key.size() ? key[i] : view.columns.size();
    std::string name = column < view.columns.size() ? view.columns[column].name : "row";
    parts.push_back(fmt::format("{}={}", name, value.substr(0, shown_bytes_max)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace tributary
