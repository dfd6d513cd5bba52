// A TableDiff (table_diff.h), as JSON, in lines for people: rows before and after, columns, sums, sample rows.
#pragma once

#include <nlohmann/json.hpp>

namespace tributary {

// `entry` has "client" and "view" beside. `before` and `after` say what the two sides are: "rows now", "by the file".
void print_table_diff(const nlohmann::json& entry, const char* before, const char* after);

}  // namespace tributary
