/// Partitions that go to another worker while this one runs on.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include <weir/types.hpp>

namespace weir {

/// Each goes its way in four steps: its lane stops pulling; nothing is in flight any more; a snapshot of just there is
/// in the store; and a commit has the last rows and names that snapshot. Then the partition is given back, and whoever
/// claims it has nothing to read again.
///
/// Threads   one.
class Handover {
 public:
  /// Its lane was asked to stop.
  void begin(Partition partition) { going_.try_emplace(partition); }
  /// Nothing of it is in flight. `snapshot`: the position of the one on its way to the store; nothing: there is none.
  void at_rest(Partition partition, std::optional<Position> snapshot) {
    const auto one = going_.find(partition);
    if (one != going_.end()) one->second = {.waits_for = snapshot, .rests = true};
  }
  /// A snapshot of it is in the store, or could not be written: then the next owner reads more again.
  void stored(Partition partition, Position position) {
    const auto one = going_.find(partition);
    if (one != going_.end() && one->second.waits_for == position) one->second.waits_for.reset();
  }
  /// It is given back, or was lost, or can't go on.
  void end(Partition partition) { going_.erase(partition); }

  bool has(Partition partition) const { return going_.contains(partition); }
  std::vector<Partition> all() const {
    std::vector<Partition> out;
    for (const auto& [partition, way] : going_) out.push_back(partition);
    return out;
  }
  /// Those of which nothing but a commit is outstanding.
  std::vector<Partition> stored() const {
    std::vector<Partition> out;
    for (const auto& [partition, way] : going_) {
      if (way.rests && !way.waits_for) out.push_back(partition);
    }
    return out;
  }

 private:
  struct Way {
    std::optional<Position> waits_for = {};  // to be stored
    bool rests = false;
  };
  std::map<Partition, Way> going_;
};

}  // namespace weir
