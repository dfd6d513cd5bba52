// How names of SQL and of the pipeline's own compare.
#pragma once

#include <string>
#include <string_view>

namespace tributary {

// As SQL compares them: without regard to ASCII case.
bool same_name(std::string_view a, std::string_view b);

std::string lower_name(std::string_view name);

// client_id, and what begins with "_": columns of the pipeline's own.
bool is_reserved_name(std::string_view name);

}  // namespace tributary
