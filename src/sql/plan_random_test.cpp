// Random views of what is supported: each is planned without errors, its maps prepare, and batch and plan agree.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "sql/plan_as_sql.h"

namespace tributary {
namespace {

enum class Kind : uint8_t { kNumber, kText, kCondition, kDate };

// Expressions that no row makes fail, over what the FROM in hand has.
class QueryGenerator {
 public:
  explicit QueryGenerator(uint32_t seed) : random_(seed) {}

  std::string query() {
    size_t selects = chance(5) ? 2 + below(2) : 1;
    std::vector<Kind> shape;
    for (size_t i = 0; i < 1 + below(4); ++i) shape.push_back(static_cast<Kind>(below(4)));
    std::string sql;
    for (size_t i = 0; i < selects; ++i) {
      if (i > 0) sql += chance(4) ? " UNION " : " UNION ALL ";
      sql += select(shape);
    }
    return sql;
  }

 private:
  struct Source {
    std::string name;
    std::string alias;
    std::vector<std::string> keys;
    std::vector<std::string> numbers;
    std::vector<std::string> texts;
    std::vector<std::string> conditions;
    std::vector<std::string> dates;
  };

  size_t below(size_t limit) { return random_() % limit; }
  bool chance(size_t of) { return below(of) == 0; }
  template <typename T>
  const T& any(const std::vector<T>& list) {
    return list[below(list.size())];
  }

  Source source() {
    static const std::vector<Source> all = {
        {"users", "", {"id"}, {"id", "\"Total\"", "_rev_"}, {"email", "country", "client_id_"}, {}, {"created_at"}},
        {"orders",
         "",
         {"id"},
         {"id", "user_id", "total", "quantity", "weight", "number", "ratio"},
         {"status"},
         {"paid"},
         {"placed_at", "day"}},
        {"items", "", {"order_id", "line"}, {"order_id", "line", "price", "quantity"}, {"product"}, {}, {}},
        {"sales", "", {"id"}, {"id", "amount"}, {"country"}, {}, {}}};
    Source picked = any(all);
    picked.alias = "t" + std::to_string(from_.size());
    return picked;
  }

  std::string column(Kind kind, size_t begin, size_t end) {
    for (int attempt = 0; attempt < 20; ++attempt) {
      const Source& source = from_[begin + below(end - begin)];
      const std::vector<std::string>& names = kind == Kind::kNumber      ? source.numbers
                                              : kind == Kind::kText      ? source.texts
                                              : kind == Kind::kCondition ? source.conditions
                                                                         : source.dates;
      if (!names.empty()) return source.alias + "." + any(names);
    }
    switch (kind) {
      case Kind::kNumber: return std::to_string(below(5));
      case Kind::kText: return "'de'";
      case Kind::kCondition: return "true";
      default: return "DATE '2024-01-02'";
    }
  }

  // Over the relations [begin, end).
  std::string expression(Kind kind, size_t depth, size_t begin, size_t end) {
    auto part = [&](Kind of) { return expression(of, depth - 1, begin, end); };
    if (depth == 0 || chance(3)) return column(kind, begin, end);
    switch (kind) {
      case Kind::kNumber:
        switch (below(5)) {
          case 0: return "(" + part(Kind::kNumber) + " + " + std::to_string(below(4)) + ")";
          case 1: return "coalesce(" + part(Kind::kNumber) + ", 0)";
          case 2: return "CASE WHEN " + part(Kind::kCondition) + " THEN " + part(Kind::kNumber) + " END";
          case 3: return "length(" + part(Kind::kText) + ")";
          default: return "(" + column(Kind::kNumber, begin, end) + " % 3)";
        }
      case Kind::kText:
        switch (below(4)) {
          case 0: return "upper(" + part(Kind::kText) + ")";
          case 1: return "(" + part(Kind::kText) + " || '!')";
          case 2: return "CAST(" + part(Kind::kDate) + " AS VARCHAR)";
          default: return "coalesce(" + part(Kind::kText) + ", client.plan)";
        }
      case Kind::kCondition:
        switch (below(6)) {
          case 0: return "(" + part(Kind::kNumber) + " > " + std::to_string(below(6)) + ")";
          case 1: return "(" + part(Kind::kText) + " IS NULL)";
          case 2: return "(" + part(Kind::kCondition) + " OR " + part(Kind::kCondition) + ")";
          case 3: return "(NOT " + part(Kind::kCondition) + ")";
          case 4: return "(" + part(Kind::kText) + " = " + part(Kind::kText) + ")";
          default: return "(" + part(Kind::kNumber) + " <= " + part(Kind::kNumber) + ")";
        }
      case Kind::kDate:
        return chance(2) ? "date_trunc('month', " + part(Kind::kDate) + ")" : "CAST(" + part(Kind::kDate) + " AS DATE)";
    }
    return "NULL";
  }

