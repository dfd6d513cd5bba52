// Which functions a view's expressions may call: those that give the same answer for the same arguments, today and at a
// replay, and reach nothing outside; and which aggregates (docs/sql.md lists them).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "contracts/view_plan.h"

namespace tributary {

// Empty where a view may call `name` (lower case) with so many arguments; else why not, and what to do.
std::string refuse_function(std::string_view name, size_t arguments);

bool is_aggregate_function(std::string_view name);

// The operator of an aggregate (lower case, aliases among them: mean, min_by); none where a view may not call it.
std::optional<AggregateKind> aggregate_kind(std::string_view name);

// What to write instead of an aggregate without aggregate_kind().
std::string refuse_aggregate(std::string_view name);

// All scalar functions that a view may call, operators among them.
std::span<const std::string_view> allowed_functions();

// Whether the function fails for no argument of text.
bool never_fails_on_text(std::string_view name);

}  // namespace tributary
