/// A bucket of current values, written by any number of workers: the newest value by event time stays, whoever is
/// slower.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <weir/clock.hpp>
#include <weir/context.hpp>
#include <weir/settings.hpp>
#include <weir/spec.hpp>
#include <weir/types.hpp>
#include <weir/write_behind.hpp>

#include "clients/nats.hpp"
#include "clients/nats_current_slots.hpp"

namespace weir::nats {

/// What is offered is gathered per (key, field), and the newest is written every `every`, or when a commit waits for
/// it, by a thread of its own, under the subject's revision (compare-and-set), so that a value from another worker that
/// is newer stays.
///
/// Threads   open() and offer() from one thread; the callbacks are called from the writing thread.
/// Bound     as CurrentSlots.
/// Counts    every value that is offered ends in exactly one of CurrentCounts; the last are told by the destructor.
/// Errors    open(): unreachable, or what the bucket lacks; afterwards the server is tried again for ever, meanwhile
///           values wait.
class CurrentValues final : public WriteBehind {
 public:
  struct Config : CurrentSlots::Config {
    Access access;
    std::string connection;  ///< its name, as the server shows it
    Duration every = 100 * millisecond;
    std::function<void(const CurrentCounts&)> counted;
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
