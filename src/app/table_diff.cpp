#include "app/table_diff.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "app/store_answer.h"
#include "base/clickhouse_tokens.h"
#include "store/clickhouse/clickhouse_types.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::chrono::hours limit{1};
// Beyond it the keys are sorted on disk.
constexpr std::string_view settings =
    "SETTINGS max_bytes_before_external_group_by = 400000000, max_execution_time = 3600";

struct DiffColumn {
  std::string name;
  std::string type;
};

class Differ {
 public:
  Differ(ClickHouseStore& store, std::string before, std::string after, const ClientId& client)
      : store_(store), before_(std::move(before)), after_(std::move(after)), client_(client) {}

  Result<TableDiff> run(size_t samples) {
    ASSIGN_OR_RETURN(auto of_before, columns_of(before_));
    ASSIGN_OR_RETURN(auto of_after, columns_of(after_));
    choose_columns(of_before, of_after);
    RETURN_IF_ERROR(count());
    RETURN_IF_ERROR(sum(of_before, of_after));
    if (samples > 0) RETURN_IF_ERROR(sample(samples, of_before, of_after));
    return std::move(diff_);
  }

 private:
  Result<json> ask(const std::string& sql) {
    ASSIGN_OR_RETURN(StoreAnswer answer, ask_store(store_, sql, limit));
    return std::move(answer.rows);
  }

  Result<std::vector<DiffColumn>> columns_of(const std::string& table) {
    std::vector<DiffColumn> columns;
    if (table.empty()) return columns;
    ASSIGN_OR_RETURN(json rows, ask(fmt::format("SELECT name, type FROM system.columns WHERE database = "
                                                "currentDatabase() AND table = {} ORDER BY position",
                                                quote_text(table))));
    for (const json& row : rows) {
      auto name = row[0].get<std::string>();
      bool technical =
          name == client_id_column || name == key_column || name == version_column || name == deleted_column;
      if (!technical) columns.push_back({std::move(name), row[1].get<std::string>()});
    }
    if (columns.empty()) {
      return Error{ErrorCode::kUnavailable,
                   fmt::format("the analytics have no table {} yet; try again in a moment", table)};
    }
    return columns;
  }

  void choose_columns(const std::vector<DiffColumn>& of_before, const std::vector<DiffColumn>& of_after) {
    auto has = [](const std::vector<DiffColumn>& columns, const std::string& name) {
      return std::any_of(columns.begin(), columns.end(), [&](const DiffColumn& column) { return column.name == name; });
    };
    for (const DiffColumn& column : of_before) {
      if (has(of_after, column.name)) {
        compared_.push_back(column.name);
      } else if (!after_.empty()) {
        diff_.columns_removed.push_back(column.name);
      }
    }
    for (const DiffColumn& column : of_after) {
      if (!has(of_before, column.name) && !before_.empty()) diff_.columns_added.push_back(column.name);
    }
  }

  // The client's current rows of a side: key and a hash of what is compared, by text, so that a wider type is no difference.
  std::string side(const std::string& table, int number) const {
    std::string hashed;
    for (const std::string& name : compared_)
      hashed +=
          fmt::format("{}ifNull(concat('v', toString({})), 'n')", hashed.empty() ? "" : ", ", quote_identifier(name));
    return fmt::format("SELECT {} AS side, {} AS k, sipHash128({}) AS h FROM {} FINAL WHERE {} = {}", number,
                       key_column, hashed.empty() ? "''" : hashed, quote_identifier(table), client_id_column,
                       quote_text(client_.value));
  }

  // One row a key, with what it has on each side.
  std::string keys() const {
    std::string both;
    if (!before_.empty()) both = side(before_, 0);
    if (!after_.empty()) both += (both.empty() ? "" : " UNION ALL ") + side(after_, 1);
    return fmt::format(
        "SELECT k, countIf(side = 0) > 0 AS b, countIf(side = 1) > 0 AS a, "
        "b AND a AND anyIf(h, side = 0) != anyIf(h, side = 1) AS c FROM ({}) GROUP BY k",
        both);
  }

  Status count() {
    if (before_.empty() && after_.empty()) return {};
    ASSIGN_OR_RETURN(json rows, ask(fmt::format("SELECT toString(countIf(b)), toString(countIf(a)), "
                                                "toString(countIf(a AND NOT b)), toString(countIf(b AND NOT a)), "
                                                "toString(countIf(c)) FROM ({}) {}",
                                                keys(), settings)));
    auto number = [&](size_t i) { return std::stoull(rows[0][i].get<std::string>()); };
    diff_.rows_before = number(0);
    diff_.rows_after = number(1);
    diff_.added = number(2);
    diff_.removed = number(3);
    diff_.changed = number(4);
    return {};
  }

  static bool is_number(std::string type) {
    if (type.starts_with("Nullable(")) type = type.substr(9, type.size() - 10);
    return type.starts_with("Int") || type.starts_with("UInt") || type.starts_with("Decimal") ||
           type.starts_with("Float");
  }

