#include "console/lag_watch.hpp"

#include "core/observe/attempt.hpp"

namespace weir {

Result<Lag> LagWatch::lag() {
  std::stop_token answered;
  {
    const std::scoped_lock lock{mutex_};
    const Timestamp now = clock_.steady();
    if (!measuring_ && answered_at_ != no_time && now - answered_at_ < fresh) return answer_;
    if (!measuring_) begin();
    answered = answered_.get_token();
    if (now - since_ >= patience) answered = {};
  }
  if (answered.stop_possible()) clock_.wait(patience, answered);
  const std::scoped_lock lock{mutex_};
  const bool known = answer_.has_value() && clock_.steady() - answered_at_ < stands_in;
  if (!measuring_ || known) return answer_;
  return fail(Error::Kind::unreachable, "the progress or the streams do not answer; still waiting for them");
}

/// With the mutex.
void LagWatch::begin() {
  measuring_ = true;
  since_ = clock_.steady();
  answered_ = {};
  thread_ = std::jthread{[this] { take(attempt("lag", measure_)); }};
}

void LagWatch::take(Result<Lag> answer) {
  // What can never be told is no trouble.
  const bool fine = answer.has_value() || answer.error().kind == Error::Kind::invalid;
  trouble_.is(fine ? "" : answer.error().message);
  const std::scoped_lock lock{mutex_};
  answer_ = std::move(answer);
  answered_at_ = clock_.steady();
  measuring_ = false;
  answered_.request_stop();
}

}  // namespace weir
