/// Publishing into streams without waiting for each acknowledgement.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/clock.hpp>
#include <weir/types.hpp>

#include "clients/nats.hpp"

namespace weir::nats {

/// Publishes to JetStream with a bounded number of messages in flight; what is not acknowledged is published again.
///
/// Threads   one at a time.
/// Order     as published, but for messages that had to be published again.
class Publisher {
 public:
  /// The connection must outlive it, and should be one for publishing.
  static Result<std::unique_ptr<Publisher>> open(Connection& connection, const Clock& clock,
                                                 std::size_t in_flight = 8192);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// A name and a value, as Message has them.
  using Header = std::pair<std::string_view, std::string_view>;
  /// Takes a message over; waits while too many are in flight. `id`: the stream drops another with the same id within
  /// its dedupe window; empty: none. `headers` must not have one.
  Result<void> publish(const std::string& subject, std::string_view payload, const std::string& id,
                       std::span<const Header> headers = {});
  /// The same, but the stream stores it only if the newest message of its subject has this sequence; 0: if there is
  /// none. What became of it is among the outcomes. One that is published again may meet itself: then it is a conflict.
  Result<void> publish_if(const std::string& subject, std::string_view payload, std::uint64_t newest);

  /// Waits until everything is stored, publishing again what failed, for at most `patience`. After an error the state
  /// of what was published is unknown and all of it is forgotten.
  Result<void> complete(Duration patience);

  /// A message that its stream will never take, however often it is published.
  struct Refused {
    std::string subject, payload;
    Reason reason;
  };
  /// Those of the last complete(), which counts them as done.
  std::vector<Refused> take_refused();

  /// What became of a publish_if().
  struct Outcome {
    std::string subject;
    std::uint64_t sequence = 0;  ///< it was stored under; 0: a conflict, another message was the newest
  };
  /// Of all since the last call that are stored or in conflict; a refused one is among the refused.
  std::vector<Outcome> take_outcomes();

  /// How many messages the stream has dropped, since open(), because it knew their ids.
  std::uint64_t duplicates() const;

 private:
  struct State;
  explicit Publisher(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  ///< a callback that is under way keeps it too
};

}  // namespace weir::nats
