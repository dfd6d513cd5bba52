#include "capture/pace.h"

#include <algorithm>

namespace tributary {
namespace {

constexpr std::chrono::seconds burst{1};
constexpr uint64_t pieces_a_second = 10;

}  // namespace

void Pace::count(uint64_t rows, Clock::time_point now) {
  if (rows_per_second_ == 0) return;
  std::chrono::duration<double> takes(static_cast<double>(rows) / static_cast<double>(rows_per_second_));
  due_ = std::max(due_, now - burst) + std::chrono::duration_cast<Clock::duration>(takes);
}

uint64_t Pace::rows_at_once(uint64_t most) const {
  if (rows_per_second_ == 0) return most;
  return std::clamp<uint64_t>(rows_per_second_ / pieces_a_second, 1, most);
}

}  // namespace tributary
