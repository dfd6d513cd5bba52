#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tributary {
namespace {

CheckHandler handler = nullptr;

}  // namespace

void set_check_handler(CheckHandler replacement) { handler = replacement; }

void check_failed(const char* file, int line, const char* expression, const std::string& message) {
  if (handler != nullptr) handler(file, line, expression, message);  // may throw
  std::fprintf(stderr, "CHECK failed at %s:%d: %s%s%s\n", file, line, expression, message.empty() ? "" : ": ",
               message.c_str());
  std::abort();
}

}  // namespace tributary
