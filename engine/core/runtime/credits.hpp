/// The bound on what is in flight, and what holds a part of it.
#pragma once

#include <atomic>
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

/// Lets a lane stop in the midst of its work while there is no credit for more, without a thread that waits: `go_on` is
/// called once when it may go on. One that is to end waits for nothing, as who commits may wait for it.
///
/// Threads   may_work() from one at a time. go_on is called by whoever sets credit free or asks for the stop.
class CreditGate {
 public:
  /// `exhausted`: as for Credits::wait().
  CreditGate(Credits& credits, std::stop_token stop, std::function<void()> exhausted, std::function<void()> go_on)
      : credits_{credits},
        stop_{std::move(stop)},
        exhausted_{std::move(exhausted)},
        go_on_{std::move(go_on)},
        on_credit_{credits, [this] { open(); }},
        on_stop_{stop_, [this] { open(); }} {}

  /// False: go_on will be called.
  bool may_work() {
    if (is_open()) return true;
    waiting_.store(true);
    exhausted_();
    return is_open() && waiting_.exchange(false);
  }

 private:
  bool is_open() const { return stop_.stop_requested() || !credits_.must_wait(); }
  void open() {
    if (waiting_.exchange(false)) go_on_();
  }

  Credits& credits_;
  std::stop_token stop_;
  std::function<void()> exhausted_, go_on_;
  std::atomic<bool> waiting_{false};
  Credits::Listener on_credit_;
  std::stop_callback<std::function<void()>> on_stop_;
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
