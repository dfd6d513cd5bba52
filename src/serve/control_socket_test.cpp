#include "serve/control_socket.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

namespace tributary {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

class ControlSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tributary-control-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/control.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<ControlServer> serve(ControlHandler handler) {
    auto server = ControlServer::listen(path_, std::move(handler));
    CHECK(server.ok(), "{}", server.error().to_string());
    return std::move(server).value();
  }

  std::string directory_;
  std::string path_;
};

TEST_F(ControlSocketTest, AnswersAndErrorsArriveWhole) {
  auto server = serve([](std::string_view request, ControlStream& out) -> Status {
    out.send(request);
    out.send(std::string(100'000, 'x'));
    if (request == "fail") return Error{ErrorCode::kTimeout, "too late"};
    return {};
  });
  std::string answer;
  auto keep = [&](std::string_view part) {
    answer.append(part);
    return true;
  };
  EXPECT_TRUE(control_call(path_, "good", keep).ok());
  EXPECT_EQ(answer.size(), 100'004U);
  Status failed = control_call(path_, "fail", keep);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(failed.error().message, "too late");
}

// A tap into a pager, a query whose reader was stopped by Ctrl-Z.
TEST_F(ControlSocketTest, StopsAtOnceThoughAReaderHasPaused) {
  std::promise<void> reading;
  auto server = serve([&](std::string_view, ControlStream& out) -> Status {
    while (out.send(std::string(1 << 20, 'x'))) {
    }
    return {};
  });
  std::promise<void> go_on;
  auto reader = std::async(std::launch::async, [&] {
    bool first = true;
    return control_call(path_, "tap", [&](std::string_view) {
      if (std::exchange(first, false)) {
        reading.set_value();
        go_on.get_future().wait();
      }
      return true;
    });
  });
  reading.get_future().wait();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // until the socket's buffer is full
  auto begin = steady_clock::now();
  server->stop();
  EXPECT_LT(steady_clock::now() - begin, seconds(5));
  go_on.set_value();
  Status cut = reader.get();
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace tributary
