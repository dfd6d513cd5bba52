// From a view's SQL to its plan: what it reads, what it computes, what it keeps (docs/sql.md says what SQL there is). What
// is not supported is refused at its place, with the nearest form that is.
//
//   ViewRequest request{.name = "customers", .sql = "SELECT id, lower(email) AS email FROM users WHERE client.plan = 'gold'",
//                       .relations = {users}, .attributes = {{"plan", {TypeId::kText}}}};
//   auto planned = plan_view(*engine, request);   // ViewPlan, or errors with their places in the SQL
//
// The SQL sees a domain's columns by their source's names, but for those that are called client_id or begin with "_":
// they get a trailing underscore. `client.plan` is the attribute of the row's client.
//
// The ways from SQL to nodes, in their order: view_planner (unions) → select_planner (names, SELECT list, DISTINCT) →
// aggregate_planner, first_row_planner → from_planner (joins, WHERE) → map_builder.
//
// In a map, expressions that may fail are guarded by its filter (CASE WHEN filter THEN expression END), so that a row
// which the filter drops cannot fail. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contracts/view_plan.h"
#include "sql/duckdb_engine.h"

namespace tributary {

struct ViewRequest {
  std::string name;
  std::string_view sql;
  std::vector<Relation>
      relations;  // domains, whose columns are named as in the source, and views; without columns: they
  // are not known yet
  std::vector<InputColumn> attributes;  // without "client."
};

// Where the columns of a relation that the view reads are not known, what can be said without them is checked (syntax,
// functions, names of relations and attributes), and the plan has no nodes.
std::variant<ViewPlan, std::vector<PlanError>> plan_view(DuckDbEngine& engine, const ViewRequest& request);

// Those of `names` that the SQL reads, where it first does; of names that SQL does not tell apart, each. Empty where the
// SQL does not parse.
struct RelationUse {
  std::string name;  // as in `names`
  TextPlace place;
};
std::vector<RelationUse> relations_read(DuckDbEngine& engine, std::string_view sql,
                                        const std::vector<std::string>& names);

// The plan of a domain that is its own view: every column, unchanged.
ViewPlan identity_view(const std::string& name, const Relation& relation);

// The relation's columns as SQL names them: a domain's client_id → client_id_, _rev → _rev_; a view's as they are.
std::vector<std::string> sql_column_names(const Relation& relation);

}  // namespace tributary
