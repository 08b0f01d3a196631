/// The pieces in which a lane works off what it has pulled.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include <weir/message.hpp>

namespace weir {

using MessagesPtr = std::shared_ptr<const Messages>;

inline constexpr std::size_t message_overhead = 128;  ///< bytes that a message costs beside its payload

/// The bytes that a pull holds while it is on its way.
std::size_t weight(const Messages& messages);

/// Cuts messages so that a piece ends at every border inside them and has at most `most` messages. Where pieces end
/// never shows in what comes out.
std::vector<MessagesPtr> cut(MessagesPtr messages, const std::vector<Position>& borders, std::size_t most = SIZE_MAX);

/// The first `count` of them.
MessagesPtr first_of(const MessagesPtr& messages, std::size_t count);

/// How many pieces are on their way through the graph.
///
/// Threads   any. Those that wait must not be the graph's, and do not help it: they would bring their own work along.
class InFlight {
 public:
  static constexpr std::size_t most = 8;

  void enter() {
    const std::scoped_lock lock{mutex_};
    ++pieces_;
  }
  void leave() {
    {
      const std::scoped_lock lock{mutex_};
      --pieces_;
    }
    left_.notify_all();
  }
  /// Until one more may enter. False: stopped before.
  bool wait_for_room(std::stop_token stop) {
    std::unique_lock lock{mutex_};
    return left_.wait(lock, stop, [this] { return pieces_ < most; });
  }
  void wait_until_none() {
    std::unique_lock lock{mutex_};
    left_.wait(lock, [this] { return pieces_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any left_;
  std::size_t pieces_ = 0;
};

}  // namespace weir
