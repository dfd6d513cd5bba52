#include "capture/postgres/append_queue.h"

#include <algorithm>
#include <chrono>

namespace tributary {
namespace {

constexpr std::chrono::milliseconds retry_first{50};
constexpr std::chrono::milliseconds retry_longest{2000};

// What may go away by itself, or with room on the disk.
bool passes(ErrorCode code) {
  return code == ErrorCode::kResourceExhausted || code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout;
}

}  // namespace

void AppendQueue::start() {
  thread_ = std::thread([this] { work(); });
}

void AppendQueue::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::deque<Job> dropped;
  {
    std::lock_guard lock(mutex_);
    dropped.swap(jobs_);
    works_.clear();
  }
  for (Job& job : dropped) job.done(Error{ErrorCode::kCancelled, "capture stops"});
}

void AppendQueue::add(Job job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void AppendQueue::run(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    works_.push_back(std::move(work));
  }
  wake_.notify_one();
}

std::string AppendQueue::trouble() const {
  std::lock_guard lock(mutex_);
  return trouble_;
}

void AppendQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !jobs_.empty() || !works_.empty(); });
    if (stopping_) return;
    if (!works_.empty()) {
      auto next = std::move(works_.front());
      works_.pop_front();
      lock.unlock();
      next();
      lock.lock();
      continue;
    }
    std::vector<Job> group;
    for (size_t bytes = 0; !jobs_.empty() && (group.empty() || bytes < group_bytes_max); jobs_.pop_front()) {
      bytes += jobs_.front().bytes;
      group.push_back(std::move(jobs_.front()));
    }
    lock.unlock();
    append(group);
    lock.lock();
  }
}

void AppendQueue::append(std::vector<Job>& jobs) {
  auto broken = [](const Job& job) { return job.broken != nullptr && *job.broken; };
  auto settle = [](Job& job, const Status& status) {
    if (!status.ok() && job.broken != nullptr) *job.broken = true;
    job.done(status);
  };
  const Status behind = Error{ErrorCode::kCancelled, "what was read before it could not be appended"};
  std::vector<Job*> wanted;
  std::vector<LogAppend> appends;
  for (Job& job : jobs) {
    if (broken(job)) {
      job.done(behind);
      continue;
    }
    wanted.push_back(&job);
    appends.push_back(std::move(job.append));
  }
  if (wanted.empty()) return;
  Status whole = append_until_settled(appends);
  // One client's impossible batch must not hold up the others that shared the write with it.
  bool alone = !whole.ok() && wanted.size() > 1 && whole.error().code != ErrorCode::kCancelled;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (alone && broken(*wanted[i])) {
      wanted[i]->done(behind);
    } else {
      settle(*wanted[i], alone ? append_until_settled({appends[i]}) : whole);
    }
  }
}

Status AppendQueue::append_until_settled(const std::vector<LogAppend>& appends) {
  for (auto delay = retry_first;; delay = std::min(delay * 2, retry_longest)) {
    Status status = log_.append(appends);
    std::unique_lock lock(mutex_);
    trouble_ = status.ok() ? "" : status.error().to_string();
    if (status.ok() || !passes(status.error().code)) return status;
    if (wake_.wait_for(lock, delay, [&] { return stopping_; })) return Error{ErrorCode::kCancelled, "capture stops"};
  }
}

}  // namespace tributary
