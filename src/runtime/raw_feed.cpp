#include "runtime/raw_feed.h"

#include <algorithm>

namespace tributary {
namespace {

constexpr std::chrono::seconds now_or_later{0};

}  // namespace

std::optional<Result<RawPiece>> RawFeed::scan(const Refeed& refeed, size_t bytes_max) {
  if (!reading_.valid()) {
    asked_ = refeed;
    reading_ = std::async(std::launch::async, [this, refeed, bytes_max] {
      return raw_.scan(refeed.client, refeed.domain, refeed.cursor, bytes_max);
    });
  }
  if (reading_.wait_for(wait_for_piece) != std::future_status::ready) return std::nullopt;
  Result<RawPiece> piece = reading_.get();
  bool wanted = asked_ == refeed;
  asked_.reset();
  if (!piece.ok()) {
    next_scan_ = std::chrono::steady_clock::now() + rest_;
    rest_ = std::min(rest_ * 2, rest_max);
    return piece;
  }
  rest_ = first_rest;
  if (!wanted) return scan(refeed, bytes_max);  // with nothing under way now
  return piece;
}

std::optional<Status> RawFeed::answers(const Part& part) {
  if (!asking_.valid()) {
    if (std::chrono::steady_clock::now() < next_question_) return std::nullopt;
    asking_ = std::async(std::launch::async, [this, part]() -> Status {
      Result<RawPiece> piece = raw_.scan(part.client, part.domain, "", 1);
      return piece.ok() ? Status() : Status(std::move(piece).error());
    });
  }
  if (asking_.wait_for(wait_for_piece) != std::future_status::ready) return std::nullopt;
  Status answer = asking_.get();
  if (!answer.ok()) next_question_ = std::chrono::steady_clock::now() + rest_max;
  return answer;
}

std::map<uint32_t, uint64_t> RawFeed::take_counts() {
  std::map<uint32_t, uint64_t> counts;
  if (counting_.valid()) {
    if (counting_.wait_for(now_or_later) != std::future_status::ready) return counts;
    auto [generation, count] = counting_.get();
    if (!count.ok()) {
      next_count_ = std::chrono::steady_clock::now() + rest_max;
    } else if (to_count_.erase(generation) > 0) {
      counts[generation] = *count;
    }
  }
  if (to_count_.empty() || std::chrono::steady_clock::now() < next_count_) return counts;
  const auto& [generation, parts] = *to_count_.begin();
  counting_ = std::async(std::launch::async, [this, of = generation, parts = parts]() -> Counted {
    uint64_t events = 0;
    for (const Part& part : parts) {
      Result<uint64_t> count = raw_.count(part.client, part.domain);
      if (!count.ok()) return {of, std::move(count)};
      events += *count;
    }
    return {of, events};
  });
  return counts;
}

}  // namespace tributary
