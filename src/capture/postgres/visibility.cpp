#include "capture/postgres/visibility.h"

#include <algorithm>
#include <charconv>

namespace tributary {

std::optional<PgSnapshot> PgSnapshot::parse(std::string_view text) {
  PgSnapshot snapshot;
  const char* next = text.data();
  const char* end = next + text.size();
  auto number = [&](uint64_t& value) {
    auto [stop, error] = std::from_chars(next, end, value);
    next = stop;
    return error == std::errc{};
  };
  auto colon = [&] { return next != end && *next++ == ':'; };
  if (!number(snapshot.xmin) || !colon() || !number(snapshot.xmax) || !colon()) return std::nullopt;
  while (next != end) {
    uint64_t id = 0;
    if (!number(id)) return std::nullopt;
    snapshot.running.push_back(id);
    if (next != end && *next++ != ',') return std::nullopt;
  }
  return snapshot;
}

bool PgSnapshot::sees(uint32_t transaction) const {
  // Ids in use lie within 2^31 of each other: the full id nearest to xmax is meant.
  auto distance = static_cast<int32_t>(transaction - static_cast<uint32_t>(xmax));
  uint64_t id = xmax + static_cast<uint64_t>(static_cast<int64_t>(distance));
  if (id < xmin) return true;
  if (id >= xmax) return false;
  return !std::binary_search(running.begin(), running.end(), id);
}

void Visibility::begin_barrier() {
  remembers_ = true;
  needs_barrier_ = false;
}

void Visibility::delivered(uint32_t transaction, uint64_t commit_lsn) {
  if (!remembers_) return;
  recent_.push_back({transaction, commit_lsn});
  if (recent_.size() > remembered_max) {
    recent_.clear();
    remembers_ = false;
    needs_barrier_ = true;
    ++times_forgotten_;
  }
}

uint64_t Visibility::read_lsn(uint64_t delivered_lsn, const PgSnapshot& snapshot) {
  // What this snapshot sees every later one sees too: such entries at the front are done with.
  while (!recent_.empty() && snapshot.sees(recent_.front().transaction)) recent_.pop_front();
  uint64_t lsn = delivered_lsn;
  for (const Delivery& delivery : recent_) {
    if (delivery.commit_lsn < lsn && !snapshot.sees(delivery.transaction)) lsn = delivery.commit_lsn;
  }
  return lsn;
}

}  // namespace tributary
