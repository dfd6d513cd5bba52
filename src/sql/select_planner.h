// One SELECT of a view: names, types, and the nodes that give its rows. Only src/sql includes this.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sql/aggregate_planner.h"
#include "sql/first_row_planner.h"

namespace tributary {

// Rows that the nodes planned so far give.
struct PlannedRows {
  uint32_t node = 0;
  std::vector<std::string> key;       // as ViewPlan's
  bool key_always = true;             // likewise
  std::vector<ExpressionType> types;  // of the node's columns, as DuckDB sees them
  std::vector<std::string> not_keys;  // by column: why its values cannot be told apart; empty where they can
};

// Each row once. An error, at `offset`, where a column's values cannot be told apart.
std::optional<PlannedRows> distinct_rows(PlanningContext& context, PlannedRows rows, size_t offset);

class SelectPlanner {
 public:
  SelectPlanner(PlanningContext& context, const SelectStatement& select)
      : context_(context),
        select_(select),
        errors_before_(context.errors.size()),
        scope_(context, select),
        from_(context, scope_, select) {}

  // nullopt: there are errors, or columns are not known.
  std::optional<PlannedRows> plan();

 private:
  struct Item {
    Expression expression;  // resolved
    std::string name;
    size_t offset;
    bool renamed = false;  // by us, from a name that is the pipeline's own
    bool star = false;
    bool failed = false;
  };

  void refuse_clauses();
  void read_items();
  void add_star(const Expression& star);
  std::string name_of(const Expression& item);
  void read_conditions();
  void type_conditions();
  void read_groups();
  Expression read(const Expression& expression, std::string_view clause, const std::vector<Alias>& aliases);
  std::optional<Expression> group_of_ordinal(const Expression& ordinal);
  Expression read_above(const Expression& expression, std::string_view clause);
  void check_names();
  void read_qualify();
  std::optional<PlannedRows> plan_aggregate();
  std::optional<PlannedRows> plan_rows();
  std::optional<PlannedRows> plan_items(Pipe rows, const std::vector<TypedExpression>& values,
                                        const std::optional<FirstRow>& first);
  std::vector<TypedExpression> type_items(const ColumnTypes& columns);
  std::set<std::string> columns_of_items() const;
  bool clean() const { return context_.errors.size() == errors_before_; }

  PlanningContext& context_;
  const SelectStatement& select_;
  size_t errors_before_;
  Scope scope_;
  FromPlanner from_;
  std::vector<Item> items_;
  std::vector<Alias> aliases_;
  std::vector<Expression> groups_;
  std::set<std::string> group_identities_;
  bool aggregated_ = false;
  std::vector<std::optional<Expression>> on_;  // by join
  std::optional<Expression> where_;
  std::optional<Expression> having_;
  std::optional<Expression> window_;  // of QUALIFY
};

}  // namespace tributary
