/// Where dead letters go that no sink keeps, for a test to look at.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "core/checkpoint/dead_letters.hpp"

namespace weir::fakes {

class LetterBox final : public DeadLetterBox {
 public:
  void resume(Partition partition, Position committed) override { resumed[partition] = committed; }
  void committed(Partition, Position) override {}
  Result<std::vector<std::size_t>> keep(const std::vector<Sink::DeadLetter>& letters) override {
    if (!letters.empty() && std::exchange(full, false)) return fail(Error::Kind::unreachable, "no space is left");
    kept.insert(kept.end(), letters.begin(), letters.end());
    return {};
  }

  std::map<Partition, Position> resumed;  ///< where lanes went on last
  std::vector<Sink::DeadLetter> kept;
  bool full = false;  ///< the next letters can't be kept
};

}  // namespace weir::fakes
