/// Lets others look at the rows of a running pipeline, without holding it up.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/plan/pipeline.hpp"

namespace weir {

class Taps;

/// One look at one place: what waits for whoever looks. What finds no room is counted, and goes on unseen.
///
/// Threads   any; take() from one.
class Tap {
 public:
  static constexpr std::size_t most_batches = 64;
  static constexpr std::size_t most_bytes = 4u << 20;  ///< of batches that wait; one alone may have more

  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  struct Seen {
    std::vector<BatchPtr> batches;
    std::uint64_t missed = 0;       ///< rows that found no room
    std::vector<std::string> news;  ///< sentences: what became of the pipeline
    bool over = false;              ///< nothing more will come
  };
  /// What has come since the last time. Waits until there is something, or so long.
  Seen take(Duration wait);

  /// Of the place when the look began; after a reload batches may have another.
  const SchemaPtr& schema() const { return schema_; }

 private:
  friend class Taps;
  Tap(Taps& taps, std::string place, SchemaPtr schema)
      : taps_{taps}, place_{std::move(place)}, schema_{std::move(schema)} {}

  Taps& taps_;
  const std::string place_;
  const SchemaPtr schema_;
  // With the mutex of taps_.
  Seen seen_;
  std::size_t bytes_ = 0;
};

/// All looks at one pipeline.
///
/// Places    "rows.late" is a port, "rows" a node's main port, "db" what a sink is given.
/// Threads   any. Where nobody looks, offer() is one relaxed load; else it takes a lock that is held for moments, and
///           neither waits nor makes anything of the rows.
class Taps {
 public:
  static constexpr std::size_t most = 4;  ///< looks at a time

  /// invalid: there is no such place. exhausted: too many look already. unreachable: no pipeline runs.
  /// The answer must not outlive this.
  Result<std::unique_ptr<Tap>> open(const std::string& place);

  void offer(const Pipeline& pipeline, PortRef from, const BatchPtr& batch) {
    if (looking_.load(std::memory_order_relaxed) != 0) hand_out(pipeline, from, batch);
  }

  /// From now on this one runs. Looks at places that it does not have end; the others go on, and are told.
  void runs(const Pipeline& pipeline);
  /// Ends all looks, with this as the last word, and waits for them to be gone, for a second at most.
  void end(const std::string& why);

 private:
  friend class Tap;
  void hand_out(const Pipeline& pipeline, PortRef from, const BatchPtr& batch);

  std::atomic<std::size_t> looking_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Tap*> taps_;
  std::vector<std::pair<std::string, SchemaPtr>> places_;
};

}  // namespace weir
