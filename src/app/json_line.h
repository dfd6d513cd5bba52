// JSON as this program sends and prints it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace tributary {

// On one line. Bytes that are not UTF-8 (of a command line, of another program's message) become U+FFFD.
inline std::string json_line(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// For a person to read, on many lines.
inline std::string json_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tributary
