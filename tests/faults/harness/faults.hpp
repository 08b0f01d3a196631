/// The kinds of faults, and how each is done.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <weir/clock.hpp>

#include "faults/harness/chance.hpp"
#include "faults/harness/stage.hpp"
#include "faults/harness/traffic.hpp"

namespace weir::faults {

/// Somebody waited for something in vain.
struct Stuck : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Asks again and again, for half a minute. Throws Stuck: `what` did not happen.
template <typename Condition>
void wait_for(Condition condition, const std::string& what) {
  const Timestamp until = system_clock().steady() + 30 * second;
  while (!condition()) {
    if (system_clock().steady() > until) throw Stuck{what};
    pause(20 * millisecond);
  }
}

/// A fault that can't be done here.
struct LeftOut : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Fault {
  std::string_view name;
  /// Does it, calls stage.struck(), and leaves everything running; workers may still be recovering then.
  void (*inject)(Stage&, Traffic&, Chance&);
  /// Neither it nor the one before it may still be at work when the next one begins.
  bool alone = false;
  std::string_view what;
  /// Nats-servers that it is for; 0: any number of them.
  std::size_t servers = 0;
  /// Snapshots that a database names may be gone then: it deletes them, or sets the database back.
  bool unnames = false;
  /// Every worker ends in order, and no lane reads again: what they counted adds up.
  bool orderly = false;

  /// Databases that it needs; 0: one will do.
  std::size_t databases = 0;
  /// What it does harm to; faults of different things may come at once. Empty: only the first of several can be it.
  std::string_view harms = {};

  bool fits(std::size_t nats_servers, std::size_t postgres_servers) const {
    return (servers == 0 || servers == nats_servers) && databases <= postgres_servers;
  }
};

// Kinds that have files of their own.

/// Workers join one by one, until they are four. Then, in any order, one leaves by SIGTERM, one is killed, and one is
/// stopped beyond its lease, goes on, and leaves. Ends with the usual number.
void rescale(Stage& stage, Traffic&, Chance& chance);
/// All workers killed, and started with a pipeline that would write other rows: it must be refused.
void start_another_pipeline(Stage& stage, Traffic& traffic, Chance& chance);
/// The database is as it was a while ago, while its workers run.
void lose_commits(Stage& stage, Traffic& traffic, Chance& chance);

/// kill -9, and a new one.
void kill(Stage& stage, Worker& worker, Chance& chance);
/// SIGSTOP for so long that others may acquire what it has, then SIGCONT.
void stop(Stage& stage, Worker& worker, Chance& chance);
/// Until it runs the file as it is now. A worker without partitions does not say so when it does.
void take_up(Stage& stage, Worker& worker);
/// Other rules take up only what was drained, and so what somebody runs: not what a dead worker has left.
void wait_until_all_are_run(const Stage& stage);

/// Of workers at named places of their work.
std::span<const Fault> place_faults();
/// Of the second of two databases.
std::span<const Fault> pair_faults();
/// Of servers that run and refuse.
std::span<const Fault> refusal_faults();
/// Of streams that lose messages.
std::span<const Fault> stream_faults();
/// Of PostgreSQL's disk and replicas.
std::span<const Fault> database_faults();
/// Of some of several nats-servers.
std::span<const Fault> cluster_faults();

/// All of them.
std::span<const Fault> faults();
/// Null: there is none of that name.
const Fault* fault_called(std::string_view name);

}  // namespace weir::faults
