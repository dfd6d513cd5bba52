// The thread between the event loop and the log: takes what all clients' captures have ready and appends it in one
// write (group commit), so that a slow disk stops nobody's keepalives and a fast one is used well.
//
// Thread-safe. The queue itself has no limit: each client bounds what it has under way (PostgresCaptureOptions).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
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
  // Runs `work` on the thread, between appends: for the log's other calls that block.
  void run(std::function<void()> work);

  // Why the log takes nothing at the moment (disk full), or empty.
  std::string trouble() const;

 private:
  void work();
  void append(std::vector<Job>& jobs);
  Status append_until_settled(const std::vector<LogAppend>& appends);

  EventLog& log_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::deque<std::function<void()>> works_;
  std::string trouble_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tributary
