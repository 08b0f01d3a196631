#include "core/checkpoint/store_ledger.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <weir/format.hpp>
#include <weir/units.hpp>

#include "core/observe/log.hpp"

namespace weir {
namespace {

/// The owner of partitions while they are forgotten, no worker's name; what is left of one that was ended in between
/// is nobody's.
constexpr std::string_view resetting = "weir progress reset-";

std::unexpected<Error> anothers(Partition partition) {
  return fail(Error::Kind::held, weir::format("another worker acquires partition {}", partition));
}

std::unexpected<Error> acquired_meanwhile(Partition partition) {
  return fail(Error::Kind::held, weir::format("a worker acquires partition {}; end it", partition));
}

/// Without the instance.
std::string worker_of(std::string_view owner) { return std::string{owner.substr(0, owner.rfind('-'))}; }

}  // namespace

StoreLedger::StoreLedger(Store& store, Snapshots& snapshots, std::uint32_t partitions, Instance self,
                         const Clock& clock)
    : store_{store},
      snapshots_{snapshots},
      leases_{snapshots.pipeline() + ".lease."},
      workers_{snapshots.pipeline() + ".worker."},
      mark_{snapshots.pipeline() + ".mark"},
      partitions_{partitions},
      worker_{self.worker},
      self_{self.worker + "-" + self.id},
      clock_{clock} {}

/// An instance of this worker, this one or a former one.
bool StoreLedger::is_mine(std::string_view owner) const { return worker_of(owner) == worker_; }

/// Whether a lease that another holds may still run, as far as this worker has seen.
bool StoreLedger::runs(const std::string& name, std::uint64_t revision) {
  const Timestamp now = clock_.steady();
  const std::scoped_lock lock{mutex_};
  Seen& seen = seen_[name];
  if (seen.revision != revision) seen = {revision, now};
  return now - seen.since < lease();
}

Result<Progress> StoreLedger::acquire(Partition partition) {
  if (lease() == 0) return progress_of(partition);
  if (auto same = same_store(partition); !same) return std::unexpected(same.error());
  if (auto taken = take_lease(partition); !taken) return std::unexpected(taken.error());
  auto progress = progress_of(partition);
  if (!progress) return progress;
  // What was read is this owner's to go on from only if nobody else owned it in between.
  const auto held = store_.newest(lease_of(partition));
  if (!held) return std::unexpected(held.error());
  if (!*held || (*held)->value != self_) return anothers(partition);
  return progress;
}

Result<void> StoreLedger::same_store(Partition partition) {
  std::string known;
  {
    const std::scoped_lock lock{mutex_};
    known = marked_;
  }
  auto there = store_.newest(mark_);
  if (there && !*there && known.empty()) {
    // Not written: another one was faster.
    if (const auto written = store_.put_if(mark_, self_, 0); !written) return std::unexpected(written.error());
    there = store_.newest(mark_);
  }
  if (!there) return std::unexpected(there.error());
  const std::string found = *there ? (*there)->value : "";
  if (!known.empty() && found != known) return std::unexpected(lost(partition, 0));
  const std::scoped_lock lock{mutex_};
  marked_ = found;
  return {};
}

Result<void> StoreLedger::take_lease(Partition partition) {
  const std::string name = lease_of(partition);
  const auto held = store_.newest(name);
  if (!held) return std::unexpected(held.error());
  const std::string owner = *held ? (*held)->value : "";
  const std::uint64_t revision = *held ? (*held)->revision : 0;
  const auto displaced = [this] {
    const std::scoped_lock lock{mutex_};
    return displaced_;
  };
  if (!owner.empty() && owner != self_ && (!is_mine(owner) || displaced()) && runs(name, revision)) {
    return fail(Error::Kind::held, weir::format("partition {} belongs to {}; its lease runs for {} at most", partition,
                                                worker_of(owner), format_duration(lease())));
  }
  const Seen before{revision, clock_.steady()};
  const auto taken = store_.put_if(name, self_, revision);
  const bool unknown = !taken;  // release() finds out
  const std::scoped_lock lock{mutex_};
  if (unknown || *taken) acquired_[partition] = unknown ? before : Seen{**taken, before.since};
  if (unknown) return std::unexpected(taken.error());
  return *taken ? Result<void>{} : anothers(partition);
}

/// A value that is this instance's, though the answer to the last write may have been lost. Nothing: it is no more.
Result<StoreLedger::Revision> StoreLedger::write_own(const std::string& name, std::string_view value,
                                                     std::uint64_t revision) {
  auto written = store_.put_if(name, value, revision);
  if (!written || *written) return written;
  const auto held = store_.newest(name);
  if (!held) return std::unexpected(held.error());
  if (!*held || (*held)->value != self_) return Revision{};
  return store_.put_if(name, value, (*held)->revision);
}

Error StoreLedger::lost(Partition partition, Position position) {
  const std::string reached = position == 0 ? "" : weir::format(", which had come to position {}", position);
  return {Error::Kind::changed,
          weir::format("partition {}: what the \"state\" store held was deleted while workers ran{}\n"
                       "  why not    no sink of this pipeline keeps progress, so only the store told what was written\n"
                       "  ways out   bring back what the store held\n"
                       "             or end all workers and start them again: each lane then begins where the "
                       "source's \"start\" says, with empty state",
                       partition, reached)};
}

Error StoreLedger::nothing_else_kept(Partition partition, std::string_view why) {
  return {
      Error::Kind::changed,
      weir::format("partition {}: {}\n"
                   "  why not    no sink of this pipeline keeps progress, so only the snapshot told what was written\n"
                   "  ways out   bring back what the \"state\" store held\n"
                   "             or another \"name\": all rows again, beside those that are there",
                   partition, why)};
}

Result<Progress> StoreLedger::progress_of(Partition partition) {
  auto latest = snapshots_.remembered(partition);
  if (!latest) return std::unexpected(latest.error());
  const auto resets = snapshots_.resets(partition);
  if (!resets) return std::unexpected(resets.error());
  if (latest->snapshot.empty()) return Progress{.resets = *resets};
  auto place = snapshots_.place(latest->snapshot);
  if (!place && place.error().kind == Error::Kind::changed)
    return std::unexpected(nothing_else_kept(partition, place.error().message));
  if (!place) return place;
  place->snapshot = std::move(latest->snapshot);
  place->resets = std::max(place->resets, *resets);
  return place;
}

/// Unless the partition was acquired again, or released, while the store was asked.
void StoreLedger::note(Partition partition, const Seen& before, const std::optional<Seen>& now) {
  const std::scoped_lock lock{mutex_};
  const auto there = acquired_.find(partition);
  if (there == acquired_.end() || there->second.revision != before.revision) return;
  if (now) {
    there->second = *now;
  } else {
    acquired_.erase(there);
  }
}

Result<std::vector<Partition>> StoreLedger::renew() {
  std::map<Partition, Seen> owned;
  {
    const std::scoped_lock lock{mutex_};
    owned = acquired_;
  }
  std::vector<Partition> lost;
  std::optional<Error> failed;
  for (const auto& [partition, before] : owned) {
    const Timestamp now = clock_.steady();
    auto renewed =
        failed ? Result<Revision>{std::unexpected(*failed)} : write_own(lease_of(partition), self_, before.revision);
    if (!renewed) failed = renewed.error();
    if (!renewed && now - before.since < lease()) continue;
    const bool holds = renewed && *renewed;
    note(partition, before, holds ? std::optional{Seen{**renewed, now}} : std::nullopt);
    if (!holds) lost.push_back(partition);
  }
  if (failed && lost.empty()) return std::unexpected(*std::move(failed));
  return lost;
}

void StoreLedger::release(Partition partition) {
  std::uint64_t revision = 0;
  {
    const std::scoped_lock lock{mutex_};
    const auto acquired = acquired_.extract(partition);
    if (acquired.empty()) return;
    revision = acquired.mapped().revision;
  }
  // If it has become another's meanwhile, there is nothing to give back.
  const auto released = write_own(lease_of(partition), "", revision);
  if (!released) log::warn("partition {}: not given back: {}", partition, released.error().message);
}

/// The first word displaces a former instance; a later one only confirms it, or says it again if the value is gone, as
/// after the loss of the bucket.
Result<void> StoreLedger::say_here() {
  const Timestamp now = clock_.steady();
  Timestamp said = no_time;
  {
    const std::scoped_lock lock{mutex_};
    said = said_;
  }
  if (said != no_time && now - said < lease() / 3) return {};
  const std::string name = workers_ + worker_;
  const auto there = store_.newest(name);
  if (!there) return std::unexpected(there.error());
  const bool others = *there && !(*there)->value.empty() && (*there)->value != self_;
  if (said != no_time && others) {
    const std::scoped_lock lock{mutex_};
    displaced_ = true;
    return fail(Error::Kind::changed,
                weir::format("another worker bears the name {} since; give one of them another by --worker", worker_));
  }
  const auto written = store_.put_if(name, self_, *there ? (*there)->revision : 0);
  if (!written) return std::unexpected(written.error());
  const std::scoped_lock lock{mutex_};
  said_ = *written ? now : std::max(said, now - lease() / 3);  // not written: the next time tells who was faster
  return {};
}

/// A worker that has not been heard of for long is forgotten.
Result<bool> StoreLedger::is_another_here(const std::string& name) {
  const auto told = store_.newest(name);
  if (!told) return std::unexpected(told.error());
  if (!*told || (*told)->value.empty()) return false;
  if (runs(name, (*told)->revision)) return true;
  {
    const std::scoped_lock lock{mutex_};
    if (clock_.steady() - seen_[name].since < 10 * lease()) return false;
    seen_.erase(name);
  }
  return store_.remove(name).transform([] { return false; });
}

Result<Members> StoreLedger::heartbeat() {
  if (auto said = say_here(); !said) return std::unexpected(said.error());
  Members members;
  const auto names = store_.names(workers_);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (name == workers_ + worker_) continue;
    const auto here = is_another_here(name);
    if (!here) return std::unexpected(here.error());
    members.workers += *here;
    members.rank += *here && name < workers_ + worker_;
  }
  const auto leases = store_.names(leases_);
  if (!leases) return std::unexpected(leases.error());
  for (const std::string& name : *leases) {
    const auto held = store_.newest(name);
    if (!held) return std::unexpected(held.error());
    if (!*held || (*held)->value.empty() || is_mine((*held)->value) || !runs(name, (*held)->revision)) continue;
    Partition partition = 0;
    std::from_chars(name.data() + leases_.size(), name.data() + name.size(), partition);
    members.taken.push_back(partition);
  }
  std::ranges::sort(members.taken);
  return members;
}

