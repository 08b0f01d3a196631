/// The bound on what is in flight, and what holds a part of it.
#pragma once

#include <cassert>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>

namespace weir {

/// Bytes that are pulled and not yet committed, over all lanes of a worker. Taken at pull, given back at commit.
/// Threads   any.
class Credits {
 public:
  explicit Credits(std::size_t limit) : limit_{limit} {}

  /// Waits until there is credit; false if a stop was asked for first. `exhausted` is called once if it has to wait.
  bool wait(std::stop_token stop, const std::function<void()>& exhausted) {
    std::unique_lock lock{mutex_};
    if (used_ < limit_) return true;
    lock.unlock();
    exhausted();
    lock.lock();
    return freed_.wait(lock, stop, [this] { return used_ < limit_; });
  }

  void take(std::size_t bytes) {
    const std::scoped_lock lock{mutex_};
    used_ += bytes;
  }

  void give_back(std::size_t bytes) { trade(bytes, 0); }

  /// Gives back and takes at once.
  void trade(std::size_t given, std::size_t taken) {
    {
      const std::scoped_lock lock{mutex_};
      assert(given <= used_ && "credit given back twice");
      used_ -= given;
      used_ += taken;
    }
    if (given > taken) freed_.notify_all();
  }

  std::size_t used() const {
    const std::scoped_lock lock{mutex_};
    return used_;
  }
  std::size_t limit() const { return limit_; }

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  std::size_t used_ = 0;
  std::size_t limit_;
};

/// Credit that a piece of work holds.
class Held {
 public:
  Held(Credits& credits, std::size_t bytes) : credits_{credits}, bytes_{bytes} { credits_.take(bytes); }
  ~Held() {
    if (bytes_ != 0) credits_.give_back(bytes_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  /// Gives it back, and takes what somebody else is to hold from now on.
  void pass_on(std::size_t bytes) { credits_.trade(std::exchange(bytes_, 0), bytes); }

 private:
  Credits& credits_;
  std::size_t bytes_;
};

}  // namespace weir
