/// What the operators themselves say of a pipeline before anything runs: what outlives its worker, and where event time
/// comes from.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include <weir/store.hpp>

#include "core/plan/pipeline.hpp"

namespace weir {

/// A node's own claims; none if its operator makes none.
Claims claims_of(const Node& node);

/// What the pipeline's store says of itself; nothing if it has none, or it makes no claims.
Claims claims_of_store(const Pipeline& pipeline, const Registry& registry);

/// Whether lane state outlives the worker. Makes the store, which connects to nothing; false if its settings are not
/// whole. The nodes are not taken from the pipeline, which may have none yet.
bool keeps_state(const Pipeline& pipeline, const Node& source, const Registry& registry);

/// Whether workers of this pipeline may share its partitions by leases in its store: no sink keeps progress, and each
/// partition is to have one reader.
bool shared_by_store(const Pipeline& pipeline);

/// The pipeline's store, which connects to nothing yet; null if it has none, or its settings are not whole. `context`
/// must outlive it.
std::unique_ptr<Store> store_of(const Pipeline& pipeline, const Registry& registry, Context& context);

/// By what workers share the partitions: "sink db" or "store jetstream-kv", and how long its leases are.
struct SharedBy {
  std::string what;
  Duration lease = 0;
};
/// By what has the longest lease, for which a dead worker's partitions wait; nothing if workers don't share. Makes
/// sinks and stores, which connect to nothing.
std::optional<SharedBy> shared_by(const Pipeline& pipeline, const Registry& registry);

/// Whether a restarted worker finds the place again where `source` began. Only a choice named `start` makes a source
/// begin elsewhere than at the first message: at "time", an instant whose place in the stream is always the same, or at
/// one that lies elsewhere each time, as "new".
bool finds_start_again(const Node& source, std::span<const Node* const> sinks, bool state_is_kept);

/// Whether payloads of the source's encoding can hold a time; else arrival is the event time of its samples.
bool tells_time(const Pipeline& pipeline, const Node& source, const Registry& registry);

}  // namespace weir
