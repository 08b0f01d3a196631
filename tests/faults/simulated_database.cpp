#include "faults/simulated_database.hpp"

#include <algorithm>
#include <utility>

#include <weir/format.hpp>

namespace weir::faults {

void SimulatedDatabase::pass(Timestamp now) {
  now_ = now;
  for (std::size_t i = 0; i < hanging_.size();) {
    if (hanging_[i].ends > now_) {
      ++i;
      continue;
    }
    const Transaction transaction = hanging_[i];
    hanging_.erase(hanging_.begin() + static_cast<std::ptrdiff_t>(i));
    end(transaction, dice_.chance(500));
  }
}

void SimulatedDatabase::calm() {
  calm_ = true;
  for (Transaction& transaction : hanging_) transaction.ends = now_;
  pass(now_);
}

std::vector<std::string> SimulatedDatabase::of(const Lines& lines, Partition partition) {
  std::vector<std::string> out;
  for (const auto& [whose, line] : lines) {
    if (whose == partition) out.push_back(line);
  }
  return out;
}

bool SimulatedDatabase::fits(const Transaction::Lane& lane) const {
  const Place& place = places_.at(lane.commit.partition);
  return lane.ownership.held && (!safeguards_.fence || place.fence == lane.ownership.fence) &&
         place.progress.place.position == lane.ownership.position &&
         place.progress.place.emitted == lane.ownership.emitted;
}

/// Answers the partitions that were refused.
std::vector<Partition> SimulatedDatabase::apply(const Transaction& transaction) {
  std::vector<Partition> refused;
  for (const auto& lane : transaction.lanes) {
    const Partition partition = lane.commit.partition;
    if (!fits(lane)) {
      refused.push_back(partition);
      continue;
    }
    Place& place = places_[partition];
    if (place.acquisitions != lane.ownership.number)
      violation_ = weir::format("partition {}: a commit by one whom another has followed", partition);
    const Timestamp latest_tick = std::max(place.progress.place.latest_tick, lane.commit.next.place.latest_tick);
    const std::string before = std::exchange(place.progress, lane.commit.next).snapshot;
    place.progress.place.latest_tick = latest_tick;
    if (!safeguards_.commits_name_snapshots && !before.empty()) place.progress.snapshot = before;
    if (const std::string& name = place.progress.snapshot; !name.empty() && name != before && !stored_.has(name))
      violation_ = weir::format("partition {}: a commit names {}, which is not in the store", partition, name);
  }
  if (!safeguards_.one_transaction) return refused;
  for (const auto& row : transaction.rows) {
    if (!std::ranges::contains(refused, row.first)) rows_.push_back(row);
  }
  for (const auto& letter : transaction.letters) {
    if (!std::ranges::contains(refused, letter.first)) letters_.push_back(letter);
  }
  return refused;
}

bool SimulatedDatabase::names(std::string_view snapshot) const {
  return std::ranges::any_of(places_, [&](const auto& place) { return place.second.progress.snapshot == snapshot; });
}

void SimulatedDatabase::end(const Transaction& transaction, bool commits) {
  if (transaction.holds_locks) {
    for (const auto& lane : transaction.lanes) places_[lane.commit.partition].locked = false;
  }
  if (commits) (void)apply(transaction);
}

Result<void> SimulatedSink::open() {
  for (auto& [partition, ownership] : owned_) ownership.held = false;
  written_.clear();
  buried_.clear();
  connected_ = wire_.reaches();
  if (!connected_) return Wire::lost();
  return {};
}

Result<void> SimulatedSink::write(const Encoded& rows) {
  if (!connected_) return broken();
  for (std::string& row : rows_of(rows)) written_.emplace_back(rows.partition, std::move(row));
  return {};
}

bool SimulatedSink::write_dead_letter(const DeadLetter& letter) {
  buried_.emplace_back(letter.partition, letter_of(letter));
  return true;
}

Result<Committed> SimulatedSink::commit(std::span<const LaneCommit> lanes) {
  if (!connected_ || !wire_.reaches()) return broken();
  SimulatedDatabase::Transaction transaction;
  transaction.rows = std::exchange(written_, {});
  transaction.letters = std::exchange(buried_, {});
  bool waits = false;
  for (const LaneCommit& lane : lanes) {
    transaction.lanes.push_back({lane, owned_[lane.partition]});
    waits = waits || database_.places_[lane.partition].locked;
  }
  if (waits) return broken();  // for longer than a transaction may take
  return finish(std::move(transaction));
}

Result<Committed> SimulatedSink::finish(SimulatedDatabase::Transaction transaction) {
  auto& db = database_;
  if (!db.safeguards_.one_transaction)
    db.rows_.insert(db.rows_.end(), transaction.rows.begin(), transaction.rows.end());
  const std::uint64_t luck = db.calm_ ? 99 : db.dice_.roll(100);
  if (luck < 3) return broken();  // before the database has it
  if (luck < 9) {
    // The connection is gone and the server goes on by itself, before or behind the update of the progress.
    transaction.holds_locks =
        luck < 6 && std::ranges::all_of(transaction.lanes, [&](const auto& lane) { return db.fits(lane); });
    transaction.ends = db.now_ + static_cast<Duration>(db.dice_.roll(2 * lease_length));
    if (transaction.holds_locks) {
      for (const auto& lane : transaction.lanes) db.places_[lane.commit.partition].locked = true;
    }
    db.hanging_.push_back(std::move(transaction));
    return broken();
  }
  Committed out;
  out.refused = db.apply(transaction);
  if (!wire_.reaches()) return broken();  // only the answer is lost
  for (const auto& [commit, ownership] : transaction.lanes) {
    if (std::ranges::contains(out.refused, commit.partition)) continue;
    owned_[commit.partition].position = commit.next.place.position;
    owned_[commit.partition].emitted = commit.next.place.emitted;
  }
  return out;
}

bool SimulatedDatabase::runs(Timestamp lease_until) const {
  return lease_until > clock() && lease_until <= clock() + lease_length;
}

/// Over a connection of its own, as all that any thread may call.
Result<Progress> SimulatedSink::acquire(Partition partition) {
  SimulatedDatabase::Ownership ownership;
  auto progress = wire_.ask([&]() -> Result<Progress> {
    auto& place = database_.places_[partition];
    if (place.locked) return Wire::lost();
    const bool held = place.owner != 0 && place.owner != worker_ && database_.runs(place.lease_until);
    if (held) return fail(Error::Kind::held, "another worker owns it");
    place.owner = worker_;
    place.fence = database_.safeguards_.new_fence ? ++database_.fences_ : 1;
    place.lease_until = database_.clock() + lease_length;
    ownership = {place.fence, place.progress.place.position, place.progress.place.emitted, true, ++place.acquisitions};
    return place.progress;
  });
  if (progress) owned_[partition] = ownership;
  return progress;
}

/// By owner, as an acquisition's answer may still be on its way.
Result<std::vector<Partition>> SimulatedSink::renew() {
  std::map<Partition, std::uint64_t> asked;
  for (const auto& [partition, ownership] : owned_) {
    if (ownership.fence != 0) asked[partition] = ownership.fence;
  }
  if (asked.empty()) return std::vector<Partition>{};
  return wire_
      .ask([&]() -> Result<std::set<Partition>> {
        std::set<Partition> renewed;
        if (std::ranges::any_of(asked, [&](const auto& one) { return database_.places_[one.first].locked; }))
          return Wire::lost();
        for (const auto& [partition, fence] : asked) {
          auto& place = database_.places_[partition];
          if (place.owner != worker_) continue;
          place.lease_until = database_.clock() + lease_length;
          renewed.insert(partition);
        }
        return renewed;
      })
      .transform([&](const std::set<Partition>& renewed) {
        std::vector<Partition> lost;
        for (const auto& [partition, fence] : asked) {
          if (renewed.contains(partition) || owned_[partition].fence != fence) continue;
          owned_[partition] = {};
          lost.push_back(partition);
        }
        return lost;
      });
}

void SimulatedSink::release(Partition partition) {
  const std::uint64_t fence = std::exchange(owned_[partition], {}).fence;
  (void)wire_.ask([&]() -> Result<void> {
    auto& place = database_.places_[partition];
    if (place.locked) return Wire::lost();
    if (place.fence == fence) place.owner = 0;
    return {};
  });
}

Result<Members> SimulatedSink::heartbeat() {
  return wire_.ask([&]() -> Result<Members> {
    Timestamp& own = database_.workers_[worker_];
    own = database_.clock() + lease_length;
    Members members;
    for (const auto& [worker, until] : database_.workers_) {
      const bool another = worker != worker_ && database_.runs(until);
      members.workers += another;
      members.rank += another && worker < worker_;
    }
    for (const auto& [partition, place] : database_.places_) {
      if (place.owner != 0 && place.owner != worker_ && database_.runs(place.lease_until))
        members.taken.push_back(partition);
      if (place.progress.place.position != 0)
        members.committed.push_back({partition, place.progress.place.position, place.progress.resets});
    }
    return members;
  });
}

void SimulatedSink::leave() {
  (void)wire_.ask([&]() -> Result<void> {
    database_.workers_.erase(worker_);
    return {};
  });
}

std::unexpected<Error> SimulatedSink::broken() {
  connected_ = false;
  written_.clear();
  buried_.clear();
  return Wire::lost();
}

}  // namespace weir::faults
