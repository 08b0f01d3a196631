// How a commit cycle becomes the owner of a partition, and where each sink begins.
#include <algorithm>
#include <ranges>
#include <utility>

#include <weir/format.hpp>

#include "core/checkpoint/commit.hpp"
#include "core/checkpoint/store_ledger.hpp"
#include "core/observe/attempt.hpp"
#include "core/observe/log.hpp"

namespace weir {
namespace {

/// Nothing was ever committed there.
bool is_blank(const Progress& progress) { return progress.place.position == 0; }

}  // namespace

Result<CommitCycle::Acquired> CommitCycle::acquire(Partition partition, bool replays) {
  // Whatever breaks, half an owner would keep everybody else from becoming a whole one.
  auto found = attempt("acquire", [&] { return take_ownership(partition, replays); });
  if (!found) {
    give_back(partition);
    return std::unexpected(found.error());
  }
  auto& [recovered, sinks] = *found;
  std::vector<UncommittedSteps::Stand> stood;
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    Progress& stand = recovered.stands[i];
    if (!sinks_[i].keeps()) stand.place.emitted = 0;
    if (stand.place.emitted != 0 && replays)
      recovered.start.emitted.push_back({sinks_[i].node, stand.place.position, stand.place.emitted});
    stood.push_back({sinks_[i].node, std::move(stand)});
  }
  Acquired out{std::move(recovered.start), {stood, sinks_.transactional(), recovered.least}, std::move(sinks)};
  out.lane.set_borders(out.start);
  return out;
}

Result<CommitCycle::Found> CommitCycle::take_ownership(Partition partition, bool replays) {
  {
    const std::scoped_lock lock{mutex_};
    acquired_.insert(partition);
  }
  const auto once = [&]() -> Result<Found> {
    auto stands = sinks_.acquire(partition);
    if (!stands) return std::unexpected(stands.error());
    return recover(partition, *std::move(stands), replays);
  };
  auto found = once();
  const bool missing = found ? !found->recovered.start.lost.empty() : found.error().kind == Error::Kind::changed;
  // Who has stood still for longer than its lease may miss a snapshot that another worker has moved on from.
  return missing ? once() : std::move(found);
}

Result<void> CommitCycle::install(Partition partition, const Acquired& acquired) {
  if (auto adopted = adopt(partition, acquired.sinks); !adopted) return adopted;
  box_.resume(partition, acquired.lane.committed().place.position);
  lanes_.insert_or_assign(partition, acquired.lane);
  std::erase(unreported_.refused, partition);  // of the lane before this one
  std::erase_if(unreported_.failed, [&](const auto& lane) { return lane.first == partition; });
  return {};
}

Result<CommitCycle::Found> CommitCycle::recover(Partition partition, std::vector<Progress> stands, bool replays) {
  if (auto kept = not_deleted(partition, stands); !kept) return std::unexpected(kept.error());
  auto rivals = check_names(partition, stands);
  if (!rivals) return std::unexpected(rivals.error());
  auto begin = starts(partition, stands);
  if (!begin) return std::unexpected(begin.error());
  const std::vector<std::uint32_t> resets{std::from_range, stands | std::views::transform(&Progress::resets)};
  stands.assign_range(*begin | std::views::transform(&SinkStart::at));
  auto found = weir::recover(partition, std::move(stands), snapshots_, pipeline_.fingerprint, replays);
  if (!found) return std::unexpected(found.error());
  if (sinks_.transactional() == 0 && !found->start.lost.empty())
    return std::unexpected(StoreLedger::nothing_else_kept(partition, found->start.lost));
  if (auto kept = not_deleted(partition, found->least); !kept) return std::unexpected(kept.error());
  name_blank(*begin, *found);
  if (found->start.kept.empty()) found->start.rivals = *std::move(rivals);
  for (std::size_t i = 0; i < sinks_.size(); ++i) found->stands[i].resets = resets[i];
  return Found{*std::move(found), *std::move(begin)};
}

Result<std::vector<SinkStart>> CommitCycle::starts(Partition partition, std::span<const Progress> stands) const {
  const auto resumed = [](const Progress& at) { return SinkStart{SinkAction::resume, at}; };
  if (sinks_.transactional() == 0)
    return std::vector<SinkStart>{std::from_range, stands | std::views::transform(resumed)};
  std::vector<SinkPlace> places;
  for (std::size_t i = 0; i < sinks_.size(); ++i)
    places.push_back({kept_id(i), sinks_[i].keeps(), pipeline_.nodes[sinks_[i].node].begins, stands[i]});
  auto latest = latest_place(partition);
  if (!latest) return std::unexpected(latest.error());
  auto starts = starts_of(places, *latest);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (starts[i].action == SinkAction::lost) return std::unexpected(lost(partition, i));
  }
  return starts;
}

