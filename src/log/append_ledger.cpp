#include "log/append_ledger.h"

#include <algorithm>

namespace tributary {
namespace {

void count(ClientLag& lag, uint64_t events, uint64_t bytes, int64_t micros) {
  lag.events += events;
  lag.bytes += bytes;
  if (micros != 0 && (lag.oldest_micros == 0 || micros < lag.oldest_micros)) lag.oldest_micros = micros;
}

}  // namespace

void AppendLedger::add(const Entry& entry) {
  std::lock_guard lock(mutex_);
  std::deque<Kept>& kept = kept_[entry.at][entry.client];
  if (kept.size() == entries_max) {
    // The smallest two neighbours, so that none grows to be most of the backlog and is never left behind.
    size_t smallest = 0;
    auto pair_events = [&](size_t i) { return kept[i].events + kept[i + 1].events; };
    for (size_t i = 1; i + 1 < kept.size(); ++i) {
      if (pair_events(i) < pair_events(smallest)) smallest = i;
    }
    const Kept& older = kept[smallest];
    Kept& newer = kept[smallest + 1];
    newer = {newer.next, older.offsets + newer.offsets, older.events + newer.events, older.bytes + newer.bytes,
             older.micros};
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(smallest));
  }
  kept.push_back({entry.next, entry.offsets, entry.events, entry.bytes, entry.micros});
}

LogLag AppendLedger::lag(const std::map<TopicPartition, Offset>& ends, const std::map<TopicPartition, Offset>& from,
                         const std::vector<ClientId>& clients,
                         const std::function<bool(const ClientId&, const TopicPartition&)>& may_hold) {
  LogLag lag;
  std::lock_guard lock(mutex_);
  for (const auto& [at, end] : ends) {
    Offset& begin = read_[at];
    if (auto read = from.find(at); read != from.end()) begin = std::max(begin, read->second);
    auto partition = kept_.find(at);
    if (end <= begin) {
      if (partition != kept_.end()) kept_.erase(partition);
      continue;
    }
    PartitionLag& whole = lag.partitions[at];
    whole.end = end;
    uint64_t offsets = end.value - begin.value;
    uint64_t known = 0;  // offsets of them
    if (partition != kept_.end()) {
      for (auto of = partition->second.begin(); of != partition->second.end();) {
        std::deque<Kept>& kept = of->second;
        while (!kept.empty() && kept.front().next <= begin) kept.pop_front();
        for (const Kept& entry : kept) {
          known += entry.offsets;
          whole.events += entry.events;
          whole.bytes += entry.bytes;
          count(lag.clients[of->first], entry.events, entry.bytes, entry.micros);
        }
        if (!kept.empty() && (whole.oldest_micros == 0 || kept.front().micros < whole.oldest_micros)) {
          whole.oldest_micros = kept.front().micros;
        }
        of = kept.empty() ? partition->second.erase(of) : std::next(of);
      }
    }
    if (known >= offsets) {  // the first entry may be read in part
      if (known > offsets) whole.events = std::max<uint64_t>(1, whole.events * offsets / known);
      continue;
    }
    uint64_t unknown = offsets - known;
    whole.events += unknown;
    for (const ClientId& client : clients) {
      if (!may_hold(client, at)) continue;
      ClientLag& own = lag.clients[client];
      own.events += unknown;
      own.exact = false;
    }
  }
  return lag;
}

}  // namespace tributary
