// What can be said of a view's expressions before types are known: functions, aggregates where none may be, what no view
// has. Only src/sql includes this.
#pragma once

#include "sql/planning_context.h"

namespace tributary {

// Reports all of it. `clause` is where the expression stands ("WHERE"); aggregates may be in SELECT, HAVING and QUALIFY
// alone, windows in SELECT and QUALIFY.
void check_expression(PlanningContext& context, const Expression& expression, std::string_view clause);

bool contains_aggregate(const Expression& expression);
bool contains_window(const Expression& expression);

// "count(*)", "sum()": how a message names a call.
std::string call_name(const Expression& call);

}  // namespace tributary
