// The part of RoundRunner that feeds generations from raw: which is next, a piece of it, and how far it is.
#include "runtime/round_feeding.h"

#include <algorithm>

#include "model/gather.h"
#include "runtime/round_runner.h"

namespace tributary {
namespace {

// While events wait in the log, a release is fed in every so many rounds only.
constexpr size_t rounds_between_feeds = 4;

// Of a release that keeps to a rate: pieces so small that it is not fed in bursts of many seconds.
constexpr size_t paced_bytes_of_event = 20;

}  // namespace

const EventBatch* within(const EventBatch& batch, const FeedScope& scope, std::deque<EventBatch>& parts) {
  if (!scope.takes(batch.client)) return nullptr;
  if (!scope.has_times()) return &batch;
  auto taken = [&](int64_t micros) {
    return (!scope.from_micros || micros >= *scope.from_micros) && (!scope.to_micros || micros < *scope.to_micros);
  };
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < batch.rows(); ++row) {
    if (taken(batch.commit_micros[row])) rows.push_back(row);
  }
  EventBatch part = gather(batch, rows);
  for (const RangeFact& range : batch.ranges) {
    if (taken(range.commit_micros)) part.ranges.push_back(range);
  }
  if (rows.empty() && part.ranges.empty()) return nullptr;
  return &parts.emplace_back(std::move(part));
}

std::string RoundRunner::feed_problem() const {
  std::lock_guard lock(mutex_);
  return feed_problem_;
}

// nullopt: it is still read, or cannot be read now.
Result<std::optional<RawPiece>> RoundRunner::next_piece(const Refeed& refeed, size_t bytes_max) {
  if (!ports_.raw_apart) {
    ASSIGN_OR_RETURN(RawPiece piece, ports_.raw.scan(refeed.client, refeed.domain, refeed.cursor, bytes_max));
    return std::optional(std::move(piece));
  }
  std::optional<Result<RawPiece>> read = feed_.scan(refeed, bytes_max);
  if (!read) return std::optional<RawPiece>();
  std::lock_guard lock(mutex_);
  feed_problem_ = read->ok() ? "" : read->error().to_string();
  if (!read->ok()) return std::optional<RawPiece>();
  return std::optional(std::move(**read));
}

// What is live goes first. Other releases give way to events that wait, and keep to their rate.
const Refeed* RoundRunner::next_refeed() {
  const Refeed* next = nullptr;
  raw_is_behind_ = !builds_.refeeds().empty() && feed_.rests();
  if (raw_is_behind_) return nullptr;
  if (builds_.refeeds().empty()) {
    std::lock_guard lock(mutex_);
    feed_problem_.clear();
  }
  for (const Refeed& refeed : builds_.refeeds()) {
    bool live = releases_.used_by_live(refeed.generation);
    if (!live && (next != nullptr || !may_be_fed(refeed.generation))) continue;
    if (!raw_can_feed(refeed)) {
      raw_is_behind_ = true;
      continue;
    }
    if (live) return &refeed;
    next = &refeed;
  }
  return next;
}

// A generation sees what comes from now on by itself; what was processed before has to be in raw when it is fed from there.
bool RoundRunner::raw_can_feed(const Refeed& refeed) {
  if (!ports_.raw_has || !refeed.cursor.empty()) return true;
  auto [need, is_new] = feeds_need_.try_emplace({refeed.generation, refeed.client, refeed.domain}, read_);
  return ports_.raw_has(need->second);
}

bool RoundRunner::may_be_fed(uint32_t generation) const {
  if (behind_ && rounds_not_fed_ < rounds_between_feeds) return false;
  auto at = next_feed_.find(generation);
  return at == next_feed_.end() || at->second <= std::chrono::steady_clock::now();
}

