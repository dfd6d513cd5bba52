#include "process/range_floors.h"

#include <algorithm>

#include "base/bytes.h"
#include "process/row_state.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;

bool covers(std::string_view low, std::string_view high, std::string_view other_low, std::string_view other_high) {
  bool from = low <= other_low;
  bool to = high.empty() || (!other_high.empty() && other_high <= high);
  return from && to;
}

}  // namespace

bool RangeFloors::add(const RangeFact& fact) {
  Position floor = predecessor(fact.position);
  for (const Range& range : ranges_) {
    if (range.floor >= floor && covers(range.low, range.high, fact.low, fact.high)) return false;
  }
  std::erase_if(ranges_, [&](const Range& range) {
    return range.floor <= floor && covers(fact.low, fact.high, range.low, range.high);
  });
  ranges_.push_back({fact.low, fact.high, floor});
  return true;
}

Position RangeFloors::floor_of(std::string_view key) const {
  Position floor;
  for (const Range& range : ranges_) {
    if (key >= range.low && (range.high.empty() || key < range.high)) floor = std::max(floor, range.floor);
  }
  return floor;
}

std::string RangeFloors::encode() const {
  std::string out;
  put_u8(out, format_version);
  put_varint(out, ranges_.size());
  for (const Range& range : ranges_) {
    put_string(out, range.low);
    put_string(out, range.high);
    range.floor.append_to(out);
  }
  return out;
}

Result<RangeFloors> RangeFloors::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "stored range floors do not decode"};
  if (reader.u8() != format_version) return corrupt;
  RangeFloors floors;
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    Range range{std::string(reader.string()), std::string(reader.string()), {}};
    auto floor = Position::decode(reader.bytes(Position::encoded_bytes));
    if (!floor) return corrupt;
    range.floor = *floor;
    floors.ranges_.push_back(std::move(range));
  }
  if (!reader.ok() || !reader.at_end()) return corrupt;
  return floors;
}

}  // namespace tributary
