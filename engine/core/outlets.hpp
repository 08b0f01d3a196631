/// The sinks of a pipeline in the order in which they commit, and whose the partitions are in them.
#pragma once

#include <string>
#include <vector>

#include <weir/sink.hpp>
#include <weir/spec.hpp>

namespace weir {

/// One sink, and what it says of itself.
struct Outlet {
  std::size_t node = 0;  ///< number in Pipeline::nodes
  Sink* sink = nullptr;
  Claims claims;
  std::string id = {};  ///< of the node; an exception of the sink is an internal error that names it

  /// Whether it keeps progress, and with it who owns a partition.
  bool keeps() const { return claims.transactional; }
};

/// Threads   one; only renew() may be called from another at the same time.
/// Errors    after an unreachable one the outlet is in doubt: nobody knows what it has until it is opened and claimed
///           again.
class Outlets {
 public:
  /// Those that keep progress come to stand last: a position may be committed only when every other output is durable
  /// up to it. The sinks must outlive this.
  explicit Outlets(std::vector<Outlet> outlets);

  std::size_t size() const { return outlets_.size(); }
  const Outlet& operator[](std::size_t i) const { return outlets_[i]; }
  auto begin() const { return outlets_.begin(); }
  auto end() const { return outlets_.end(); }
  std::size_t keepers() const;

  Result<void> open();

  /// Becomes the owner of a partition in all of them, or in none; answers what each has, by outlet. None may be in
  /// doubt. refused: another owns it.
  Result<std::vector<Progress>> claim(Partition partition);
  /// Gives a partition back wherever that is not in doubt.
  void give_back(Partition partition);

  bool in_doubt(std::size_t i) const { return in_doubt_[i]; }
  void doubt(std::size_t i) { in_doubt_[i] = true; }
  void trust(std::size_t i) { in_doubt_[i] = false; }

  /// Extends the leases of all, whichever fails; answers the partitions that were lost, or, if none was, why not all
  /// could be extended.
  Result<std::vector<Partition>> renew();
  /// The shortest lease of any; 0 if none has leases.
  Duration lease() const;

 private:
  std::vector<Outlet> outlets_;
  std::vector<bool> in_doubt_;
};

}  // namespace weir