  Result<std::map<std::string, std::string>> sums_of(const std::string& table, const std::vector<std::string>& names) {
    std::map<std::string, std::string> sums;
    if (table.empty() || names.empty()) return sums;
    std::string asked;
    for (const std::string& name : names)
      asked += fmt::format("{}toString(ifNull(sum({}), 0))", asked.empty() ? "" : ", ", quote_identifier(name));
    ASSIGN_OR_RETURN(json rows, ask(fmt::format("SELECT {} FROM {} FINAL WHERE {} = {}", asked, quote_identifier(table),
                                                client_id_column, quote_text(client_.value))));
    for (size_t i = 0; i < names.size(); ++i) sums[names[i]] = rows[0][i].get<std::string>();
    return sums;
  }

  Status sum(const std::vector<DiffColumn>& of_before, const std::vector<DiffColumn>& of_after) {
    std::vector<std::string> names;
    for (const DiffColumn& column : of_before) {
      auto other = std::find_if(of_after.begin(), of_after.end(),
                                [&](const DiffColumn& of) { return of.name == column.name && is_number(of.type); });
      if (is_number(column.type) && other != of_after.end()) names.push_back(column.name);
    }
    ASSIGN_OR_RETURN(auto before, sums_of(before_, names));
    ASSIGN_OR_RETURN(auto after, sums_of(after_, names));
    for (const std::string& name : names) {
      if (before[name] == after[name]) continue;
      // The difference is the store's, whose decimals are exact.
      auto difference = ask(fmt::format("SELECT toString(toDecimal256OrNull({}, 18) - toDecimal256OrNull({}, 18))",
                                        quote_text(after[name]), quote_text(before[name])));
      json delta = difference.ok() ? (*difference)[0][0] : json(nullptr);
      diff_.sums[name] = {{"before", before[name]}, {"after", after[name]}, {"delta", std::move(delta)}};
    }
    return {};
  }

  // Rows of a side by hexadecimal key.
  Result<std::map<std::string, json>> rows_of(const std::string& table, const std::vector<DiffColumn>& columns,
                                              const std::vector<std::string>& keys) {
    std::map<std::string, json> found;
    if (table.empty() || keys.empty()) return found;
    std::string asked;
    for (const DiffColumn& column : columns) {
      if (column.name != unrepresentable_column) asked += ", " + quote_identifier(column.name);
    }
    std::string in;
    for (const std::string& key : keys) in += fmt::format("{}unhex('{}')", in.empty() ? "" : ", ", key);
    ASSIGN_OR_RETURN(json rows, ask(fmt::format("SELECT hex({}){} FROM {} FINAL WHERE {} = {} AND {} IN ({})",
                                                key_column, asked, quote_identifier(table), client_id_column,
                                                quote_text(client_.value), key_column, in)));
    for (const json& row : rows) {
      json& one = found[row[0].get<std::string>()] = json::object();
      size_t at = 1;
      for (const DiffColumn& column : columns) {
        if (column.name != unrepresentable_column) one[column.name] = row[at++];
      }
    }
    return found;
  }

  Status sample(size_t samples, const std::vector<DiffColumn>& of_before, const std::vector<DiffColumn>& of_after) {
    for (const auto& [kind, condition, count] : {std::tuple("added", "a AND NOT b", diff_.added),
                                                 {"removed", "b AND NOT a", diff_.removed},
                                                 {"changed", "c", diff_.changed}}) {
      json& out = diff_.samples[kind] = json::array();
      if (count == 0) continue;
      ASSIGN_OR_RETURN(json rows, ask(fmt::format("SELECT hex(k) FROM ({}) WHERE {} ORDER BY k LIMIT {} {}", keys(),
                                                  condition, samples, settings)));
      std::vector<std::string> wanted;
      for (const json& row : rows) wanted.push_back(row[0].get<std::string>());
      ASSIGN_OR_RETURN(auto before, rows_of(before_, of_before, wanted));
      ASSIGN_OR_RETURN(auto after, rows_of(after_, of_after, wanted));
      for (const std::string& key : wanted) {
        if (kind == std::string_view("changed")) {
          out.push_back({{"before", before[key]}, {"after", after[key]}});
        } else {
          out.push_back(kind == std::string_view("added") ? after[key] : before[key]);
        }
      }
    }
    return {};
  }

  ClickHouseStore& store_;
  std::string before_;
  std::string after_;
  ClientId client_;
  std::vector<std::string> compared_;
  TableDiff diff_;
};

}  // namespace

json TableDiff::to_json() const {
  return {{"rows_before", rows_before},
          {"rows_after", rows_after},
          {"added", added},
          {"removed", removed},
          {"changed", changed},
          {"columns_added", columns_added},
          {"columns_removed", columns_removed},
          {"sums", sums},
          {"samples", samples}};
}

Result<TableDiff> diff_tables(ClickHouseStore& store, const std::string& before, const std::string& after,
                              const ClientId& client, size_t samples) {
  return Differ(store, before, after, client).run(samples);
}

}  // namespace tributary
