#include "runtime/raw_feed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace tributary {
namespace {

// Answers a scan with its own cursor when it is let, or with an error.
class SlowRaw final : public RawStore {
 public:
  Status write(std::span<const LogBlock>) override { return {}; }
  Status read(const RawQuery&, const std::function<bool(const EventBatch&)>&) override { return {}; }
  Result<uint64_t> count(const ClientId&, const std::string&) override {
    if (away) return Error{ErrorCode::kUnavailable, "away"};
    return uint64_t{3};
  }
  Result<RawPiece> scan(const ClientId&, const std::string&, const std::string& cursor, size_t) override {
    ++scans;
    gate.wait();
    if (away) return Error{ErrorCode::kUnavailable, "away"};
    return RawPiece{.batches = {}, .cursor = cursor + "+", .end = true};
  }

  std::promise<void> let;
  std::shared_future<void> gate = let.get_future().share();
  std::atomic<bool> away = false;
  std::atomic<int> scans = 0;
};

std::optional<Result<RawPiece>> until_read(RawFeed& feed, const Refeed& refeed) {
  std::optional<Result<RawPiece>> piece;
  while (!piece) piece = feed.scan(refeed, 1);
  return piece;
}

const Refeed first{.generation = 2, .client = ClientId{"acme"}, .domain = "orders", .cursor = "a"};

TEST(RawFeed, NobodyWaitsForAReadThatTakesItsTime) {
  SlowRaw raw;
  RawFeed feed(raw);
  EXPECT_FALSE(feed.scan(first, 1).has_value());
  EXPECT_FALSE(feed.scan(first, 1).has_value());
  EXPECT_TRUE(feed.is_reading());
  raw.let.set_value();
  auto piece = until_read(feed, first);
  ASSERT_TRUE(piece->ok());
  EXPECT_EQ((*piece)->cursor, "a+");
  EXPECT_EQ(raw.scans, 1);
  EXPECT_FALSE(feed.is_reading());
}

TEST(RawFeed, WhatWasReadForAnotherFeedIsNotGiven) {
  SlowRaw raw;
  RawFeed feed(raw);
  EXPECT_FALSE(feed.scan(first, 1).has_value());
  raw.let.set_value();
  Refeed other = first;
  other.generation = 3;
  other.cursor = "b";
  auto piece = until_read(feed, other);
  ASSERT_TRUE(piece->ok());
  EXPECT_EQ((*piece)->cursor, "b+");
}

TEST(RawFeed, WhatWasForgottenIsReadAgain) {
  SlowRaw raw;
  RawFeed feed(raw);
  EXPECT_FALSE(feed.scan(first, 1).has_value());
  feed.forget();
  raw.let.set_value();
  ASSERT_TRUE(until_read(feed, first)->ok());
  EXPECT_EQ(raw.scans, 2);
}

TEST(RawFeed, AReadThatFailsIsFollowedByARestAndThenTriedAgain) {
  SlowRaw raw;
  raw.let.set_value();
  raw.away = true;
  RawFeed feed(raw);
  auto failed = until_read(feed, first);
  ASSERT_FALSE(failed->ok());
  EXPECT_EQ(failed->error().code, ErrorCode::kUnavailable);
  raw.away = false;
  while (feed.rests()) std::this_thread::yield();
  EXPECT_TRUE(until_read(feed, first)->ok());
}

TEST(RawFeed, CountsComeWhenTheStoreHasAnswered) {
  SlowRaw raw;
  RawFeed feed(raw);
  feed.count({{2, {{ClientId{"acme"}, "orders"}, {ClientId{"acme"}, "users"}}}, {5, {}}});
  std::map<uint32_t, uint64_t> counts;
  while (counts.size() < 2) counts.merge(feed.take_counts());
  EXPECT_EQ(counts, (std::map<uint32_t, uint64_t>{{2, 6}, {5, 0}}));
}

TEST(RawFeed, WhetherTheStoreAnswersIsAskedBesides) {
  SlowRaw raw;
  RawFeed feed(raw);
  RawFeed::Part part{ClientId{"acme"}, "orders"};
  EXPECT_FALSE(feed.answers(part).has_value());
  raw.away = true;
  raw.let.set_value();
  std::optional<Status> answer;
  while (!answer) answer = feed.answers(part);
  EXPECT_FALSE(answer->ok());
}

}  // namespace
}  // namespace tributary
