/// The bound on what is in flight, and what holds a part of it.
#pragma once

#include <cassert>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <utility>

namespace weir {

/// Bytes that are pulled and not yet committed, over all lanes of a worker: first as messages and what is being made of
/// them, then as steps, which a commit sets free.
/// Threads   any.
class Credits {
 public:
  explicit Credits(std::size_t limit) : limit_{limit} {}

  /// Waits until there is credit; false if a stop was asked for first. `exhausted` is called once if it has to wait.
  bool wait(std::stop_token stop, const std::function<void()>& exhausted) {
    std::unique_lock lock{mutex_};
    if (pulled_ + made_ < limit_) return true;
    lock.unlock();
    exhausted();
    lock.lock();
    return freed_.wait(lock, stop, [this] { return pulled_ + made_ < limit_; });
  }
  /// Whether more should be made only when a commit has set something free. Not while there is nothing to commit.
  bool must_wait() const {
    const std::scoped_lock lock{mutex_};
    return made_ > 0 && pulled_ + made_ >= limit_;
  }

  /// For messages.
  void take_pulled(std::size_t bytes) { move(0, bytes, 0, 0); }
  void give_back_pulled(std::size_t bytes) { move(bytes, 0, 0, 0); }
  /// For what is made of them, until it is committed or of no use any more.
  void take(std::size_t bytes) { trade(0, bytes); }
  void give_back(std::size_t bytes) { trade(bytes, 0); }
  /// Gives back and takes at once.
  void trade(std::size_t given, std::size_t taken) { move(0, 0, given, taken); }

  std::size_t used() const {
    const std::scoped_lock lock{mutex_};
    return pulled_ + made_;
  }
  std::size_t limit() const { return limit_; }

  /// Is called whenever credit was set free, by the thread that did it; must be quick, and set none free itself.
  class Listener {
   public:
    Listener(Credits& credits, std::function<void()> freed) : credits_{credits} {
      const std::scoped_lock lock{credits_.listeners_mutex_};
      at_ = credits_.listeners_.insert(credits_.listeners_.end(), std::move(freed));
    }
    ~Listener() {
      const std::scoped_lock lock{credits_.listeners_mutex_};
      credits_.listeners_.erase(at_);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    Credits& credits_;
    std::list<std::function<void()>>::iterator at_;
  };

 private:
  void move(std::size_t from_pulled, std::size_t to_pulled, std::size_t from_made, std::size_t to_made) {
    {
      const std::scoped_lock lock{mutex_};
      assert(from_pulled <= pulled_ && from_made <= made_ && "credit given back twice");
      pulled_ += to_pulled - from_pulled;
      made_ += to_made - from_made;
    }
    if (from_pulled + from_made <= to_pulled + to_made) return;
    freed_.notify_all();
    const std::scoped_lock lock{listeners_mutex_};
    for (const auto& freed : listeners_) freed();
  }

  mutable std::mutex mutex_;
  std::condition_variable_any freed_;
  std::size_t pulled_ = 0, made_ = 0;
  std::size_t limit_;
  std::mutex listeners_mutex_;
  std::list<std::function<void()>> listeners_;
};

/// Credit that pulled messages hold.
class HeldByMessages {
 public:
  HeldByMessages(Credits& credits, std::size_t bytes) : credits_{credits}, bytes_{bytes} {
    credits_.take_pulled(bytes);
  }
  ~HeldByMessages() { credits_.give_back_pulled(bytes_); }
  HeldByMessages(const HeldByMessages&) = delete;
  HeldByMessages& operator=(const HeldByMessages&) = delete;

 private:
  Credits& credits_;
  std::size_t bytes_;
};

/// Credit that rows hold which are not encoded yet.
class HeldByRows {
 public:
  HeldByRows(Credits& credits, std::size_t bytes) : credits_{credits}, bytes_{bytes} { credits_.take(bytes); }
  ~HeldByRows() {
    if (bytes_ != 0) credits_.give_back(bytes_);
  }
  HeldByRows(const HeldByRows&) = delete;
  HeldByRows& operator=(const HeldByRows&) = delete;
  /// Gives it back, and takes what their step is to hold from now on.
  void pass_on(std::size_t bytes) { credits_.trade(std::exchange(bytes_, 0), bytes); }

 private:
  Credits& credits_;
  std::size_t bytes_;
};

}  // namespace weir
