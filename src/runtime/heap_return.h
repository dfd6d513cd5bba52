// Gives memory that was freed back to the operating system: what a start, a new plan or a burst took, the allocator keeps
// in pieces between what lives on.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <chrono>

namespace tributary {

// For a loop of work: told of each turn, it acts when nothing was done for a while, and now and then where there is always
// something.
class HeapReturn {
 public:
  using Clock = std::chrono::steady_clock;

  // True where memory was given back. It costs some milliseconds for each 100 MiB.
  bool turn(bool worked, Clock::time_point now = Clock::now()) {
    if (worked) {
      if (!used_) due_ = now + busy_interval;
      used_ = true;
      quiet_from_ = now + quiet;
    }
    if (!used_ || now < std::min(due_, quiet_from_)) return false;
    used_ = false;
    ::malloc_trim(0);
    return true;
  }

 private:
  static constexpr std::chrono::seconds quiet{2};
  static constexpr std::chrono::seconds busy_interval{60};

  bool used_ = false;  // since memory was given back
  Clock::time_point quiet_from_;
  Clock::time_point due_;
};

}  // namespace tributary
