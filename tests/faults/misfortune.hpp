/// Chance, and what it does to a worker that asks a service for something.
#pragma once

#include <cstdint>
#include <functional>
#include <random>

#include <weir/types.hpp>

namespace weir::faults {

/// Chance, reproducible from its seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_{seed} {}
  /// 0 … below - 1.
  std::uint64_t roll(std::uint64_t below) { return random_() % below; }
  bool chance(unsigned per_mille) { return roll(1000) < per_mille; }

 private:
  std::mt19937_64 random_;
};

/// What protects the rows. A simulation without one of them must be seen to fail.
struct Safeguards {
  bool fence = true;                   ///< a commit by a former owner is refused
  bool new_fence = true;               ///< every acquisition brings another fence
  bool one_transaction = true;         ///< rows and progress change together
  bool snapshots_tell_truth = true;    ///< false: a snapshot says that it is older than it is
  bool commits_name_snapshots = true;  ///< false: a commit keeps the name that was there, which is then pruned
  bool written_ticks_left_out = true;  ///< of a source that can't replay, after a crash
};

constexpr Duration lease_length = 3 * second;

/// A worker's way to its services.
class Wire {
 public:
  /// `meanwhile` has other things happen while a statement is on its way; `cut` tells whether the connection broke, or
  /// the worker died, on one.
  Wire(std::function<void()> meanwhile, std::function<bool()> cut)
      : meanwhile_{std::move(meanwhile)}, cut_{std::move(cut)} {}

  /// Has a service do something: it may not come to that, or the answer may be lost.
  template <typename Effect>
  auto ask(Effect effect) -> decltype(effect()) {
    if (!reaches()) return lost();
    auto answer = effect();
    if (!reaches()) return lost();
    return answer;
  }
  /// Whether what is sent arrives; other things happen before it does.
  bool reaches() {
    meanwhile_();
    return !cut_();
  }
  static std::unexpected<Error> lost() { return fail(Error::Kind::unreachable, "the connection was lost"); }

 private:
  std::function<void()> meanwhile_;
  std::function<bool()> cut_;
};

}  // namespace weir::faults
