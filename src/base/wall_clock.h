#pragma once

#include <chrono>
#include <cstdint>

namespace tributary {

// UTC, microseconds since 1970.
inline int64_t now_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace tributary
