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
  /// Number of the last offer, each of one thing or of many; numbers ascend from 1. 0: none.
  virtual std::uint64_t offered() const = 0;
  /// Whether all offers up to this number are durable, or counted as something that can't be written.
  virtual bool durable(std::uint64_t number) const = 0;
  /// A commit waits: what was offered so far is to be written without waiting for its time. May be called often.
  virtual void hurry() = 0;
  /// What keeps it from being written for now, as a sentence; empty: nothing.
  virtual std::string trouble() const = 0;
};

/// What a step offered, and to whom; the transform owns that, and a step does not outlive its lane.
struct Offered {
  std::weak_ptr<WriteBehind> to;
  std::uint64_t number = 0;

  bool durable() const {
    const auto writer = to.lock();
    return writer != nullptr && writer->durable(number);
  }
  void hurry() const {
    if (const auto writer = to.lock(); writer != nullptr && !writer->durable(number)) writer->hurry();
  }
};

}  // namespace weir
