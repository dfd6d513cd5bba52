// UNION ALL. Only src/sql includes this.
#pragma once

#include "sql/select_planner.h"

namespace tributary {

// The rows of all inputs, two or more, cast to the types that DuckDB gives a union of them; names are the first's.
// `offsets` are those of the words UNION between them. nullopt after errors.
std::optional<PlannedRows> unite(PlanningContext& context, const std::vector<PlannedRows>& inputs,
                                 const std::vector<size_t>& offsets);

}  // namespace tributary