// A piece of raw for a generation that has not seen it.
Result<RoundOutcome> RoundRunner::refeed_round(const Refeed& next) {
  const Refeed refeed = next;
  auto generation = std::find_if(generations_.begin(), generations_.end(),
                                 [&](const Generation& of) { return of.number == refeed.generation; });
  const Release* release = releases_.only_for(refeed.generation);
  uint32_t rate = release == nullptr ? 0 : release->events_per_second_max;
  Pass pass(ports_.storage, limits_.workers, checkpoint_ + 1);
  RawPiece piece{.batches = {}, .cursor = refeed.cursor, .end = true};
  uint64_t events = 0;
  auto aside = set_aside_.find({refeed.client, refeed.domain});
  if (generation != generations_.end() && (aside == set_aside_.end() || aside->second > 0)) {
    size_t bytes_max = limits_.refeed_bytes_max;
    if (rate > 0) bytes_max = std::min(bytes_max, size_t{rate} * paced_bytes_of_event);
    ASSIGN_OR_RETURN(std::optional<RawPiece> read, next_piece(refeed, bytes_max));
    if (!read) {
      RoundOutcome none;
      none.more = feed_.is_reading();
      return none;
    }
    piece = std::move(*read);
    GraphInput input = input_of(*generation);
    input.facts_again = true;  // where what failed is retried, all was merged long ago
    std::deque<EventBatch> parts;
    for (const EventBatch& batch : piece.batches) {
      events += batch.rows() + batch.ranges.size();
      if (stands_still(batch)) continue;
      if (const EventBatch* taken = within(batch, releases_.scope_of(refeed.generation), parts))
        input.batches.push_back(taken);
    }
    RETURN_IF_ERROR(run_graph(*generation, std::move(input), pass));
  }
  Builds before = builds_;
  auto& refeeds = builds_.refeeds();
  auto at = std::find(refeeds.begin(), refeeds.end(), refeed);
  CHECK(at != refeeds.end());
  if (piece.end) {
    refeeds.erase(at);
  } else {
    at->cursor = piece.cursor;
  }
  feeds_need_.erase({refeed.generation, refeed.client, refeed.domain});
  builds_.add_fed_events(refeed.generation, events);
  builds_.save(pass.write);
  if (Status done = commit(pass); !done.ok()) {
    builds_ = std::move(before);
    return std::move(done).error();
  }
  rounds_not_fed_ = 0;
  if (rate > 0) {
    next_feed_[refeed.generation] =
        std::chrono::steady_clock::now() + std::chrono::microseconds(events * 1'000'000 / rate);
  }
  if (piece.end && !builds_.being_fed(refeed.generation)) builds_changed_ = true;
  pass.outcome.more = true;
  std::lock_guard lock(mutex_);
  auto left = static_cast<size_t>(std::count_if(
      refeeds.begin(), refeeds.end(), [&](const Refeed& other) { return releases_.used_by_live(other.generation); }));
  for (Rebuild& rebuild : rebuilds_) rebuild.refeeds_left = left;
  note_releases();
  return std::move(pass.outcome);
}

// How many events feed each generation that is not whole: all of the clients' domains that it reads.
Status RoundRunner::count_feeds() {
  feed_.forget();  // what is fed may be another
  std::map<uint32_t, uint64_t> counts;
  std::map<uint32_t, std::vector<RawFeed::Part>> unknown;
  for (const Generation& generation : generations_) {
    if (!builds_.being_fed(generation.number)) continue;
    if (auto known = events_to_feed_.find(generation.number); known != events_to_feed_.end()) {
      counts.insert(*known);
      continue;
    }
    std::vector<RawFeed::Part>& parts = unknown[generation.number];
    for (const Table& table : client_tables_) {
      if (generation.graph->reads(table.domain) && releases_.scope_of(generation.number).takes(table.client))
        parts.push_back({table.client, table.domain});
    }
  }
  events_to_feed_ = std::move(counts);
  if (ports_.raw_apart) {
    feed_.count(std::move(unknown));
    return {};
  }
  for (const auto& [generation, parts] : unknown) {
    uint64_t& count = events_to_feed_[generation];
    for (const RawFeed::Part& part : parts) {
      auto events = ports_.raw.count(part.client, part.domain);
      if (!events.ok() && !retryable(events.error().code)) return std::move(events).error();
      count += events.ok() ? *events : 0;  // it only shows how far the feeding is
    }
  }
  return {};
}

// Those that were counted meanwhile.
void RoundRunner::take_counts() {
  auto counts = feed_.take_counts();
  if (counts.empty()) return;
  for (const auto& [generation, count] : counts) {
    if (builds_.being_fed(generation)) events_to_feed_[generation] = count;
  }
  std::lock_guard lock(mutex_);
  note_releases();
}

}  // namespace tributary
