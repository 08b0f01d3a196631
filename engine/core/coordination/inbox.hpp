/// Hands things from many threads to one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// Threads   put() from any, take() from one.
template <typename T>
class Inbox {
 public:
  void put(T item) {
    {
      const std::scoped_lock lock{mutex_};
      items_.push_back(std::move(item));
    }
    arrived_.notify_one();
  }
  /// Waits for something, a stop, or the time to pass.
  std::vector<T> take(Duration wait, std::stop_token stop) {
    std::unique_lock lock{mutex_};
    arrived_.wait_for(lock, stop, std::chrono::nanoseconds{wait}, [this] { return !items_.empty(); });
    return std::exchange(items_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any arrived_;
  std::vector<T> items_;
};

}  // namespace weir
