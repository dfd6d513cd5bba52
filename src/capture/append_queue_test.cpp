#include "capture/append_queue.h"

#include <gtest/gtest.h>

#include <future>
#include <set>

#include "capture/memory_log_for_test.h"

namespace tributary {
namespace {

// Takes no state that holds the word "impossible", and nothing of clients that are `away`.
class PickyLog : public MemoryLog {
 public:
  Status append(std::span<const LogAppend> appends) override {
    {
      std::lock_guard lock(mutex);
      ++calls;
      for (const LogAppend& append : appends) {
        if (away.contains(append.client.value)) {
          return Error{ErrorCode::kUnavailable, "no topic of " + append.client.value};
        }
        for (const auto& [key, value] : append.state_changes) {
          if (value == "impossible") return Error{ErrorCode::kInvalidInput, "a record is too large"};
        }
      }
    }
    return MemoryLog::append(appends);
  }
  void set_away(std::set<std::string> clients) {
    std::lock_guard lock(mutex);
    away = std::move(clients);
  }
  size_t asked() {
    std::lock_guard lock(mutex);
    return calls;
  }

  std::set<std::string> away;
  size_t calls = 0;
};

class AppendQueueTest : public testing::Test {
 public:
  std::future<Status> add(const std::string& client, const std::string& state, const std::shared_ptr<bool>& broken) {
    auto done = std::make_shared<std::promise<Status>>();
    queue.add({LogAppend{ClientId{client}, {}, {{"stream", state}}}, 0, broken,
               [done](const Status& status) { done->set_value(status); }});
    return done->get_future();
  }

  PickyLog log;
  AppendQueue queue{log};
};

// What a later append has capture remember would tell of events that are not there.
TEST_F(AppendQueueTest, NothingOfAClientIsAppendedBehindWhatFailedAndOthersGoOn) {
  auto broken = std::make_shared<bool>(false);
  auto other = std::make_shared<bool>(false);
  auto first = add("acme", "1", broken);
  auto failing = add("acme", "impossible", broken);
  auto same_group = add("acme", "3", broken);
  auto others = add("globex", "1", other);
  queue.start();
  EXPECT_TRUE(first.get().ok());
  EXPECT_EQ(failing.get().error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(same_group.get().error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(others.get().ok());
  EXPECT_EQ(add("acme", "4", broken).get().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(log.states["acme"]["stream"], "1");
  // A new session begins where the log is.
  EXPECT_TRUE(add("acme", "2", std::make_shared<bool>(false)).get().ok());
  EXPECT_EQ(log.states["acme"]["stream"], "2");
}

// The log refuses the whole write because of one client: the others' part is written without it, and so is all that they
// add while it waits. What it adds waits behind what failed, and all of it comes in order by itself.
TEST_F(AppendQueueTest, AClientThatTheLogRefusesWaitsAloneAndCatchesUpByItself) {
  log.set_away({"acme"});
  auto broken = std::make_shared<bool>(false);
  auto first = add("acme", "1", broken);
  auto others = add("globex", "1", nullptr);
  queue.start();
  EXPECT_TRUE(others.get().ok());
  auto second = add("acme", "2", broken);
  for (int i = 2; i < 20; ++i) EXPECT_TRUE(add("globex", std::to_string(i), nullptr).get().ok());
  EXPECT_EQ(log.states["globex"]["stream"], "19");
  EXPECT_EQ(queue.trouble(ClientId{"acme"}), "unavailable: no topic of acme");
  EXPECT_EQ(queue.trouble(ClientId{"globex"}), "");
  EXPECT_EQ(first.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  log.set_away({});
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_EQ(log.states["acme"]["stream"], "2");
  EXPECT_TRUE(add("acme", "3", broken).get().ok());
  EXPECT_EQ(queue.trouble(ClientId{"acme"}), "");
}

// A log that is away for all is asked ever more rarely, not once a client and moment.
TEST_F(AppendQueueTest, AClientThatWaitsIsAskedAboutEverMoreRarely) {
  log.set_away({"acme"});
  auto waits = add("acme", "1", nullptr);
  queue.start();
  EXPECT_EQ(waits.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout);
  EXPECT_LE(log.asked(), 5U);  // at 0, 50, 150, 350 ms
  queue.stop();
  EXPECT_EQ(waits.get().error().code, ErrorCode::kCancelled);
}

// What a client is refused for good ends its session also where it waited before.
TEST_F(AppendQueueTest, WhatWaitedAndThenFailsForGoodIsSettled) {
  log.set_away({"acme"});
  auto broken = std::make_shared<bool>(false);
  auto good = add("acme", "1", broken);
  auto bad = add("acme", "impossible", broken);
  auto behind = add("acme", "3", broken);
  queue.start();
  while (queue.trouble(ClientId{"acme"}).empty()) std::this_thread::yield();
  log.set_away({});
  EXPECT_TRUE(good.get().ok());
  EXPECT_EQ(bad.get().error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(behind.get().error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(add("acme", "2", std::make_shared<bool>(false)).get().ok());
}

}  // namespace
}  // namespace tributary
