#include "capture/postgres/postgres_source.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "capture/postgres/client_capture.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds stop_limit{8};

class PostgresSource : public ChangeSource {
 public:
  PostgresSource(std::vector<CaptureClient> clients, EventLog& log, PostgresCaptureOptions options,
                 const LeaseOptions& lease)
      : options_(std::move(options)), queue_(log) {
    if (options_.temp_directory.empty()) options_.temp_directory = std::filesystem::temp_directory_path();
    for (CaptureClient& client : clients) {
      captures_.push_back(
          std::make_unique<ClientCapture>(loop_->get_executor(), std::move(client), options_, lease, log, queue_));
    }
  }

  ~PostgresSource() override { stop(); }

  Status start() override {
    std::error_code error;
    std::filesystem::create_directories(options_.temp_directory, error);
    if (error) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("cannot make {}: {}", options_.temp_directory, error.message())};
    }
    started_ = true;
    queue_.start();
    running_ = captures_.size();
    for (auto& capture : captures_) {
      asio::post(*loop_, [this, &capture] { capture->start([this] { capture_ended(); }); });
    }
    thread_ = std::thread([this] {
      loop_->run();
      ended_.set_value();
    });
    return {};
  }

  void stop() override {
    if (!started_) return;
    started_ = false;
    asio::post(*loop_, [this] {
      stopping_ = true;
      for (auto& capture : captures_) capture->stop();
      if (running_ == 0) guard_.reset();
    });
    // The queue first gives up what waits, so that captures which wait for it end.
    queue_.stop();
    bool hangs = ended_.get_future().wait_for(stop_limit) == std::future_status::timeout;
    if (hangs) loop_->stop();
    thread_.join();
    // Coroutines that are still suspended would outlive what they refer to: better a leak at the end of the program.
    if (hangs) (void)loop_.release();
  }

  std::vector<SourceStatus> status() override {
    std::vector<SourceStatus> all;
    for (auto& capture : captures_) all.push_back(capture->status());
    return all;
  }

  void mark_heads() override {
    for (auto& capture : captures_) capture->mark_head();
  }

  bool caught_up() override {
    return std::all_of(captures_.begin(), captures_.end(), [](auto& capture) { return capture->caught_up(); });
  }

  bool caught_up(const ClientId& client) override {
    return std::all_of(captures_.begin(), captures_.end(),
                       [&](auto& capture) { return capture->client() != client || capture->caught_up(); });
  }

  void read_again(const ClientId& client, const std::string& table, std::vector<std::string> row_keys) override {
    for (auto& capture : captures_) {
      if (capture->client() == client) capture->read_again(table, std::move(row_keys));
    }
  }

  bool begin_session_again(const ClientId& client) override {
    for (auto& capture : captures_) {
      if (capture->client() != client) continue;
      asio::post(*loop_, [&capture] { capture->begin_session_again(); });
      return true;
    }
    return false;
  }

 private:
  // On the loop.
  void capture_ended() {
    --running_;
    if (running_ == 0 && stopping_) guard_.reset();
  }

  PostgresCaptureOptions options_;
  std::unique_ptr<asio::io_context> loop_ = std::make_unique<asio::io_context>(1);
  asio::executor_work_guard<asio::io_context::executor_type> guard_{loop_->get_executor()};
  AppendQueue queue_;
  std::vector<std::unique_ptr<ClientCapture>> captures_;
  std::thread thread_;
  std::promise<void> ended_;
  size_t running_ = 0;  // on the loop
  bool stopping_ = false;  // on the loop
  bool started_ = false;
};

}  // namespace

std::unique_ptr<ChangeSource> make_postgres_source(std::vector<CaptureClient> clients, EventLog& log,
                                                   PostgresCaptureOptions options, LeaseOptions lease) {
  return std::make_unique<PostgresSource>(std::move(clients), log, std::move(options), lease);
}

}  // namespace tributary
