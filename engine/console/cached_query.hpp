/// What a page tells of other servers, for pages that are asked often and must answer soon, whatever those servers do.
#pragma once

#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <weir/clock.hpp>
#include <weir/types.hpp>

#include "core/observe/attempt.hpp"
#include "core/observe/condition.hpp"

namespace weir {

/// Runs a query when asked, on a thread of its own, one at a time.
///
/// Threads   any. The destructor waits for a query that is under way.
template <typename T>
class CachedQuery {
 public:
  static constexpr Duration fresh = 2 * second;       ///< an answer of this age is given again, …
  static constexpr Duration patience = second / 2;    ///< … a new one is waited for that long, …
  static constexpr Duration stands_in = 30 * second;  ///< … and one of this age given if it takes longer

  /// `name` is what the log calls it. `clock` must outlive it.
  CachedQuery(std::string name, std::function<Result<T>()> query, const Clock& clock)
      : name_{std::move(name)}, query_{std::move(query)}, clock_{clock}, condition_{name_} {}
  CachedQuery(const CachedQuery&) = delete;
  CachedQuery& operator=(const CachedQuery&) = delete;

  /// unreachable: there is no answer in time. While a query hangs, only the first callers wait.
  Result<T> get() {
    std::stop_token answered;
    {
      const std::scoped_lock lock{mutex_};
      const Timestamp now = clock_.steady();
      if (!running_ && answered_at_ != no_time && now - answered_at_ < fresh) return answer_;
      if (!running_) begin();
      answered = answered_.get_token();
      if (now - since_ >= patience) answered = {};
    }
    if (answered.stop_possible()) clock_.wait(patience, answered);
    const std::scoped_lock lock{mutex_};
    const bool known = answer_.has_value() && clock_.steady() - answered_at_ < stands_in;
    if (!running_ || known) return answer_;
    return fail(Error::Kind::unreachable, name_ + ": no answer yet from the servers that know it; ask again");
  }

 private:
  /// With the mutex.
  void begin() {
    running_ = true;
    since_ = clock_.steady();
    answered_ = {};
    thread_ = std::jthread{[this] { take(attempt(name_, query_)); }};
  }

  void take(Result<T> answer) {
    // What can never be told is no condition.
    const bool fine = answer.has_value() || answer.error().kind == Error::Kind::invalid;
    condition_.is(fine ? "" : answer.error().message);
    const std::scoped_lock lock{mutex_};
    answer_ = std::move(answer);
    answered_at_ = clock_.steady();
    running_ = false;
    answered_.request_stop();
  }

  const std::string name_;
  const std::function<Result<T>()> query_;
  const Clock& clock_;
  Condition condition_;

  std::mutex mutex_;
  Result<T> answer_ = fail(Error::Kind::unreachable, "not asked yet");  // the last one, of …
  Timestamp answered_at_ = no_time;                                     // … this steady time
  bool running_ = false;
  Timestamp since_ = no_time;
  std::stop_source answered_;  // of the query under way: its callers wait for this stop
  std::jthread thread_;        // last: it ends first
};

}  // namespace weir
