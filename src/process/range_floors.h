// RangeFloors: per (client, domain), which key ranges are void through which position. Kept small: a range that another
// one covers with a higher position goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/event_batch.h"

namespace tributary {

class RangeFloors {
 public:
  // False where it changes nothing: an equal or stronger one is known.
  bool add(const RangeFact& fact);

  // The greatest position through which `key` is void; the zero position where no range covers it.
  Position floor_of(std::string_view key) const;
  bool empty() const { return ranges_.empty(); }

  std::string encode() const;
  static Result<RangeFloors> decode(std::string_view bytes);

 private:
  struct Range {
    std::string low;
    std::string high;  // empty: open
    Position floor;  // void through this
  };
  std::vector<Range> ranges_;
};

}  // namespace tributary
