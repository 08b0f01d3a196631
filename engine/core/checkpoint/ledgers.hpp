/// Who keeps the progress of a pipeline, to ask what is kept.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weir/sink.hpp>
#include <weir/store.hpp>

#include "core/checkpoint/store_ledger.hpp"
#include "core/plan/node_context.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// The ledgers of the sinks, which are not opened. Where no sink keeps progress, and workers share the partitions by
/// leases in the store, that of the store, called "state".
///
/// Threads   one.
class Ledgers {
 public:
  /// `pipeline` and `registry` must outlive it.
  Ledgers(const Pipeline& pipeline, const Registry& registry);

  /// Leaves out all but this one; empty: none is left out. invalid: none is left; why.
  Result<void> only(const std::string& node);

  struct Named {
    std::string node;
    Ledger* ledger = nullptr;
  };
  /// In the pipeline's order: the first one says who owns a partition.
  std::vector<Named>& all() { return all_; }

  /// What each keeps of the partitions, in the same order.
  struct Answers {
    struct Kept {
      std::string node;
      std::vector<ProgressLine> lines;
    };
    std::vector<Kept> kept = {};
    std::vector<std::vector<ProgressLine>> lines() const;  ///< without their names
    std::vector<std::string> unanswered = {};              ///< of those that do not answer: "db: why"
  };
  /// Asks all of them. Where none answers: the first one's error, which names it.
  Result<Answers> ask() const;

 private:
  Counters counters_;
  std::vector<std::unique_ptr<NodeContext>> contexts_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Snapshots> snapshots_;
  std::unique_ptr<StoreLedger> store_ledger_;
  std::vector<Named> all_;
};

/// Whether somebody owns the partition: a lease that has run out binds nobody.
inline bool is_owned(const ProgressLine& line) { return !line.owner.empty() && line.lease_left > 0; }

/// A line for each of the source's partitions, ascending, also for those of which nothing is kept: the first sink's,
/// but with the progress of the least advanced sink, as that is where a lane goes on, and the owner whose lease runs
/// longest, as nobody else gets the partition before.
std::vector<ProgressLine> lines_of(std::uint32_t partitions, const std::vector<std::vector<ProgressLine>>& by_sink);

}  // namespace weir
