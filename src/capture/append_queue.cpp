#include "capture/append_queue.h"

#include <algorithm>
#include <iterator>

namespace tributary {
namespace {

constexpr std::chrono::milliseconds retry_first{50};
constexpr std::chrono::milliseconds retry_longest{2000};
// Where a log that answers nobody is asked client by client, the rest is not asked after this time without a success.
constexpr std::chrono::seconds apart_limit{2};

// What may go away by itself, with room on the disk, or with a right that is granted.
bool passes(ErrorCode code) {
  return code == ErrorCode::kResourceExhausted || code == ErrorCode::kUnavailable || code == ErrorCode::kTimeout ||
         code == ErrorCode::kPermissionDenied;
}

const Error behind{ErrorCode::kCancelled, "what was read before it could not be appended"};

bool broken(const AppendQueue::Job& job) { return job.broken != nullptr && *job.broken; }

void settle(AppendQueue::Job& job, const Status& status) {
  if (!status.ok() && job.broken != nullptr) *job.broken = true;
  job.done(status);
}

void drop_broken(std::vector<AppendQueue::Job>& jobs) {
  for (AppendQueue::Job& job : jobs) {
    if (broken(job)) job.done(behind);
  }
  std::erase_if(jobs, broken);
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
    for (auto& [client, waiting] : waiting_) {
      std::move(waiting.jobs.begin(), waiting.jobs.end(), std::back_inserter(dropped));
    }
    waiting_.clear();
    works_.clear();
  }
  for (Job& job : dropped) job.done(Error{ErrorCode::kCancelled, "capture stops"});
}

void AppendQueue::add(Job job) {
  {
    std::lock_guard lock(mutex_);
    put(std::move(job));
  }
  wake_.notify_one();
}

void AppendQueue::add(std::vector<Job> jobs) {
  {
    std::lock_guard lock(mutex_);
    for (Job& job : jobs) put(std::move(job));
  }
  wake_.notify_one();
}

void AppendQueue::put(Job job) {
  auto waiting = waiting_.find(job.append.client);
  (waiting == waiting_.end() ? jobs_ : waiting->second.jobs).push_back(std::move(job));
}

void AppendQueue::run(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    works_.push_back(std::move(work));
  }
  wake_.notify_one();
}

std::string AppendQueue::trouble(const ClientId& client) const {
  std::lock_guard lock(mutex_);
  auto waiting = waiting_.find(client);
  return waiting == waiting_.end() ? "" : waiting->second.reason;
}

bool AppendQueue::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

AppendQueue::Clock::time_point AppendQueue::next_due() const {
  auto next = Clock::now() + std::chrono::hours(1);
  for (const auto& [client, waiting] : waiting_) next = std::min(next, waiting.due);
  return next;
}

bool AppendQueue::something_due() const {
  return stopping_ || !jobs_.empty() || !works_.empty() || next_due() <= Clock::now();
}

void AppendQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!something_due()) wake_.wait_until(lock, next_due());
    if (stopping_) return;
    if (!works_.empty()) {
      auto next = std::move(works_.front());
      works_.pop_front();
      lock.unlock();
      next();
      lock.lock();
      continue;
    }
    Jobs group = take_group();
    lock.unlock();
    append(std::move(group));
    lock.lock();
  }
}

// Of those that wait for nothing, or of those whose time has come: never both in one write, since what failed once would
// make the others be written twice. Together by client, each client's in their order.
AppendQueue::Jobs AppendQueue::take_group() {
  Jobs group;
  size_t bytes = 0;
  auto take = [&](std::deque<Job>& from) {
    for (; !from.empty() && (group.empty() || bytes < group_bytes_max); from.pop_front()) {
      bytes += from.front().bytes;
      group.push_back(std::move(from.front()));
    }
  };
  if (!others_turn_ || jobs_.empty()) {
    for (auto& [client, waiting] : waiting_) {
      if (waiting.due <= Clock::now()) take(waiting.jobs);
    }
  }
  others_turn_ = !group.empty();
  if (group.empty()) take(jobs_);
  std::stable_sort(group.begin(), group.end(),
                   [](const Job& a, const Job& b) { return a.append.client < b.append.client; });
  return group;
}

// Moves what is appended out of `jobs`, and back where the log does not take it.
Status AppendQueue::write(std::span<Job> jobs) {
  std::vector<LogAppend> appends;
  appends.reserve(jobs.size());
  for (Job& job : jobs) appends.push_back(std::move(job.append));
  Status status = log_.append(appends);
  for (size_t i = 0; i < jobs.size(); ++i) jobs[i].append = std::move(appends[i]);
  return status;
}

void AppendQueue::append(Jobs group) {
  std::set<ClientId> clients;
  for (const Job& job : group) clients.insert(job.append.client);
  drop_broken(group);
  Status whole = group.empty() ? Status() : write(group);
  auto began = Clock::now();
  bool any = false;
  for (size_t first = 0, next = 0; first < group.size(); first = next) {
    while (next < group.size() && group[next].append.client == group[first].append.client) ++next;
    std::span<Job> jobs(&group[first], next - first);
    Status status = whole;
    if (!whole.ok() && jobs.size() < group.size() && !stopping()) {
      bool ask = any || Clock::now() - began < apart_limit || !passes(whole.error().code);
      if (ask) status = write(jobs);
      any = any || status.ok();
    }
    if (status.ok()) {
      for (Job& job : jobs) settle(job, status);
    } else if (passes(status.error().code)) {
      put_back(jobs, status.error());
    } else {
      settle_one_by_one(jobs, status);
    }
  }
  rest(clients);
}

// One of `jobs` is impossible. Those before it are not.
void AppendQueue::settle_one_by_one(std::span<Job> jobs, const Status& failed) {
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (broken(jobs[i])) {
      jobs[i].done(behind);
      continue;
    }
    Status status = jobs.size() == 1 ? failed : write(jobs.subspan(i, 1));
    if (!status.ok() && passes(status.error().code)) return put_back(jobs.subspan(i), status.error());
    settle(jobs[i], status);
  }
}

// Before what the client has added meanwhile.
void AppendQueue::put_back(std::span<Job> jobs, const Error& error) {
  std::lock_guard lock(mutex_);
  const ClientId client = jobs[0].append.client;
  Waiting& waiting = waiting_[client];
  waiting.reason = error.to_string();
  waiting.failed = true;
  waiting.jobs.insert(waiting.jobs.begin(), std::move_iterator(jobs.begin()), std::move_iterator(jobs.end()));
  auto of_client =
      std::stable_partition(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.append.client != client; });
  std::move(of_client, jobs_.end(), std::back_inserter(waiting.jobs));
  jobs_.erase(of_client, jobs_.end());
}

// After a write of these clients' jobs: when each of them is asked again.
void AppendQueue::rest(const std::set<ClientId>& clients) {
  std::lock_guard lock(mutex_);
  auto now = Clock::now();
  for (const ClientId& client : clients) {
    auto found = waiting_.find(client);
    if (found == waiting_.end()) continue;
    Waiting& waiting = found->second;
    if (waiting.jobs.empty()) {
      waiting_.erase(found);
    } else if (waiting.failed) {
      waiting.delay = std::clamp(waiting.delay * 2, retry_first, retry_longest);
      waiting.due = now + waiting.delay;
      waiting.failed = false;
    } else {
      waiting.delay = {};
      waiting.due = now;
      waiting.reason.clear();
    }
  }
}

}  // namespace tributary
