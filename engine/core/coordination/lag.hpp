/// The lag of a pipeline: what its streams hold beyond the progress that its sinks keep. Nothing that a
/// worker does is asked, so any process can tell, also of partitions that nobody owns.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <weir/clock.hpp>
#include <weir/sink.hpp>
#include <weir/source.hpp>

#include "core/plan/pipeline.hpp"

namespace weir {

struct PartitionLag {
  Partition partition = 0;
  std::string owner = {};      ///< empty: nobody
  Position position = 0;       ///< everything up to here is committed
  std::uint64_t messages = 0;  ///< that the stream holds beyond it, markers among them
  Duration age = 0;            ///< how long the first of them has been there
};

struct Lag {
  std::vector<PartitionLag> partitions;  ///< all of them, ascending
  std::uint64_t messages = 0;            ///< of all partitions
  Duration age = 0;                      ///< the greatest of them
  std::vector<std::string> unanswered =
      {};  ///< who keeps progress and does not answer, and why: their lag may be greater
};

/// `backlogs`: beyond the positions of `lines`, in their order. `now`: wall time; where a server's clock is ahead of
/// it, there is no lag.
Lag lag_of(std::span<const ProgressLine> lines, std::span<const Backlog> backlogs, Timestamp now);

/// Asks who keeps progress, see Ledgers::ask(), and then the source, over connections of their own. As long as their
/// time-outs, where they don't answer. invalid: there is no lag to tell, as nobody keeps progress or the source doesn't
/// know its streams. changed: a stream is not the one that the progress is of.
Result<Lag> measure_lag(const Pipeline& pipeline, const Registry& registry, const Clock& clock);

/// {"pipeline":"fleet","messages":12,"seconds":3.25,"partitions":[{"partition":0,"owner":null,"position":7,…},…],
/// "unanswered":[]}, on a line.
std::string lag_json(const Pipeline& pipeline, const Lag& lag);

}  // namespace weir
