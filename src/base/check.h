// CHECK: a bug stops the program, with the place and what was expected.
//
//   CHECK(offset <= end);
//   CHECK(offset <= end, "partition {} read past its end", partition);
//
// On by default in every build. Inside a host that must not die (a JVM), set_check_handler() installs a function
// that throws instead.
#pragma once

#include <fmt/format.h>

#include <string>

namespace tributary {

using CheckHandler = void (*)(const char* file, int line, const char* expression, const std::string& message);

// Replaces what a failed CHECK does (default: print to stderr and abort). Not thread-safe: call at start.
void set_check_handler(CheckHandler handler);

[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& message);

inline std::string check_message() { return {}; }
template <typename... Args>
std::string check_message(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}

}  // namespace tributary

#define CHECK(condition, ...)                                                                             \
  do {                                                                                                    \
    if (!(condition)) [[unlikely]]                                                                        \
      ::tributary::check_failed(__FILE__, __LINE__, #condition, ::tributary::check_message(__VA_ARGS__)); \
  } while (false)
