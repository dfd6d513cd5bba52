// QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1. Only src/sql includes this.
#pragma once

#include <set>

#include "sql/map_builder.h"

namespace tributary {

// The window of such a condition; null after an error, which shows the form.
const Expression* first_row_window(PlanningContext& context, const Expression& qualify);

// The window's parts, typed over `columns`. nullopt after errors.
struct FirstRow {
  std::vector<TypedExpression> partition;
  struct Order {
    TypedExpression value;
    bool descending;
    bool nulls_first;
  };
  std::vector<Order> order;
};
std::optional<FirstRow> type_first_row(PlanningContext& context, const ColumnTypes& columns, const Expression& window);

// The first row of each partition of `rows`: its columns of `used`.
Pipe plan_first_row(PlanningContext& context, const Pipe& rows, const FirstRow& first,
                    const std::set<std::string>& used);

}  // namespace tributary
