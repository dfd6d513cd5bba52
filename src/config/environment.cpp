#include "config/environment.h"

#include <cstdlib>
#include <map>

namespace tributary {
namespace {

std::map<std::string, std::string>& hidden() {
  static std::map<std::string, std::string> variables;
  return variables;
}

}  // namespace

void hide_from_libraries(std::span<const std::string> names) {
  for (const std::string& name : names) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) continue;
    hidden()[name] = value;
    ::unsetenv(name.c_str());
  }
}

std::optional<std::string> environment_variable(const std::string& name) {
  if (auto found = hidden().find(name); found != hidden().end()) return found->second;
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace tributary
