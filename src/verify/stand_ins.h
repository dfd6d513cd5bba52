// Values that stand for what a column's type cannot hold: for NaN in a DECIMAL(12,2) a number near the type's least, and
// another one near its greatest, neither of which occurs in the tables. SQL is computed once with the low ones and once with
// the high ones (view_evaluation.h).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "verify/scratch_database.h"

namespace tributary {

class StandIns {
 public:
  explicit StandIns(ScratchDatabase& database) : database_(database) {}

  // Looks for such values in the columns of a table that are in `used` (lower case; nullopt: all). `columns` have a name and
  // DuckDB's type.
  template <typename Columns>
  Status add(const std::string& relation, const std::string& table, const Columns& columns,
             const std::optional<std::set<std::string>>& used) {
    for (const auto& column : columns)
      RETURN_IF_ERROR(add_column({relation, table, column.name, column.type, {}}, used));
    return {};
  }
  // After all add().
  Status choose();

  bool empty() const { return chosen_.empty(); }
  // SQL: the column with its stand-ins; empty where it needs none.
  std::string value(const std::string& relation, const std::string& column, bool high) const;
  // SQL: the text for which `value`, of DuckDB's type `type`, stands, or NULL; empty where there is none for the type.
  std::string text(const std::string& type, const std::string& value, bool high) const;
  // SQL: whether a row has such a value in a used column; empty where none has.
  std::string any_text(const std::string& relation) const;

 private:
  struct Place {
    std::string relation;
    std::string table;
    std::string column;
    std::string type;
    std::vector<std::string> texts;
  };
  struct Pair {
    std::string low, high;  // SQL
  };

  Status add_column(Place place, const std::optional<std::set<std::string>>& used);
  Result<bool> occurs(const std::string& type, const Pair& pair);

  ScratchDatabase& database_;
  std::vector<Place> places_;
  std::map<std::string, std::map<std::string, Pair>> chosen_;  // by type and text
};

}  // namespace tributary
