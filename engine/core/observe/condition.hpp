/// What does not work for now, told when it begins, when it becomes another, and when it is over; not at every try.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "core/observe/log.hpp"

namespace weir {

/// Threads   one says; any may ask.
class Condition {
 public:
  /// `with`: what the log's lines begin with.
  explicit Condition(std::string with) : with_{std::move(with)} {}

  /// Empty: none, it works.
  void is(std::string text) {
    const std::scoped_lock lock{mutex_};
    if (!text.empty() && text != text_) log::warn("{}: {}{} trying again", with_, text, text.ends_with(';') ? "" : ";");
    if (text.empty() && !text_.empty()) log::info("{}: works again", with_);
    text_ = std::move(text);
  }
  /// There is nothing left that it could keep from working.
  void forget() {
    const std::scoped_lock lock{mutex_};
    text_.clear();
  }
  std::string text() const {
    const std::scoped_lock lock{mutex_};
    return text_;
  }

 private:
  const std::string with_;
  mutable std::mutex mutex_;
  std::string text_;
};

}  // namespace weir
