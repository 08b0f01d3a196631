#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include <weir/clock.hpp>

#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

constexpr std::size_t most_workers = 4;

/// One that is not this one.
Worker& another(Stage& stage, Chance& chance, const Worker* than) {
  for (;;) {
    Worker& worker = *chance.one_of(stage.workers);
    if (&worker != than) return worker;
  }
}

}  // namespace

void rescale(Stage& stage, Traffic&, Chance& chance) {
  while (stage.workers.size() > 1) stage.remove_worker(*chance.one_of(stage.workers));
  while (stage.workers.size() < most_workers) {
    stage.add_worker();
    pause(chance.between(0, 400 * millisecond));
  }
  pause(chance.between(0, 1500 * millisecond));
  enum class Way : std::uint8_t { leaves, dies, sleeps };
  std::array ways{Way::leaves, Way::dies, Way::sleeps};
  for (std::size_t i = ways.size(); i > 1; --i) std::swap(ways[i - 1], ways[chance.below(i)]);
  Worker* asleep = nullptr;
  Timestamp wakes = 0;
  for (const Way way : ways) {
    Worker& worker = another(stage, chance, asleep);
    switch (way) {
      case Way::leaves:
        stage.remove_worker(worker);
        break;
      case Way::dies:
        stage.kill(worker);
        stage.forget(worker);
        break;
      case Way::sleeps:
        stage.put_to_sleep(worker);
        asleep = &worker;
        wakes = system_clock().steady() + lease + chance.between(100 * millisecond, 1200 * millisecond);
    }
    stage.struck();
    pause(chance.between(0, 600 * millisecond));
  }
  pause(std::max<Duration>(0, wakes - system_clock().steady()));
  asleep->process->send(SIGCONT);
  pause(chance.between(0, 800 * millisecond));
  stage.remove_worker(*asleep);
  pause(chance.between(0, 500 * millisecond));
  while (stage.workers.size() < stage.usual_workers) stage.add_worker();
}

}  // namespace weir::faults