  // What FROM's columns are called without their relations, where one relation alone has the name.
  std::map<std::string, std::string> bare_columns() const {
    std::map<std::string, std::string> bare;  // to the qualified name; "" where several have it
    for (const Source& source : from_) {
      std::set<std::string> own;
      for (const auto* names : {&source.keys, &source.numbers, &source.texts, &source.conditions, &source.dates}) {
        own.insert(names->begin(), names->end());
      }
      for (const std::string& name : own) {
        // Names are told apart without regard to case.
        auto [at, fresh] = bare.emplace(name == "\"Total\"" ? "total" : name, source.alias + "." + name);
        if (!fresh) at->second.clear();
      }
    }
    bare.erase("_rev_");  // a view has it too, and none may give it
    return bare;
  }

  // An alias is at times the name of a column of FROM: of one that is grouped by, or is not.
  std::string alias(size_t number) {
    std::string name = "c" + std::to_string(number);
    if (!chance(3)) return name;
    std::map<std::string, std::string> bare = bare_columns();
    name = std::next(bare.begin(), static_cast<long>(below(bare.size())))->first;
    while (std::find(aliases_.begin(), aliases_.end(), name) != aliases_.end()) name += "_";
    return name;
  }

  std::string bare_column() {
    std::vector<std::string> names;
    for (const auto& [name, column] : bare_columns()) {
      if (!column.empty()) names.push_back(name);
    }
    return names.empty() ? "" : any(names);
  }

  // The name of an item. Where columns go before aliases, one that is a column's is left out, unless `columns` has that.
  std::string bare_alias(const std::vector<std::string>* columns) {
    std::map<std::string, std::string> bare = bare_columns();
    std::vector<std::string> names;
    for (const std::string& name : aliases_) {
      auto column = bare.find(name);
      if (column != bare.end()) {
        if (column->second.empty()) continue;
        if (columns != nullptr && std::find(columns->begin(), columns->end(), column->second) == columns->end())
          continue;
      }
      names.push_back(name);
    }
    return names.empty() ? "" : any(names);
  }

  // A condition of HAVING by names alone.
  std::string by_names(bool all) {
    std::string column = bare_column();
    std::string alias = all ? "" : bare_alias(nullptr);  // with ALL, one that is computed is refused
    std::string aggregate = column.empty() ? ""
                            : chance(2)    ? fmt::format("count(DISTINCT {}) > {}", column, below(4))
                                           : fmt::format("CAST(max({}) AS VARCHAR) > '{}'", column, below(5));
    std::string value = alias.empty() ? "" : fmt::format("coalesce(CAST({} AS VARCHAR), '1') > '{}'", alias, below(3));
    if (aggregate.empty() || value.empty()) return aggregate + value;
    switch (below(3)) {
      case 0: return aggregate;
      case 1: return value;
      default: return aggregate + (chance(2) ? " AND " : " OR ") + value;
    }
  }

  std::vector<std::string> all_columns() const {
    std::vector<std::string> columns;
    for (const auto& [name, column] : bare_columns()) columns.push_back(column);
    return columns;
  }
  std::string over_all(Kind kind, size_t depth) { return expression(kind, depth, 0, from_.size()); }

  std::string from() {
    from_.clear();
    from_.push_back(source());
    std::string sql = from_[0].name + " " + from_[0].alias;
    size_t joins = below(3);
    for (size_t i = 0; i < joins; ++i) {
      size_t right = from_.size();
      from_.push_back(source());
      bool left_join = chance(2);
      auto side = [&](size_t begin, size_t end) {
        return chance(3) ? expression(Kind::kNumber, 1, begin, end) : column(Kind::kNumber, begin, end);
      };
      auto key = [&] { return from_[right].alias + "." + any(from_[right].keys); };
      std::string equality =
          chance(3) ? side(0, right) + " = " + side(right, right + 1) : key() + " = " + side(0, right);
      if (!mentions(equality, 0, right) || !mentions(equality, right, right + 1)) {
        equality = key() + " = " + from_[0].alias + "." + from_[0].keys[0];
      }
      sql +=
          fmt::format("{} JOIN {} {} ON {}", left_join ? " LEFT" : "", from_[right].name, from_[right].alias, equality);
      if (chance(3)) sql += " AND " + expression(Kind::kCondition, 2, right, right + 1);
      if (chance(4)) sql += " AND " + expression(Kind::kCondition, 2, 0, right);
      if (!left_join && chance(4)) sql += " AND " + expression(Kind::kCondition, 2, 0, right + 1);
    }
    return sql;
  }
  bool mentions(const std::string& sql, size_t begin, size_t end) const {
    for (size_t i = begin; i < end; ++i) {
      if (sql.find(from_[i].alias + ".") != std::string::npos) return true;
    }
    return false;
  }

