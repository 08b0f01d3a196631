#include "core/observe/limited_warnings.hpp"

#include <algorithm>

#include "core/observe/log.hpp"

namespace weir {

LimitedWarnings::~LimitedWarnings() {
  if (unsaid_ != 0) log::warn("{}: {} more warnings since the last one", with_, unsaid_);
}

void LimitedWarnings::say(std::string_view text) {
  const Timestamp now = clock_.steady();
  const std::scoped_lock lock{mutex_};
  if (!may_say(text, now)) {
    ++unsaid_;
    return;
  }
  if (unsaid_ == 0)
    log::warn("{}: {}", with_, text);
  else
    log::warn("{}: {} ({} more warnings since the last one)", with_, text, std::exchange(unsaid_, 0));
}

bool LimitedWarnings::may_say(std::string_view text, Timestamp now) {
  while (!recent_.empty() && now - recent_.front().at >= second) recent_.pop_front();
  if (std::ranges::contains(recent_, text, &Said::text)) return false;
  const Timestamp begin = std::max(all_free_, now);
  if (begin - now > static_cast<Duration>(burst - 1) * second) return false;
  all_free_ = begin + second;
  recent_.push_back({std::string{text}, now});
  return true;
}

}  // namespace weir
