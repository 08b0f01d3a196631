/// Workers killed or stopped at named places of their work, which their requests tell; and clocks that are set.
#include <signal.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "fakes/shifted_clock.hpp"
#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

// The requests by which a worker is known to be there; the servers get them later, perhaps after its end.
constexpr std::string_view reads = "$JS.API.STREAM.MSG.GET.KV_faults-state",
                           prunes = "$JS.API.STREAM.PURGE.KV_faults-state", uploads = "PUB $KV.faults-state.";

/// The first worker that sends this to NATS; null if none does within some seconds.
Worker* one_that_sends(Stage& stage, std::string_view text, Duration later) {
  for (auto& worker : stage.workers) worker->nats.set_trap(Proxy::Trap::late, std::string{text}, later);
  Worker* found = nullptr;
  for (int i = 0; i < 4000 && found == nullptr; ++i, pause(millisecond)) {
    for (auto& worker : stage.workers) {
      if (worker->nats.trapped()) found = worker.get();
    }
  }
  for (auto& worker : stage.workers) worker->nats.take_trap();
  return found;
}

using Harm = void (*)(Stage&, Worker&, Chance&);

template <Harm harm>
void at(Stage& stage, Chance& chance, std::string_view text) {
  Worker* worker = one_that_sends(stage, text, chance.between(0, lease));
  if (worker == nullptr) throw LeftOut{weir::format("no worker sends {}", text)};
  harm(stage, *worker, chance);
}

/// A partition that changes hands: acquired, its snapshot not yet read.
template <Harm harm>
void while_reading(Stage& stage, Traffic&, Chance& chance) {
  Worker& former = *chance.one_of(stage.workers);
  stage.kill(former);
  stage.struck();
  stage.start(former);
  at<harm>(stage, chance, reads);
}

template <Harm harm>
void before_pruning(Stage& stage, Traffic&, Chance& chance) {
  at<harm>(stage, chance, prunes);
}

template <Harm harm>
void while_uploading(Stage& stage, Traffic&, Chance& chance) {
  at<harm>(stage, chance, uploads);
}

/// Between the old pipeline's last commit, its final snapshots and the new one's first. Its state must be the same:
/// what a dead worker has not drained is no other pipeline's.
template <Harm harm>
void while_reloading(Stage& stage, Traffic&, Chance& chance) {
  wait_until_all_are_run(stage);
  const std::array points{reads, prunes, uploads};
  stage.touch();
  for (auto& worker : stage.workers) worker->process->send(SIGHUP);
  try {
    at<harm>(stage, chance, chance.one_of(points));
  } catch (const LeftOut&) {  // it was through
  }
  stage.struck();
  for (auto& worker : stage.workers) take_up(stage, *worker);
}

// --- Clocks, forward and back

std::string answer(const Stage& stage, const std::string& sql) {
  try {
    return stage.database->ask(sql);
  } catch (const std::exception&) {
    return {};
  }
}

Duration any_shift(Chance& chance) {
  const Duration length = chance.between(500 * millisecond, chance.one_in(2) ? 10 * second : 60 * minute);
  return chance.one_in(2) ? length : -length;
}

void set_worker_clock(Stage& stage, Traffic&, Chance& chance) {
  const Worker& worker = *chance.one_of(stage.workers);
  const std::string clock = worker.clock;  // the worker may go meanwhile
  fakes::set_clock(clock, any_shift(chance));
  stage.struck();
  pause(chance.between(200 * millisecond, 2500 * millisecond));
  fakes::set_clock(clock, 0);
}

/// Leases go by it; an owner may die meanwhile.
void set_database_clock(Stage& stage, Traffic&, Chance& chance) {
  const Duration ahead = any_shift(chance);
  stage.database->set_clock(ahead);
  stage.struck();
  const std::string there = answer(stage, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint");
  if (!there.empty() &&
      std::abs(std::stoll(there) - system_clock().now() - ahead) > 200 * millisecond + std::abs(ahead) / 2)
    throw Stuck{"the database's clock can't be set"};
  pause(chance.between(0, 2500 * millisecond));
  if (chance.one_in(2)) kill(stage, *chance.one_of(stage.workers), chance);
  pause(chance.between(0, second));
  stage.database->set_clock(0);
}

constexpr std::array kinds{
    Fault{.name = "read-kill",
          .inject = while_reading<kill>,
          .what = "kill -9 of a worker between acquiring a partition and reading its snapshot",
          .harms = "worker"},
    Fault{.name = "read-stop",
          .inject = while_reading<stop>,
          .what = "SIGSTOP there, beyond the lease",
          .harms = "worker"},
    Fault{.name = "prune-kill",
          .inject = before_pruning<kill>,
          .what = "kill -9 of a worker between a commit and the removal of older snapshots",
          .harms = "worker"},
    Fault{.name = "prune-stop",
          .inject = before_pruning<stop>,
          .what = "SIGSTOP there, beyond the lease",
          .harms = "worker"},
    Fault{.name = "upload-kill",
          .inject = while_uploading<kill>,
          .what = "kill -9 of a worker while it stores a snapshot",
          .harms = "worker"},
    Fault{.name = "upload-stop",
          .inject = while_uploading<stop>,
          .what = "SIGSTOP there, beyond the lease",
          .harms = "worker"},
    Fault{.name = "worker-clock",
          .inject = set_worker_clock,
          .what = "a worker's wall clock set forward or back, and right again",
          .harms = "worker"},
    Fault{.name = "database-clock",
          .inject = set_database_clock,
          .what = "PostgreSQL's wall clock set forward or back, a worker killed perhaps, and right again",
          .harms = "database"},
    Fault{.name = "reload-kill",
          .inject = while_reloading<kill>,
          .alone = true,
          .what = "kill -9 of a worker in the middle of a reload"},
    Fault{.name = "reload-stop",
          .inject = while_reloading<stop>,
          .alone = true,
          .what = "SIGSTOP there, beyond the lease"}};

}  // namespace

std::span<const Fault> place_faults() { return kinds; }

}  // namespace weir::faults