void StoreLedger::leave() {
  {
    const std::scoped_lock lock{mutex_};
    if (std::exchange(said_, no_time) == no_time) return;
  }
  // Not if another instance has the name meanwhile.
  const std::string name = workers_ + worker_;
  const auto left = store_.newest(name).and_then(
      [&](const auto& there) { return there && there->value == self_ ? store_.remove(name) : Result<void>{}; });
  if (!left) log::warn("{}; the others wait until the lease has run out", left.error().message);
}

Result<StoreLedger::Lease> StoreLedger::read_lease(Partition partition, Now& now) {
  auto held = store_.newest(lease_of(partition));
  if (!held) return std::unexpected(held.error());
  if (!*held) return Lease{};
  if (!now) {
    const auto told = store_.time();
    if (!told) return std::unexpected(told.error());
    now = *told;
  }
  // One that would run for longer than a lease can was written before the store's clock was set back: nobody renews it.
  const Duration left = store_.lease() - (*now - (*held)->written);
  return Lease{std::move((*held)->value), (*held)->revision, left > store_.lease() ? 0 : left};
}

Result<std::vector<ProgressLine>> StoreLedger::progress() {
  if (auto there = store_.look(); !there) return std::unexpected(there.error());
  std::vector<ProgressLine> out;
  Now now;
  for (Partition partition = 0; partition < partitions_; ++partition) {
    auto lease = read_lease(partition, now);
    if (!lease) return std::unexpected(lease.error());
    auto newest = snapshots_.remembered(partition);
    if (!newest) return std::unexpected(newest.error());
    if (lease->owner.empty() && newest->snapshot.empty()) continue;
    ProgressLine line{.partition = partition, .owner = worker_of(lease->owner), .lease_left = lease->left};
    if (!newest->snapshot.empty()) {
      const auto place = snapshots_.place(newest->snapshot);
      if (place) {
        line.progress = *place;
      } else if (place.error().kind != Error::Kind::changed) {
        return std::unexpected(place.error());
      }
      line.progress.snapshot = std::move(newest->snapshot);
    }
    out.push_back(std::move(line));
  }
  return out;
}

