/// A bucket of current values, written by any number of workers: the newest value by event time stays, whoever is
/// slower.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <weir/clock.hpp>
#include <weir/codec.hpp>
#include <weir/context.hpp>
#include <weir/settings.hpp>
#include <weir/spec.hpp>
#include <weir/types.hpp>
#include <weir/write_behind.hpp>

#include "clients/nats.hpp"

namespace weir::nats {

/// One value on its way into the bucket.
struct Current {
  std::uint64_t id = 0;  ///< the caller's number for this (key, field); always the same for the same two
  Timestamp time = no_time;
  Sample::Kind kind = Sample::Kind::number;
  double x = 0, y = 0, z = 0;
  std::string text = {};
};

/// What is offered is gathered per (key, field), and the newest is written every `every` by a thread of its own, under
/// the subject's revision (compare-and-set), so that a value from another worker that is newer stays.
///
/// Threads   open() and offer() from one thread; the callbacks are called from the writing thread.
/// Bound     one value per id; what waits is overwritten by newer ones, never queued. An id that gets none for `forget`
///           is let go.
/// Counts    every value that is offered ends in exactly one of Counts; the last ones are told by the destructor.
/// Errors    open(): unreachable, or what the bucket lacks; afterwards the server is tried again for ever, meanwhile
///           values wait.
class CurrentValues final : public WriteBehind {
 public:
  struct Config {
    Access access;
    std::string connection;  ///< its name, as the server shows it
    std::string bucket;
    Duration every = 100 * millisecond;
    Duration forget =
        24 * 60 * minute;  ///< what is known of a value that stays the same for so long is asked for again
    /// The two names of an id; views must stay valid.
    std::function<std::pair<std::string_view, std::string_view>(std::uint64_t id)> names;
    const Codec* codec = nullptr;  ///< encodes a value (key and field stand outside) and reads its time back
    struct Counts {
      std::uint64_t written = 0;
      std::uint64_t superseded = 0;  ///< not written: the bucket has a newer one
      std::uint64_t coalesced = 0;   ///< not written: a newer one came before it was its turn
      std::uint64_t refused = 0;  ///< not written: a name for no subject or too long for one, no encoding, or too large
      std::uint64_t given_up = 0;  ///< not written: the server did not take it before the end
    };
    std::function<void(const Counts&)> counted;
    std::function<void(std::string_view)> warn;
  };

  CurrentValues(Config config, const Clock& clock);
  /// Writes what waits, if the server answers within two seconds.
  ~CurrentValues() override;
  CurrentValues(const CurrentValues&) = delete;
  CurrentValues& operator=(const CurrentValues&) = delete;

  Result<void> open() override;
  /// Takes values over; the order is that of their positions. Never waits for the server.
  void offer(std::vector<Current>&& values);
  std::uint64_t offered() const override;
  bool durable(std::uint64_t number) const override;
  void hurry() override;
  std::string trouble() const override;
  /// Memory that the ids take. Any thread.
  std::size_t bytes() const;

 private:
  struct Writer;
  std::unique_ptr<Writer> writer_;
};

/// Adds the settings, counters and checks of an operator that publishes current values: publish, publish_every, access.
Spec with_publish(Spec spec);

/// What these settings say; `names` is the caller's to fill.
CurrentValues::Config publish_config(const Settings& settings, Context& context);

}  // namespace weir::nats
