// The process's environment, for ${env:NAME}. What a library would read from it, beside what the pipeline file says, is taken out at
// the start and kept here.
#pragma once

#include <optional>
#include <span>
#include <string>

namespace tributary {

// To be called before there are threads.
void hide_from_libraries(std::span<const std::string> names);

std::optional<std::string> environment_variable(const std::string& name);

}  // namespace tributary
