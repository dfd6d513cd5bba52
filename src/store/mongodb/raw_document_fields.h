// What the writer and the reader of raw documents share: how times are held.
#pragma once

#include <cstdint>
#include <limits>

namespace tributary {

constexpr int64_t milliseconds_of_day = 86'400'000;

// Years 1 to 9999: other dates are more than drivers read.
constexpr int64_t date_milliseconds_min = -62'135'596'800'000;
constexpr int64_t date_milliseconds_max = 253'402'300'799'999;

constexpr double plain_nan = std::numeric_limits<double>::quiet_NaN();

constexpr int64_t floor_to_milliseconds(int64_t micros) {
  int64_t milliseconds = micros / 1000;
  return micros % 1000 < 0 ? milliseconds - 1 : milliseconds;
}

}  // namespace tributary
