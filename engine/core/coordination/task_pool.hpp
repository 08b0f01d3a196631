/// Threads for what would hold up a loop.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace weir {

/// Runs tasks in the order in which they came, a few at once.
///
/// Threads   any.
class TaskPool {
 public:
  explicit TaskPool(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this](std::stop_token stop) { work(stop); });
  }
  ~TaskPool() { close(); }

  /// The task must not throw.
  void submit(std::move_only_function<void()> task) {
    {
      const std::scoped_lock lock{mutex_};
      tasks_.push_back(std::move(task));
    }
    arrived_.notify_one();
  }
  /// Waits for the tasks that run, and discards those that do not yet.
  void close() {
    for (auto& thread : threads_) thread.request_stop();
    threads_.clear();
    tasks_.clear();
  }

 private:
  void work(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (arrived_.wait(lock, stop, [this] { return !tasks_.empty(); }) && !stop.stop_requested()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;  // what it held ends here, not under the lock
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::deque<std::move_only_function<void()>> tasks_;
  std::vector<std::jthread> threads_;
};

}  // namespace weir
