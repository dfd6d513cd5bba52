#include "capture/postgres/append_queue.h"

#include <gtest/gtest.h>

#include <future>

#include "capture/memory_log_for_test.h"

namespace tributary {
namespace {

// Takes no state that holds the word "impossible".
class PickyLog : public MemoryLog {
 public:
  Status append(std::span<const LogAppend> appends) override {
    for (const LogAppend& append : appends) {
      for (const auto& [key, value] : append.state_changes) {
        if (value == "impossible") return Error{ErrorCode::kInvalidInput, "a record is too large"};
      }
    }
    return MemoryLog::append(appends);
  }
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

}  // namespace
}  // namespace tributary
