#include "runtime/worker_pool.h"

#include <pthread.h>

namespace tributary {

WorkerPool::WorkerPool(size_t workers) {
  for (size_t i = 1; i < workers; ++i) threads_.emplace_back([this] { serve(); });
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::run(size_t count, const std::function<void(size_t)>& work) {
  if (count <= 1 || threads_.empty()) {
    for (size_t i = 0; i < count; ++i) work(i);
    return;
  }
  std::unique_lock lock(mutex_);
  work_ = &work;
  count_ = count;
  next_ = 0;
  wake_.notify_all();
  while (next_ < count_) {
    size_t mine = next_++;
    lock.unlock();
    work(mine);
    lock.lock();
  }
  done_.wait(lock, [this] { return running_ == 0; });
  work_ = nullptr;
}

void WorkerPool::serve() {
  ::pthread_setname_np(::pthread_self(), "worker");
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || (work_ != nullptr && next_ < count_); });
    if (stopping_) return;
    const auto& work = *work_;
    size_t mine = next_++;
    ++running_;
    lock.unlock();
    work(mine);
    lock.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

}  // namespace tributary
