/// What the engine lends to an operator instance.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <weir/clock.hpp>
#include <weir/dictionary.hpp>
#include <weir/shapes.hpp>
#include <weir/types.hpp>

namespace weir {

class Codec;
class Store;

/// What a partition keeps of dead letters, by arrival time: "limits": {"dead_letters_per_key": …}.
struct DeadLetterBounds {
  std::uint32_t per_key = 10;       ///< of a node, reason and key, in a minute
  std::uint32_t per_reason = 1000;  ///< of a node and reason, in a minute
  std::uint32_t per_day = 100'000;
  Duration retention = 7 * 24 * 60 * minute;
};

/// One instance's view of its surroundings. Lives longer than the instance. Sinks and sources get one too.
class Context {
 public:
  virtual ~Context() = default;

  // The names under which progress, state and row ids are kept: where the file says "renamed_from", the old ones.
  virtual std::string_view pipeline() const = 0;
  virtual std::string_view node() const = 0;
  /// Name of this worker, unlike any other's; empty where there is none, as while a pipeline is only looked at.
  virtual std::string_view worker() const { return {}; }
  virtual Partition partition() const = 0;  ///< of a lane's instances; 0 for sinks

  /// How many partitions the pipeline's source has.
  virtual std::uint32_t partitions() const { return 1; }

  /// Bound on keys that the pipeline declares ("limits": {"keys": …}).
  virtual std::uint32_t key_limit() const = 0;
  /// Arrival time without a sample after which a key leaves memory ("limits": {"forget": …}).
  virtual Duration forget() const = 0;

  /// How many dead letters a partition keeps, and for how long.
  virtual DeadLetterBounds dead_letter_bounds() const { return {}; }

  /// The lane's tables of keys and fields. Ids in samples refer to these, unless a transform brought its own.
  virtual const std::shared_ptr<Dictionary>& keys() const = 0;
  virtual const std::shared_ptr<Dictionary>& fields() const = 0;

  /// What the nodes downstream name in their `columns`, in first-named order.
  virtual const std::vector<ProjectedField>& projection() const = 0;

  virtual const Clock& clock() const = 0;
  /// A codec by name ("flatbuffers") with its default settings; "" is the node's own `encoding`, and of a sink that
  /// takes messages the source's. Null if there is none.
  virtual const Codec* codec(std::string_view name) const = 0;
  /// The number of a counter that the Spec declares; for Output::count() and count() below.
  virtual std::size_t counter(std::string_view name) const = 0;
  /// The same for one reason of a counter that has them. Where nobody tells them apart, all have one number.
  virtual std::size_t reason_counter(std::string_view name, std::string_view) const { return counter(name); }
  /// Adds to a counter outside of process() (sources, sinks). Any thread.
  virtual void count(std::size_t counter, std::uint64_t n) = 0;
  /// A line for the log: something an operator of the fleet should know. Any thread; the engine limits its rate.
  virtual void warn(std::string_view message) = 0;
  /// A line for the log about something that was done and is all right, such as a stream that was made. Any thread.
  virtual void tell(std::string_view message) = 0;
};

}  // namespace weir
