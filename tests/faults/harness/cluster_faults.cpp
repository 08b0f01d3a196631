/// Some of several nats-servers die.
#include <array>
#include <optional>

#include <weir/clock.hpp>

#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

constexpr std::size_t cluster = 3;
constexpr Duration patience = 30 * second;

/// Of any partition's stream.
std::size_t leader(const Stage& stage, Chance& chance) {
  const std::string stream = stage.stream(static_cast<Partition>(chance.below(stage.partitions)));
  const Timestamp until = system_clock().steady() + patience;
  for (;;) {
    if (const auto found = stage.nats.leader(stream)) return *found;
    if (system_clock().steady() > until) throw Stuck{"nobody leads " + stream};
    pause(50 * millisecond);
  }
}

void kill_one(Stage& stage, std::size_t which, Chance& chance) {
  stage.nats.kill(which);
  stage.struck();
  pause(chance.between(0, 5 * second));
  stage.nats.start(which);
}

void kill_leader(Stage& stage, Traffic&, Chance& chance) { kill_one(stage, leader(stage, chance), chance); }

void kill_follower(Stage& stage, Traffic&, Chance& chance) {
  kill_one(stage, (leader(stage, chance) + 1 + chance.below(cluster - 1)) % cluster, chance);
}

void kill_all(Stage& stage, Traffic&, Chance& chance) {
  stage.nats.kill();
  stage.struck();
  pause(chance.between(0, second));
  stage.nats.start();
}

constexpr std::array kinds{Fault{.name = "leader-kill",
                                 .inject = kill_leader,
                                 .what = "kill -9 of the nats-server that leads a stream, and its start",
                                 .servers = cluster,
                                 .harms = "nats"},
                           Fault{.name = "follower-kill",
                                 .inject = kill_follower,
                                 .what = "kill -9 of one that follows, and its start",
                                 .servers = cluster,
                                 .harms = "nats"},
                           Fault{.name = "cluster-kill",
                                 .inject = kill_all,
                                 .what = "kill -9 of all three, and their start",
                                 .servers = cluster,
                                 .harms = "nats"}};

}  // namespace

std::span<const Fault> cluster_faults() { return kinds; }

}  // namespace weir::faults