/// What the store tells of sinks that are gone, or have lost what they kept.
Result<Progress> CommitCycle::latest_place(Partition partition) const {
  if (!snapshots_.durable()) return Progress{};
  auto latest = snapshots_.remembered(partition);
  if (!latest) return std::unexpected(latest.error());
  if (latest->snapshot.empty()) return Progress{};
  auto place = snapshots_.place(latest->snapshot);
  if (!place && place.error().kind != Error::Kind::changed) return place;
  Progress out = place.value_or(Progress{});
  out.snapshot = std::move(latest->snapshot);
  out.sinks = std::move(latest->sinks);
  return out;
}

Error CommitCycle::lost(Partition partition, std::size_t index) const {
  return {
      Error::Kind::changed,
      weir::format("partition {0}: the progress of sink {1} is gone, although this pipeline has committed to it: its "
                   "database was lost, or restored from a backup, or is another one now; restore it, or run `weir "
                   "progress reset --node {1} --partition {0}`: it then gets all rows from the stream's first "
                   "message on",
                   partition, sinks_[index].id)};
}

/// Under what names the sinks keep progress. Answers what other pipelines keep for tables of this one.
Result<std::vector<Peer>> CommitCycle::check_names(Partition partition, std::span<const Progress> stands) const {
  std::vector<Peer> rivals;
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    const Node& node = pipeline_.nodes[sinks_[i].node];
    const bool has = stands[i].place.position > 0 || stands[i].resets > 0;
    if (!sinks_[i].keeps() || (has && node.renamed_from.empty() && pipeline_.renamed_from.empty())) continue;
    auto peers = attempt(sinks_[i].id, [&] { return sinks_[i].sink->ledger()->peers(partition); });
    if (!peers) return std::unexpected(peers.error());
    if (const std::string problem = rename_problem(pipeline_, {node, has, *peers}); !problem.empty())
      return fail(Error::Kind::invalid, weir::format("partition {}: {}", partition, problem));
    if (node.begins == SinkBegins::stream) continue;
    std::erase_if(*peers, [&](const Peer& peer) { return peer.pipeline == pipeline_.kept_name(); });
    rivals.append_range(*std::move(peers));
  }
  return rivals;
}

/// What begins where another stands says so in its own ledger, before its first row.
Result<void> CommitCycle::adopt(Partition partition, std::span<const SinkStart> starts) {
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (starts[i].action != SinkAction::begin_now) continue;
    log::info("partition {}: sink {} is new: it begins after position {}, where the others stand", partition,
              sinks_[i].id, starts[i].at.place.position);
    if (!sinks_[i].keeps()) continue;
    const LaneCommit commit{partition, starts[i].at};
    const auto committed = attempt(sinks_[i].id, [&] { return sinks_[i].sink->commit({&commit, 1}); });
    if (!committed) {
      sinks_.doubt(i);
      return std::unexpected(committed.error());
    }
    if (committed->refused.empty()) continue;
    return fail(Error::Kind::held,
                weir::format("partition {}: another worker has acquired it in sink {}", partition, sinks_[i].id));
  }
  return {};
}

void CommitCycle::note_committed(const std::vector<Standing>& standings) {
  const std::optional<std::size_t> sink = sinks_.of_members();
  if (!sink) return;
  const std::scoped_lock lock{mutex_};
  for (const Standing& one : standings) {
    auto& had = known_[one.partition].had;
    had.resize(sinks_.size());
    had[*sink] = {one.position, one.resets};
  }
}

/// Starting over would write again what was written.
Result<void> CommitCycle::not_deleted(Partition partition, std::span<const Progress> stands) const {
  const std::scoped_lock lock{mutex_};
  const auto known = known_.find(partition);
  for (std::size_t i = 0; known != known_.end() && i < known->second.had.size(); ++i) {
    const auto& [position, resets] = known->second.had[i];
    if (position == 0 || !is_blank(stands[i]) || stands[i].resets > resets) continue;
    return fail(Error::Kind::changed,
                weir::format("partition {0}: the progress of {1} at position {2} was deleted while workers ran; the "
                             "rows up to there are still in its table. Bring it back; or, if they are to be written "
                             "again, take them out and run `weir progress reset --node {1} --partition {0}`",
                             partition, sinks_[i].id, position));
  }
  return {};
}

/// The same where no sink keeps progress, but snapshots tell the place.
Result<void> CommitCycle::not_deleted(Partition partition, const Progress& remembered) const {
  const std::scoped_lock lock{mutex_};
  const auto known = known_.find(partition);
  if (known == known_.end() || known->second.snapshot.empty() || !remembered.snapshot.empty()) return {};
  return std::unexpected(StoreLedger::lost(partition, known->second.position));
}

/// A sink that begins at the first message may have all the rows already.
void CommitCycle::name_blank(std::span<const SinkStart> starts, Recovered& found) const {
  if (sinks_.transactional() == 0 || found.start.kept.empty()) return;
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    if (starts[i].action == SinkAction::begin_first) found.start.blank.push_back(sinks_[i].id);
  }
}

}  // namespace weir
