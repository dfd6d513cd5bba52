// WorkerPool: threads that share the pieces of a round (an Executor of process/).
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tributary {

class WorkerPool {
 public:
  // `workers` in all: the caller is one of them.
  explicit WorkerPool(size_t workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  size_t workers() const { return threads_.size() + 1; }
  // Calls work(0) … work(count − 1), each on one thread, and returns when all have returned. One caller at a time.
  void run(size_t count, const std::function<void(size_t)>& work);

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  const std::function<void(size_t)>* work_ = nullptr;
  size_t count_ = 0;
  size_t next_ = 0;
  size_t running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tributary
