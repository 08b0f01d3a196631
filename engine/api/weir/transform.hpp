/// The contract of a transform.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/context.hpp>
#include <weir/state.hpp>
#include <weir/types.hpp>

namespace weir {

/// Number of an input (in the order of `from`) or of an output port (0 is the main one, then the Spec's order).
using Port = std::size_t;
using Schemas = std::vector<SchemaPtr>;

/// Where process() puts its results. Valid only during the call.
class Output {
 public:
  virtual ~Output() = default;
  /// Sends a batch down a port, whose rows say their arrival and message. Batches of a port leave in the order of the
  /// calls; the engine sets the origin.
  virtual void emit(BatchPtr batch, Port port = 0) = 0;
  /// Sends the message behind a row of the input to the dead letters (raw bytes kept, counted by reason). If the batch
  /// has no messages behind it, a rendering of the row is kept instead.
  virtual void refuse(const Batch& in, std::size_t row, const Reason& reason) = 0;
  /// Adds to a counter; not counted twice when a lane replays after a crash.
  virtual void count(std::size_t counter, std::uint64_t n) = 0;
  /// How many rows may still be sent in this call. Who can make more of one input than fit in memory stops there, calls
  /// again(), and returns: process() is then called once more with the same input. In between, what was sent is
  /// processed, and perhaps committed. Others need not ask.
  virtual std::size_t room() const { return SIZE_MAX; }
  virtual void again() {}
};

/// A run of a key's samples, as a transform knows it.
struct KeySession {
  Timestamp first = no_time, newest = no_time;  ///< event times of its samples
  bool ended = false;                           ///< over, but for what is still to be written of it
};

/// Turns batches into batches. One instance belongs to one lane.
///
/// Threads   never called from two threads at once; needs no lock.
/// Time      only what the batches say: before row i, everything due at in.arrival[i] has been done, and at the end of
///           the batch everything due at in.reached; so the cut of batches never shows in the output.
/// Errors    a record that can't be processed goes to out.refuse(); a returned Error stops the lane.
/// State     everything that must survive a crash goes through save() and load().
class Transform {
 public:
  virtual ~Transform() = default;

  /// Decides the output schemas, one per port, from the input schemas. Pure; lint calls it too. An Error names the
  /// setting to blame.
  virtual Result<Schemas> bind_schema(const Schemas& inputs) = 0;

  /// Consumes one batch from one input; the same once more if it called Output::again() before it returned. A marker is
  /// a batch of no rows whose `reached` has moved. What several nodes of `from` give comes as one input, merged.
  virtual Result<void> process(Port input, const BatchPtr& in, Output& out) = 0;

  /// The earliest arrival time at which there is something to do without input; the engine then marks an idle stream.
  virtual std::optional<Timestamp> due() const { return {}; }

  /// Writes and reads the state as of the last call of process(). load() is called once, before the first process(),
  /// on an instance whose schema is bound; the lane's dictionaries already hold what they held at save().
  virtual void save(StateWriter&) const {}
  virtual Result<void> load(StateReader&) { return {}; }

  /// Keys and bytes held, for the metrics.
  struct Size {
    std::size_t keys = 0;
    std::size_t bytes = 0;
  };
  virtual Size size() const { return {}; }
  /// The latest session of a key that it holds, for those who look; nothing if there is none.
  virtual std::optional<KeySession> session(std::uint32_t) const { return {}; }
};

}  // namespace weir
