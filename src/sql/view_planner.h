// From a view's SQL to its plan: what it reads, what it computes, what it is made of. This version's views are functions
// of one row: SELECT expressions FROM domain [WHERE condition]. What comes later is refused at its place, by name.
//
//   ViewRequest request{.name = "customers", .sql = "SELECT id, lower(email) AS email FROM users WHERE client.plan = 'gold'",
//                       .relations = {users}, .attributes = {{"plan", {TypeId::kText}}}};
//   auto planned = plan_view(*engine, request);   // ViewPlan, or errors with their places in the SQL
//
// The SQL sees a relation's columns by their source's names, but for those that are called client_id or begin with "_":
// they get a trailing underscore. `client.plan` is the attribute of the row's client.
//
// In the plan, expressions that may fail are guarded by the filter (CASE WHEN filter THEN expression END), so that a row
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
  std::vector<Relation> relations;  // domains, whose columns are named as in the source; none: not known yet
  std::vector<InputColumn> attributes;  // without "client."
  std::vector<std::string> other_views;  // only to say that reading a view is not built
};

// Where the columns of the view's own domain are not known, what can be said without them is checked (syntax, functions, names
// of relations and attributes), and the plan names the relation and has no outputs.
std::variant<ViewPlan, std::vector<PlanError>> plan_view(DuckDbEngine& engine, const ViewRequest& request);

// The plan of a domain that is its own view: every column, unchanged.
ViewPlan identity_view(const std::string& name, const Relation& relation);

// The relation's columns as SQL names them: client_id → client_id_, _rev → _rev_.
std::vector<std::string> sql_column_names(const Relation& relation);

}  // namespace tributary
