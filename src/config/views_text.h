// What a pipeline file says of its views as one text, to be kept with a release (runtime/releases.h) and planned from later,
// when the file says something else. Nothing else of the file is in it, so no secret is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/pipeline.h"

namespace tributary {

// JSON: an array of the views in the file's order, empty where each domain is its own view. Equal where the file says the same.
std::string views_text(const std::vector<ViewConfig>& views);

// kCorrupt where it is no such text. The views have no place in a file.
Result<std::vector<ViewConfig>> parse_views_text(std::string_view text);

}  // namespace tributary
