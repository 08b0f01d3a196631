/// What a transform writes beside its output, later.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <weir/types.hpp>

namespace weir {

/// Writes what a transform offers it to another system, by a thread of its own (current values in a bucket). The engine
/// opens it before the lane's first step. Where the source gives again what was not committed, a step is committed only
/// when all that it offered is durable, so nothing offered is lost with its worker.
///
/// Threads   open() and offered() as the transform's process(); the rest from any.
class WriteBehind {
 public:
  virtual ~WriteBehind() = default;
  /// Connects, creates or checks what it writes to. Not called where a pipeline is only tested: then nothing is
  /// written.
  virtual Result<void> open() = 0;
  /// Number of the last thing that was offered; numbers ascend from 1. 0: nothing.
  virtual std::uint64_t offered() const = 0;
  /// Whether everything up to this number is durable, or counted as something that can't be written.
  virtual bool durable(std::uint64_t number) const = 0;
  /// Its lane ends: from now on what was offered is written at once.
  virtual void hurry() {}
  /// What keeps it from being written for now, as a sentence; empty: nothing.
  virtual std::string trouble() const = 0;
};

/// What a step offered, and to whom; the transform owns that, and a step does not outlive its lane.
struct Offered {
  std::weak_ptr<const WriteBehind> to;
  std::uint64_t number = 0;

  bool durable() const {
    const auto writer = to.lock();
    return writer != nullptr && writer->durable(number);
  }
};

}  // namespace weir
