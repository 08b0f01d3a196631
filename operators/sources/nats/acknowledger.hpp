/// How what a shared durable gave out is answered.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <weir/clock.hpp>
#include <weir/types.hpp>

#include "clients/nats.hpp"

namespace weir::nats {

/// Holds messages of a shared durable until they are durable in all outputs, and tells the server meanwhile that they
/// are in progress.
///
/// Threads   any.
class Acknowledger {
 public:
  /// `connection` must outlive it, or its use. `every`: how often a held message is reported, less than the durable's
  /// ack_wait.
  Acknowledger(Connection& connection, const Clock& clock, Duration every);

  /// Takes over the messages of a batch that got the positions (last - size, last].
  void hold(const MessageBatch& batch, Position last);
  /// Acknowledges every held message up to this position.
  void acknowledge(Position up_to);
  /// Gives everything not acknowledged back to the server, for another worker.
  void give_back();

  /// Answers over another connection from now on.
  void use(Connection& connection);
  /// Where the last answer went: saying "+WPI" there again does no harm. Empty: there was none.
  std::string last_reply() const;

 private:
  struct Held {
    Position last = 0;
    Timestamp since = 0;
    std::vector<std::string> replies;  ///< the newest message's is at the end
  };
  void answer_all(const Held& held, std::size_t count, std::string_view text);
  void report(const std::stop_token& stop);

  const Clock& clock_;
  Duration every_;
  mutable std::mutex mutex_;
  Connection* connection_;
  std::string last_reply_;
  std::deque<Held> held_;
  std::jthread reporter_;
};

}  // namespace weir::nats
