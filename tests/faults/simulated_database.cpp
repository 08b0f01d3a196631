#include "faults/simulated_database.hpp"

#include <algorithm>
#include <utility>

namespace weir::faults {

void SimulatedDatabase::pass(Duration time) {
  now_ += time;
  for (std::size_t i = 0; i < hanging_.size();) {
    if (hanging_[i].ends > now_) {
      ++i;
      continue;
    }
    const Transaction transaction = hanging_[i];
    hanging_.erase(hanging_.begin() + static_cast<std::ptrdiff_t>(i));
    end(transaction, dice_.chance(50));
  }
}

void SimulatedDatabase::calm() {
  calm_ = true;
  pass(2 * lease);
}

std::vector<std::string> SimulatedDatabase::rows(Partition partition) const {
  std::vector<std::string> out;
  for (const auto& [of, row] : rows_) {
    if (of == partition) out.push_back(row);
  }
  return out;
}

Position SimulatedDatabase::position(Partition partition) const {
  const auto place = places_.find(partition);
  return place == places_.end() ? 0 : place->second.progress.position;
}

bool SimulatedDatabase::fits(const Transaction::Lane& lane) const {
  const Place& place = places_.at(lane.commit.partition);
  return (!safeguards_.fence || place.fence == lane.fence) && place.progress.position == lane.follows;
}

/// Answers the partitions that were refused.
std::vector<Partition> SimulatedDatabase::apply(const Transaction& transaction) {
  std::vector<Partition> refused;
  for (const auto& lane : transaction.lanes) {
    if (!fits(lane)) {
      refused.push_back(lane.commit.partition);
      continue;
    }
    places_[lane.commit.partition].progress = lane.commit.next;
  }
  if (!safeguards_.one_transaction) return refused;
  for (const auto& row : transaction.rows) {
    if (!std::ranges::contains(refused, row.first)) rows_.push_back(row);
  }
  return refused;
}

void SimulatedDatabase::end(const Transaction& transaction, bool commits) {
  if (transaction.holds_locks) {
    for (const auto& lane : transaction.lanes) places_[lane.commit.partition].locked = false;
  }
  if (commits) (void)apply(transaction);
}

Result<void> SimulatedSink::open() {
  connected_ = true;
  written_.clear();
  return {};
}

Result<void> SimulatedSink::write(const Encoded& rows) {
  if (!connected_) return broken();
  for (std::size_t begin = 0; begin < rows.bytes.size();) {
    const auto end = rows.bytes.find('\n', begin);
    written_.emplace_back(rows.partition, rows.bytes.substr(begin, end - begin));
    begin = end + 1;
  }
  return {};
}

Result<Committed> SimulatedSink::commit(std::span<const LaneCommit> lanes) {
  if (!connected_) return broken();
  auto& db = database_;
  SimulatedDatabase::Transaction transaction;
  transaction.rows = std::exchange(written_, {});
  bool waits = false;
  for (const LaneCommit& lane : lanes) {
    const Claimed& claimed = claimed_.at(lane.partition);
    transaction.lanes.push_back({lane, claimed.fence, claimed.position});
    waits = waits || db.places_[lane.partition].locked;
  }
  if (waits) return broken();  // for longer than a transaction may take
  if (!db.safeguards_.one_transaction)
    db.rows_.insert(db.rows_.end(), transaction.rows.begin(), transaction.rows.end());
  const std::uint64_t luck = db.calm_ ? 99 : db.dice_.roll(100);
  if (luck < 8) return broken();  // before the database has it
  if (luck < 16) {
    // The connection is gone and the server goes on by itself, before or behind the update of the progress.
    transaction.holds_locks =
        luck < 12 && std::ranges::all_of(transaction.lanes, [&](const auto& lane) { return db.fits(lane); });
    transaction.ends = db.now_ + static_cast<Duration>(db.dice_.roll(2 * SimulatedDatabase::lease));
    if (transaction.holds_locks) {
      for (const auto& lane : transaction.lanes) db.places_[lane.commit.partition].locked = true;
    }
    db.hanging_.push_back(std::move(transaction));
    return broken();
  }
  Committed out;
  out.refused = db.apply(transaction);
  if (luck < 24) return broken();  // only the answer is lost
  for (const LaneCommit& lane : lanes) {
    if (!std::ranges::contains(out.refused, lane.partition)) claimed_[lane.partition].position = lane.next.position;
  }
  return out;
}

Result<Progress> SimulatedSink::claim(Partition partition) {
  if (!connected_) return fail(Error::Kind::unreachable, "not connected");
  auto& place = database_.places_[partition];
  if (place.locked) return broken();
  const bool held = place.owner != 0 && place.owner != worker_ && place.lease_until > database_.now_;
  if (held) return fail(Error::Kind::refused, "another worker owns it");
  place.owner = worker_;
  place.fence = ++database_.fences_;
  place.lease_until = database_.now_ + SimulatedDatabase::lease;
  claimed_[partition] = {place.fence, place.progress.position};
  return place.progress;
}

Result<std::vector<Partition>> SimulatedSink::renew() {
  std::vector<Partition> lost;
  for (const auto& [partition, claimed] : claimed_) {
    auto& place = database_.places_[partition];
    if (place.fence != claimed.fence) {
      lost.push_back(partition);
    } else {
      place.lease_until = database_.now_ + SimulatedDatabase::lease;
    }
  }
  return lost;
}

void SimulatedSink::release(Partition partition) {
  const auto claimed = claimed_.find(partition);
  if (claimed == claimed_.end()) return;
  auto& place = database_.places_[partition];
  if (place.fence == claimed->second.fence && !place.locked) place.owner = 0;
  claimed_.erase(claimed);
}

std::unexpected<Error> SimulatedSink::broken() {
  connected_ = false;
  written_.clear();
  return fail(Error::Kind::unreachable, "the connection was lost");
}

}  // namespace weir::faults
