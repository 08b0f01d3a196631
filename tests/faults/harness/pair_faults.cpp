/// Two databases with the same rows, of which one fails alone.
#include <array>

#include <weir/clock.hpp>

#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

void kill_second(Stage& stage, Traffic&, Chance& chance) {
  stage.second->kill();
  stage.struck();
  pause(chance.between(0, 2500 * millisecond));
  stage.second->start();
}

void cut_second(Stage& stage, Traffic&, Chance& chance) {
  for (auto& worker : stage.workers) {
    worker->second->refuse(true);
    worker->second->cut();
  }
  stage.struck();
  pause(chance.between(0, 2500 * millisecond));
  for (auto& worker : stage.workers) worker->second->refuse(false);
}

/// The one has committed, the other has not, or it does not say so.
template <Proxy::Trap trap>
void at_second_commit(Stage& stage, Traffic&, Chance& chance) {
  for (auto& worker : stage.workers)
    worker->second->set_trap(trap, "COMMIT", chance.between(200 * millisecond, 2 * lease));
  stage.struck();
  pause(1500 * millisecond);
  for (auto& worker : stage.workers) worker->second->take_trap();
}

/// A worker dies between the two commits, be it that the second is on its way.
void kill_between_commits(Stage& stage, Traffic&, Chance& chance) {
  for (auto& worker : stage.workers) worker->second->set_trap(Proxy::Trap::late, "COMMIT", chance.between(0, lease));
  Worker* found = nullptr;
  for (int i = 0; i < 2000 && found == nullptr; ++i, pause(millisecond)) {
    for (auto& worker : stage.workers) {
      if (worker->second->trapped()) found = worker.get();
    }
  }
  for (auto& worker : stage.workers) worker->second->take_trap();
  if (found == nullptr) throw LeftOut{"no worker commits"};
  kill(stage, *found, chance);
}

constexpr std::array kinds{Fault{.name = "second-kill",
                                 .inject = kill_second,
                                 .what = "kill -9 of the second PostgreSQL alone, and its start",
                                 .databases = 2,
                                 .harms = "second"},
                           Fault{.name = "second-cut",
                                 .inject = cut_second,
                                 .what = "connections to the second PostgreSQL cut",
                                 .databases = 2,
                                 .harms = "second"},
                           Fault{.name = "second-cut-before",
                                 .inject = at_second_commit<Proxy::Trap::cut_before>,
                                 .what = "the second one's connection cut before COMMIT arrives",
                                 .databases = 2,
                                 .harms = "second"},
                           Fault{.name = "second-cut-after",
                                 .inject = at_second_commit<Proxy::Trap::cut_after>,
                                 .what = "the same before its answer arrives",
                                 .databases = 2,
                                 .harms = "second"},
                           Fault{.name = "between-kill",
                                 .inject = kill_between_commits,
                                 .what = "kill -9 of a worker between its commits in two databases",
                                 .databases = 2,
                                 .harms = "worker"}};

}  // namespace

std::span<const Fault> pair_faults() { return kinds; }

}  // namespace weir::faults
