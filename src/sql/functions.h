// Which functions a view's expressions may call: those that give the same answer for the same arguments, today and at a
// replay, and reach nothing outside (docs/sql.md lists them).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tributary {

// Empty where a view may call `name` (lower case) with so many arguments; else why not, and what to do.
std::string refuse_function(std::string_view name, size_t arguments);

// All that a view may call, operators among them.
std::span<const std::string_view> allowed_functions();

// Whether the function fails for no argument of text.
bool never_fails_on_text(std::string_view name);

}  // namespace tributary
