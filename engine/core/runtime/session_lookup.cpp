#include "core/runtime/session_lookup.hpp"

#include "core/checkpoint/snapshot.hpp"
#include "core/plan/fingerprint.hpp"
#include "core/plan/keeping.hpp"
#include "core/plan/node_context.hpp"
#include "core/runtime/chain.hpp"

namespace weir {

Result<SeenSession> last_session(const Pipeline& pipeline, const Registry& registry, const ProgressLine& line,
                                 std::string_view key) {
  const Node& source = pipeline.nodes[pipeline.source()];
  if (!keeps_state(pipeline, source, registry))
    return fail(Error::Kind::invalid, "only its worker knows, as no durable \"state\" store keeps snapshots");
  if (line.progress.snapshot.empty()) return fail(Error::Kind::invalid, "there is no snapshot yet");
  Counters counters;
  NodeContext context{{pipeline, registry, counters, system_clock()}, source};
  const auto store = store_of(pipeline, registry, context);
  if (auto opened = store->open(); !opened) return std::unexpected(opened.error());
  const auto snapshot = Snapshots{*store, pipeline.kept_name()}.read(line.progress.snapshot);
  if (!snapshot) return std::unexpected(snapshot.error());
  if (!same_state(snapshot->at.fingerprint, pipeline.fingerprint))
    return fail(Error::Kind::changed, "the last snapshot is of another pipeline than this file says");
  Chain chain{pipeline, registry, counters, system_clock(), line.partition};
  if (auto loaded = chain.load(snapshot->state); !loaded) return std::unexpected(loaded.error());
  return SeenSession{chain.session(key), snapshot->at.place.position, snapshot->at.place.arrival};
}

}  // namespace weir
