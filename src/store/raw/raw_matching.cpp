#include "store/raw/raw_matching.h"

#include "model/gather.h"

namespace tributary {
namespace {

std::vector<uint32_t> matching_rows(const EventBatch& events, const RawQuery& query) {
  std::vector<uint32_t> rows;
  std::string key;
  for (uint32_t row = 0; row < events.rows(); ++row) {
    if (query.from_micros && events.commit_micros[row] < *query.from_micros) continue;
    if (query.to_micros && events.commit_micros[row] >= *query.to_micros) continue;
    if (query.after && events.positions[row] <= *query.after) continue;
    if (query.up_to && events.positions[row] > *query.up_to) continue;
    if (!query.keys.empty()) {
      key.clear();
      events.append_row_key(key, row);
      if (!query.keys.contains(key)) continue;
    }
    rows.push_back(row);
  }
  return rows;
}

std::vector<RangeFact> matching_ranges(const EventBatch& events, const RawQuery& query) {
  std::vector<RangeFact> ranges;
  for (const RangeFact& range : events.ranges) {
    if (query.from_micros && range.commit_micros < *query.from_micros) continue;
    if (query.to_micros && range.commit_micros >= *query.to_micros) continue;
    if (query.after && range.position <= *query.after) continue;
    if (query.up_to && range.position > *query.up_to) continue;
    if (!query.keys.empty()) {
      auto first = query.keys.lower_bound(range.low);
      if (first == query.keys.end() || !range.covers(*first)) continue;
    }
    ranges.push_back(range);
  }
  return ranges;
}

}  // namespace

void keep_matching(EventBatch& events, const RawQuery& query) {
  std::vector<uint32_t> rows = matching_rows(events, query);
  std::vector<RangeFact> ranges = matching_ranges(events, query);
  if (rows.size() < events.rows()) events = gather(events, rows);
  events.ranges = std::move(ranges);
}

}  // namespace tributary
