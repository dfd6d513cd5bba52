// GROUP BY and aggregates. Only src/sql includes this.
//
//   SELECT country, round(sum(total) / count(*), 2) AS mean FROM orders GROUP BY country HAVING count(*) > 1
//     map: country, total → aggregate: country, sum#1, count#2 → map [count#2 > 1]: country, round(sum#1 / count#2, 2)
//
// What stands above the aggregate is written over its columns: above() turns what the view's SQL says into that.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sql/from_planner.h"

namespace tributary {

class AggregatePlanner {
 public:
  // `global`: there is no GROUP BY.
  AggregatePlanner(PlanningContext& context, const Scope& scope, bool global)
      : context_(context), scope_(scope), global_(global) {}

  // Groups by a resolved expression, too.
  void add_group(const Expression& group);
  bool is_group(const Expression& resolved) const {
    return groups_by_identity_.contains(expression_identity(resolved));
  }

  // The expression over the aggregate's columns; its aggregates become calls. Errors are the context's.
  Expression above(const Expression& resolved);

  // The types that DuckDB gives the aggregate's columns, where they are not those that the columns have: "HUGEINT".
  std::map<std::string, std::string> natives() const;

  // The aggregate over FROM's rows, after all groups and expressions were added without errors.
  Pipe build(FromPlanner& from);

 private:
  struct Column {  // of the aggregate
    std::string name;
    std::string native;  // its type in expressions, where that is not its own
  };
  struct Group {
    TypedExpression value;
    Column column;
    bool implicit = false;  // an attribute that is one value a client, whether it is grouped by or not
  };
  struct Call {
    AggregateKind kind;
    std::optional<TypedExpression> argument;
    std::optional<TypedExpression> order;
    std::optional<TypedExpression> filter;
    LogicalType type;
    Column column;
  };

  Expression reference(const Column& column, size_t offset) const;
  std::optional<Expression> replace(const Expression& part);
  const Group* find_or_add_group(const Expression& group, bool implicit);
  std::optional<size_t> find_or_add_call(const Expression& call);
  std::optional<Call> read_call(const Expression& call);
  bool check_types(const Expression& expression, Call& call);
  uint32_t add_input(MapBuilder& map, const TypedExpression& value, const std::optional<TypedExpression>& filter);
  std::vector<Pipe::Key> keys() const;

  PlanningContext& context_;
  const Scope& scope_;
  bool global_;
  std::vector<Group> groups_;
  std::vector<Call> calls_;
  std::map<std::string, size_t> groups_by_identity_;
  std::set<std::string> no_groups_;  // identities of what is grouped by and cannot be
  std::map<std::string, size_t> calls_by_identity_;
  std::map<std::string, uint32_t> inputs_;  // of the aggregate: what is computed for it once
};

// Why a value cannot be what rows are grouped, joined or told apart by; empty where it can.
std::string refuse_key(const TypedExpression& value);
// … or ordered by, as DuckDB orders it.
std::string refuse_order(const TypedExpression& value);

}  // namespace tributary
