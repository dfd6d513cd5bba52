// What views would give on what raw has, beside what is there: `tributary preview`, and `verify --against raw`.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "app/assembly.h"

namespace tributary {

// The answer to "preview" and "compare_with_raw"; nullopt: another request.
//
// preview: {"client", "view", "views": their text (config/views_text.h), "samples"} gives a TableDiff's JSON with "rows", the
// first of what there would be, and "events", how many were read.
// compare_with_raw: {"client", "view"; empty: all of what is live} gives {"views": [TableDiff's JSON with "view", "client"]}.
std::optional<Result<nlohmann::json>> answer_preview_request(const Assembly& assembly, const nlohmann::json& request,
                                                             const std::function<bool()>& wanted);

}  // namespace tributary
