// How fast a client's rows may be read: `limits.rows_per_second` and `limits.snapshot_rows_per_second`. What is read is counted
// afterwards, and the next piece waits until it would have been due; a client that was idle may catch up one second's rows.
//
//   Pace pace(1000);
//   pace.count(3000, now);  // pace.wait_from(now) is 2 s: one second's rows are free
//
// Pure: time comes from outside. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>

namespace tributary {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Pace(uint64_t rows_per_second) : rows_per_second_(rows_per_second) {}  // 0: unlimited

  void count(uint64_t rows, Clock::time_point now);
  // How long nothing more should be read; zero or less: go on.
  Clock::duration wait_from(Clock::time_point now) const { return due_ - now; }

  // As many rows of `most` as should be read in one piece, so that the pauses between pieces stay short.
  uint64_t rows_at_once(uint64_t most) const;

 private:
  uint64_t rows_per_second_;
  Clock::time_point due_{};
};

}  // namespace tributary
