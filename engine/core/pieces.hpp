/// The pieces in which a lane works off what it has pulled, and the credit that they hold.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <weir/message.hpp>

#include "core/credits.hpp"
#include "core/recovery.hpp"

namespace weir {

using MessagesPtr = std::shared_ptr<const Messages>;

inline constexpr std::size_t message_overhead = 128;  ///< bytes that a message costs beside its payload

/// The bytes that a pull holds while it is on its way.
std::size_t weight(const Messages& messages);

/// Cuts messages so that a piece ends at every border inside them: a function of the stream, never of the pull.
std::vector<MessagesPtr> cut(MessagesPtr messages, const LaneStart& start);

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