  std::string where() {
    std::string sql;
    for (size_t i = below(4); i > 0; --i) sql += (sql.empty() ? " WHERE " : " AND ") + over_all(Kind::kCondition, 2);
    return sql;
  }

  std::string aggregate(Kind kind) {
    std::string filter = chance(4) ? " FILTER (WHERE " + over_all(Kind::kCondition, 1) + ")" : "";
    std::string value = over_all(kind, 1);
    switch (kind) {
      case Kind::kNumber:
        switch (below(6)) {
          case 0: return "count(*)" + filter;
          case 1: return "sum(" + column(Kind::kNumber, 0, from_.size()) + ")" + filter;
          case 2: return "count(DISTINCT " + over_all(Kind::kText, 1) + ")" + filter;
          case 3: return "(max(" + value + ")" + filter + " + count(" + over_all(Kind::kDate, 1) + "))";
          case 4: return "round(avg(" + column(Kind::kNumber, 0, from_.size()) + ")" + filter + ", 3)";
          default: return "min(" + value + ")" + filter;
        }
      case Kind::kCondition: return (chance(2) ? "bool_and(" : "bool_or(") + value + ")" + filter;
      default: return (chance(2) ? "min(" : "max(") + value + ")" + filter;
    }
  }

  std::string select(const std::vector<Kind>& shape) {
    std::string source = from();
    std::string where_clause = where();
    bool grouped = chance(3);
    std::vector<std::string> groups;
    std::string items;
    aliases_.clear();
    for (size_t i = 0; i < shape.size(); ++i) {
      std::string item;
      if (grouped && chance(2)) {
        item = aggregate(shape[i]);
      } else {
        item = over_all(shape[i], 2);
        groups.push_back(item);
      }
      aliases_.push_back(alias(i));
      items += fmt::format("{}{} AS {}", i == 0 ? "" : ", ", item, aliases_.back());
    }
    std::string tail;
    bool qualify = chance(4) && (!grouped || !groups.empty());
    bool all = chance(2) && !qualify;
    if (grouped && !groups.empty())
      tail += all ? " GROUP BY ALL" : fmt::format(" GROUP BY {}", fmt::join(groups, ", "));
    if (grouped && chance(2)) {
      std::string names = chance(2) ? by_names(all) : "";
      tail += " HAVING " + (names.empty() ? aggregate(Kind::kCondition) : names);
    }
    if (qualify && !groups.empty()) {
      std::vector<std::string> order = groups;
      if (!grouped) {
        for (const Source& one : from_) {
          for (const std::string& key : one.keys) order.push_back(one.alias + "." + key);
        }
      }
      std::string partition = groups[below(groups.size())];
      if (chance(2)) {  // by names
        std::vector<std::string> columns = grouped ? groups : all_columns();
        std::string name = bare_alias(&columns);
        if (!name.empty() && chance(2)) partition = name;
        std::string column = grouped ? bare_column() : "";
        if (!column.empty()) {
          order.insert(order.begin(), "count(DISTINCT " + column + ")");
        } else if (!name.empty()) {
          order.insert(order.begin(), name);
        }
      }
      order[0] += chance(2) ? " DESC" : " NULLS FIRST";
      tail += fmt::format(" QUALIFY row_number() OVER ({}ORDER BY {}) = 1",
                          chance(4) ? "" : "PARTITION BY " + partition + " ", fmt::join(order, ", "));
    }
    return fmt::format("SELECT {}{} FROM {}{}{}", chance(5) ? "DISTINCT " : "", items, source, where_clause, tail);
  }

  std::mt19937 random_;
  std::vector<Source> from_;
  std::vector<std::string> aliases_;  // of the SELECT in hand
};

class PlanRandomTest : public PlanOracleTest {};

TEST_F(PlanRandomTest, BatchAndPlanAgree) {
  for (uint32_t seed = 1; seed <= 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::string sql = QueryGenerator(seed).query();
    same(sql);
    ViewPlan view = plan(sql);
    for (const PlanNode& node : view.nodes) {
      if (node.kind != NodeKind::kMap) continue;
      auto program = engine->prepare(node.map.inputs, node.map.expressions);
      ASSERT_TRUE(program.ok()) << sql << "\n" << program.error().message;
      for (const MapOutput& output : node.map.outputs) {
        if (output.expression) {
          EXPECT_EQ((*program)->types()[*output.expression], output.column.type) << sql;
        } else {
          EXPECT_EQ(node.map.inputs[*output.input].type, output.column.type) << sql;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tributary
