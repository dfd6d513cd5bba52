// The thread between the event loop and the log: takes what all clients' captures have ready and appends it in one
// write (group commit), so that a slow disk stops nobody's keepalives and a fast one is used well.
//
// What the log does not take of one client does not hold up the others. A write that fails is tried again at once, client
// by client; those whose part fails again wait, in order and with a back-off, while all others go on:
//
//   [acme 1][globex 1][acme 2] → refused (acme's topic is missing)
//   [acme 1][acme 2] → refused: acme waits, and what it adds waits behind it     [globex 1] → written
//   50 ms, 100 ms, … 2 s later: [acme 1][acme 2][acme 3] → written once the topic is there
//
// Thread-safe. The queue itself has no limit: each client bounds what it has under way (PostgresCaptureOptions), and so
// stops reading its source while it waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "contracts/event_log.h"

namespace tributary {

class AppendQueue {
 public:
  struct Job {
    LogAppend append;
    size_t bytes = 0;
    // Shared by the jobs of one session of a client, and the queue's alone: true once one of them has failed. What was
    // queued behind it is not appended any more, since what it has capture remember would tell of more than is there.
    std::shared_ptr<bool> broken;
    // Called on the queue's thread once the append is durable, or has failed for good.
    std::function<void(const Status&)> done;
  };

  // One write to the log takes at most about this much.
  static constexpr size_t group_bytes_max = size_t{32} << 20;

  explicit AppendQueue(EventLog& log) : log_(log) {}
  ~AppendQueue() { stop(); }

  void start();
  // Ends after the write under way; what waits is dropped, and its `done` is called with kCancelled.
  void stop();

  void add(Job job);
  // Of several clients, that go in one write where that is possible.
  void add(std::vector<Job> jobs);
  // Runs `work` on the thread, between appends: for the log's other calls that block.
  void run(std::function<void()> work);

  // Why the log takes nothing of this client at the moment (disk full, no such topic), or empty.
  std::string trouble(const ClientId& client) const;

 private:
  using Clock = std::chrono::steady_clock;
  using Jobs = std::vector<Job>;

  // Jobs of a client that the log did not take.
  struct Waiting {
    std::deque<Job> jobs;
    std::string reason;
    std::chrono::milliseconds delay{0};
    Clock::time_point due;
    bool failed = false;  // in the write under way
  };

  void put(Job job);
  void work();
  bool something_due() const;
  Clock::time_point next_due() const;
  Jobs take_group();
  void append(Jobs group);
  Status write(std::span<Job> jobs);
  void settle_one_by_one(std::span<Job> jobs, const Status& failed);
  void put_back(std::span<Job> jobs, const Error& error);
  void rest(const std::set<ClientId>& clients);
  bool stopping() const;

  EventLog& log_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::map<ClientId, Waiting> waiting_;
  bool others_turn_ = false;  // those that wait were the last to be asked
  std::deque<std::function<void()>> works_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tributary
