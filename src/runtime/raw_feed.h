// RawFeed: reads what feeds generations from a raw store that may be slow or away (MongoDB), so that nobody waits for it.
//
//   RawFeed feed(raw);
//   auto piece = feed.scan(refeed, bytes_max);  // nullopt: it is being read; ask again
//
// One read is under way at a time, on a thread of its own; asking waits for it a moment only. After one that failed there is
// none until a back-off is over. One thread asks; the destructor waits for what is under way.
#pragma once

#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "contracts/raw_store.h"
#include "runtime/builds.h"

namespace tributary {

class RawFeed {
 public:
  // It outlives this.
  explicit RawFeed(RawStore& raw) : raw_(raw) {}

  // The piece at the refeed's cursor, or why it cannot be read: then rests() holds for a while.
  std::optional<Result<RawPiece>> scan(const Refeed& refeed, size_t bytes_max);
  bool is_reading() const { return reading_.valid(); }
  // Whether the newest read failed, and it is not time to try again.
  bool rests() const { return std::chrono::steady_clock::now() < next_scan_; }
  // What is under way is of no use any more.
  void forget() { asked_.reset(); }

  struct Part {
    ClientId client;
    std::string domain;
  };
  // Whether the store answers now, so that a short read may be waited for. nullopt: not known yet, ask again.
  std::optional<Status> answers(const Part& part);
  // How many events these have, by generation, in place of what was asked before.
  void count(std::map<uint32_t, std::vector<Part>> parts) { to_count_ = std::move(parts); }
  // What is counted since the last call. What could not be counted is tried again.
  std::map<uint32_t, uint64_t> take_counts();

 private:
  static constexpr std::chrono::milliseconds wait_for_piece{20};
  static constexpr std::chrono::milliseconds first_rest{200};
  static constexpr std::chrono::milliseconds rest_max{5000};

  RawStore& raw_;
  std::optional<Refeed> asked_;  // what is under way, unless it was forgotten
  std::future<Result<RawPiece>> reading_;
  std::chrono::steady_clock::time_point next_scan_;
  std::chrono::milliseconds rest_ = first_rest;

  std::future<Status> asking_;
  std::chrono::steady_clock::time_point next_question_;

  using Counted = std::pair<uint32_t, Result<uint64_t>>;
  std::map<uint32_t, std::vector<Part>> to_count_;
  std::future<Counted> counting_;
  std::chrono::steady_clock::time_point next_count_;
};

}  // namespace tributary
