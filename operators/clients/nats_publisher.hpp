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

  /// Waits until everything is stored, publishing again what failed, for at most `patience`. After an error the state
  /// of what was published is unknown and all of it is forgotten.
  Result<void> complete(Duration patience);

  /// A message that its stream will never take, however often it is published.
  struct Refused {
    std::string subject, payload;
    std::string reason;  ///< text before ':' is the same for all
  };
  /// Those of the last complete(), which counts them as done.
  std::vector<Refused> take_refused();

  /// How many messages the stream has dropped, since open(), because it knew their ids.
  std::uint64_t duplicates() const;

 private:
  struct State;
  explicit Publisher(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  ///< a callback that is under way keeps it too
};

}  // namespace weir::nats
