/// Where dead letters go in tests that do not ask for them.
#pragma once

#include "core/dead_letters.hpp"

namespace weir::fakes {

class NoBox final : public DeadLetterBox {
 public:
  void resume(Partition, Position) override {}
  void committed(Partition, Position) override {}
  Result<void> keep(const std::vector<Sink::DeadLetter>&) override { return {}; }
};

}  // namespace weir::fakes