Result<std::size_t> StoreLedger::reset(std::optional<Partition> partition) {
  if (auto there = store_.look(); !there) return std::unexpected(there.error());
  std::map<Partition, Lease> leases;
  Now now;
  for (Partition k = partition.value_or(0); k < (partition ? *partition + 1 : partitions_); ++k) {
    const auto kept = snapshots_.any(k);
    if (!kept) return std::unexpected(kept.error());
    auto lease = read_lease(k, now);
    if (!lease) return std::unexpected(lease.error());
    if (!lease->owner.empty() && lease->owner != resetting && lease->left > 0) {
      return fail(Error::Kind::held,
                  weir::format("partition {} belongs to {}, whose lease runs for {}; end that worker", k,
                               worker_of(lease->owner), format_duration(lease->left)));
    }
    if (*kept) leases.emplace(k, *std::move(lease));
  }
  std::map<Partition, std::uint64_t> taken;
  auto done = take_over(leases, taken);
  for (auto& [k, revision] : taken) {
    if (done) done = forget(k, revision);
    const auto given = store_.put_if(lease_of(k), "", revision);
    if (done && !given) done = std::unexpected(given.error());
    if (done && !*given) done = acquired_meanwhile(k);
  }
  return done.transform([&] { return taken.size(); });
}

/// As an owner of its own, so that no worker begins meanwhile with what is half gone.
Result<void> StoreLedger::take_over(const std::map<Partition, Lease>& leases,
                                    std::map<Partition, std::uint64_t>& taken) {
  for (const auto& [k, lease] : leases) {
    const auto revision = store_.put_if(lease_of(k), resetting, lease.revision);
    if (!revision) return std::unexpected(revision.error());
    if (!*revision) return acquired_meanwhile(k);
    taken.emplace(k, **revision);
  }
  return {};
}

/// Those before it may have taken longer than a lease.
Result<void> StoreLedger::forget(Partition partition, std::uint64_t& revision) {
  const auto renewed = store_.put_if(lease_of(partition), resetting, revision);
  if (!renewed) return std::unexpected(renewed.error());
  if (!*renewed) return acquired_meanwhile(partition);
  revision = **renewed;
  return snapshots_.forget(partition);
}

}  // namespace weir
