#include "core/checkpoint/renamed_pipeline.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string>

#include <weir/format.hpp>
#include <weir/spelling.hpp>

#include "core/checkpoint/snapshot.hpp"
#include "core/plan/fingerprint.hpp"
#include "core/plan/sink_start.hpp"

namespace weir {
namespace {

constexpr std::string_view names_newest = ".latest", counts_resets = ".resets";

/// Whether there is a snapshot of a pipeline, or was one that was forgotten on purpose.
Result<bool> has_state(Store& store, std::string_view pipeline) {
  return store.names(storable(pipeline) + ".").transform([](const std::vector<std::string>& names) {
    return std::ranges::any_of(
        names, [](const std::string& name) { return name.ends_with(names_newest) || name.ends_with(counts_resets); });
  });
}

struct PartitionOf {
  std::string pipeline;
  Partition partition = 0;
};

/// Of "<pipeline>.<partition>.latest"; nothing of other names.
std::optional<PartitionOf> owner_in(std::string_view name) {
  if (!name.ends_with(names_newest)) return {};
  name.remove_suffix(names_newest.size());
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  PartitionOf out{.pipeline = std::string{name.substr(0, dot)}};
  std::from_chars(name.data() + dot + 1, name.data() + name.size(), out.partition);
  return out;
}

/// Whether what another pipeline remembers of a partition may be this one's: of the same rules and a sink of the same
/// id; nothing: it can't be read.
Result<std::optional<bool>> is_of(const Pipeline& pipeline, Store& store, const PartitionOf& other) {
  Snapshots snapshots{store, other.pipeline};
  const auto latest = snapshots.remembered(other.partition);
  if (!latest) return std::unexpected(latest.error());
  if (latest->snapshot.empty()) return std::nullopt;
  const bool same_sink = std::ranges::any_of(pipeline.nodes, [&](const Node& node) {
    return node.role == Role::sink && mention_of(node.kept_id(), latest->sinks) != SinkMention::none;
  });
  if (!same_sink) return false;
  const auto place = snapshots.place(latest->snapshot);
  if (!place && place.error().kind == Error::Kind::changed) return std::nullopt;
  if (!place) return std::unexpected(place.error());
  return same_state(place->fingerprint, pipeline.fingerprint);
}

}  // namespace

Result<void> check_renamed(const Pipeline& pipeline, Store& store) {
  const auto here = has_state(store, pipeline.kept_name());
  if (!here) return std::unexpected(here.error());
  if (!pipeline.renamed_from.empty()) {
    const auto both = has_state(store, pipeline.name);
    if (!both) return std::unexpected(both.error());
    if (!*both) return {};
    return fail(Error::Kind::invalid,
                weir::format("pipeline {0} has state under its own name, {1} {2}: take out \"renamed_from\": {1}, or "
                             "forget what is not wanted with `weir progress reset`",
                             quoted(pipeline.name), quoted(pipeline.renamed_from), *here ? "has, too" : "has none"));
  }
  if (*here) return {};
  const auto names = store.names("");
  if (!names) return std::unexpected(names.error());
  std::set<std::string> known;
  for (const std::string& name : *names) {
    const auto other = owner_in(name);
    if (!other || known.contains(other->pipeline)) continue;
    const auto same = is_of(pipeline, store, *other);
    if (!same) return std::unexpected(same.error());
    if (same->has_value()) known.insert(other->pipeline);
    if (!same->value_or(false)) continue;
    return fail(Error::Kind::invalid,
                weir::format("pipeline {0} has state in the same store, of the same source and transforms: if it was "
                             "renamed, write \"renamed_from\": {0} beside \"name\"; if both are to run, give this one "
                             "a store or bucket of its own",
                             quoted(other->pipeline)));
  }
  return {};
}

}  // namespace weir
