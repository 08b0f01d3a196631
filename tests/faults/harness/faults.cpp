#include "faults/harness/faults.hpp"

#include <nats/nats.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "fakes/nats_fixture.hpp"
#include "faults/harness/pasts.hpp"

namespace weir::faults {
namespace {

constexpr std::string_view commit = "COMMIT";

Worker& any(Stage& stage, Chance& chance) { return *chance.one_of(stage.workers); }

/// What the database answers; empty if it does not.
std::string ask(const Stage& stage, const std::string& sql) {
  try {
    return stage.database->ask(sql);
  } catch (const std::exception&) {
    return {};
  }
}

// --- Workers

void kill(Stage& stage, Worker& worker, Chance& chance) {
  stage.kill(worker);
  stage.struck();
  pause(chance.between(0, 300 * millisecond));
  stage.start(worker);
}

/// So long that others may claim what it has, then on.
void stop(Stage& stage, Worker& worker, Chance& chance) {
  stage.put_to_sleep(worker);
  stage.struck();
  pause(lease + chance.between(100 * millisecond, 1200 * millisecond));
  worker.process->send(SIGCONT);
}

void kill_worker(Stage& stage, Traffic&, Chance& chance) { kill(stage, any(stage, chance), chance); }
void stop_worker(Stage& stage, Traffic&, Chance& chance) { stop(stage, any(stage, chance), chance); }

void terminate_worker(Stage& stage, Traffic&, Chance& chance) {
  Worker& worker = any(stage, chance);
  stage.stop(worker);
  stage.struck();
  pause(chance.between(0, 300 * millisecond));
  stage.start(worker);
}

/// Until it runs the file as it is now. A worker without partitions does not say so when it does.
void take_up(Stage& stage, Worker& worker) {
  constexpr const char *begins = "draining the old pipeline", *runs = "the new pipeline runs",
                       *back = "running the previous pipeline again";
  const Timestamp until = system_clock().steady() + 30 * second;
  const std::size_t begun = worker.said(begins), ran = worker.said(runs), went_back = worker.said(back);
  Timestamp ask_again = 0, since = end_of_time;
  while (worker.said(runs) == ran) {
    const Timestamp now = system_clock().steady();
    if (now > until) throw Stuck{"a worker does not take up its file"};
    if (!worker.process->runs()) return stage.attend();  // it reads the file when it starts
    if (now >= ask_again) {
      worker.process->send(SIGHUP);
      ask_again = now + 6 * second;
    }
    if (worker.said(begins) > begun) since = std::min(since, now);
    if (now > since && now - since > 2 * second && worker.said(back) == went_back) return;
    pause(20 * millisecond);
  }
}

/// Other rules take up only what was drained, and so what somebody runs: not what a dead worker has left.
void wait_until_all_are_run(const Stage& stage) {
  pause(lease);
  const std::string wanted = std::to_string(stage.partitions);
  for (int i = 0; i < 600; ++i, pause(50 * millisecond)) {
    if (ask(stage,
            "SELECT count(*) FROM weir_progress WHERE node = 'db' AND owner IS NOT NULL AND "
            "lease_until > clock_timestamp()") == wanted)
      return;
  }
  throw Stuck{"partitions have no owner"};
}

void reload(Stage& stage, Traffic&, Chance& chance) {
  wait_until_all_are_run(stage);
  stage.edit(!stage.edited());
  if (chance.one_in(2)) {
    for (auto& worker : stage.workers) worker->process->send(SIGHUP);
    pause(100 * millisecond);
  }
  stage.struck();
  for (auto& worker : stage.workers) take_up(stage, *worker);
}

// --- Servers

void kill_postgres(Stage& stage, Traffic&, Chance& chance) {
  stage.database->kill();
  stage.struck();
  pause(chance.between(0, 700 * millisecond));
  stage.database->start();
}

void end_sessions(Stage& stage, Traffic&, Chance& chance) {
  for (int i = 0; i < 12; ++i) {
    ask(stage, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'weir/%'");
    stage.struck();
    pause(chance.between(0, 120 * millisecond));
  }
}

/// PostgreSQL then ends all sessions and recovers.
void kill_session(Stage& stage, Traffic&, Chance&) {
  const std::string pid =
      ask(stage, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'weir/%' ORDER BY random() LIMIT 1");
  if (pid.empty()) throw LeftOut{"no worker has a session"};
  ::kill(std::stoi(pid), SIGKILL);
}

void kill_nats(Stage& stage, Traffic&, Chance& chance) {
  stage.nats.kill();
  stage.struck();
  pause(chance.between(0, 700 * millisecond));
  stage.nats.start();
}

// --- The ways between

/// Does something to the way of one worker, or of all of them.
template <typename Do>
void on_ways(Stage& stage, Chance& chance, Proxy Worker::* way, Do what) {
  if (chance.one_in(2)) return what((any(stage, chance)).*way);
  for (auto& worker : stage.workers) what((*worker).*way);
}

template <Proxy Worker::* way>
void cut(Stage& stage, Traffic&, Chance& chance) {
  const Duration away = chance.one_in(2) ? 0 : chance.between(100 * millisecond, 2500 * millisecond);
  Chance same = chance;  // as the way back must be of those that were cut
  on_ways(stage, chance, way, [&](Proxy& proxy) {
    proxy.refuse(away > 0);
    proxy.cut();
  });
  stage.struck();
  pause(away);
  on_ways(stage, same, way, [](Proxy& proxy) { proxy.refuse(false); });
}

template <Proxy Worker::* way>
void hold_up(Stage& stage, Traffic&, Chance& chance) {
  const bool wholly = chance.one_in(2);
  const Duration length = chance.between(200 * millisecond, 2500 * millisecond);
  const Duration late = chance.between(20 * millisecond, 200 * millisecond);
  Chance same = chance;
  on_ways(stage, chance, way, [&](Proxy& proxy) { wholly ? proxy.hold(true) : proxy.delay(late); });
  stage.struck();
  pause(length);
  on_ways(stage, same, way, [](Proxy& proxy) {
    proxy.hold(false);
    proxy.delay(0);
  });
}

/// Every worker's next COMMIT; those that commit nothing meanwhile are let off.
template <Proxy::Trap trap>
void at_commit(Stage& stage, Traffic&, Chance& chance) {
  for (auto& worker : stage.workers)
    worker->database.set_trap(trap, std::string{commit}, chance.between(200 * millisecond, 2 * lease));
  stage.struck();
  pause(1500 * millisecond);
  for (auto& worker : stage.workers) worker->database.take_trap();
}

/// The first worker that comes to one of the points of its commits, which PostgreSQL hears of later.
Worker& one_that_commits(Stage& stage, Chance& chance) {
  const std::array points{std::string_view{"BEGIN"}, std::string_view{"PGCOPY"}, commit};
  const std::string point{chance.one_of(points)};
  const Duration later = chance.between(0, lease);
  for (auto& worker : stage.workers) worker->database.set_trap(Proxy::Trap::late, point, later);
  Worker* found = nullptr;
  for (int i = 0; i < 2000 && found == nullptr; ++i) {
    for (auto& worker : stage.workers) {
      if (worker->database.trapped()) found = worker.get();
    }
    pause(millisecond);
  }
  for (auto& worker : stage.workers) worker->database.take_trap();
  if (found == nullptr) throw LeftOut{"no worker commits"};
  return *found;
}

void kill_at_commit(Stage& stage, Traffic&, Chance& chance) { kill(stage, one_that_commits(stage, chance), chance); }

void stop_at_commit(Stage& stage, Traffic&, Chance& chance) { stop(stage, one_that_commits(stage, chance), chance); }

// --- Snapshots

void delete_bucket(Stage& stage, Traffic&, Chance&) {
  const fakes::NatsPeer peer{stage.nats.nats()};
  js_DeleteStream(peer.jetstream->handle(), weir::format("KV_{}", bucket_name).c_str(), nullptr, nullptr);
  kill_all(stage);
  stage.struck();
  start_all(stage);
}

/// Takes a part away from the snapshot that the next worker would load, or spoils it.
void spoil_snapshot(Stage& stage, Traffic&, Chance& chance) {
  kill_all(stage);
  stage.struck();
  const std::string name = ask(stage,
                               "SELECT snapshot FROM weir_progress WHERE snapshot <> '' AND node = 'db' ORDER BY "
                               "partition LIMIT 1");
  if (!name.empty()) {
    const fakes::NatsPeer peer{stage.nats.nats()};
    const std::string subject = weir::format("$KV.{}.{}/{}", bucket_name, name, chance.one_in(3) ? "manifest" : "0");
    if (chance.one_in(2)) {
      js_Publish(nullptr, peer.jetstream->handle(), subject.c_str(), "spoiled", 7, nullptr, nullptr);
    } else {
      jsOptions options;
      jsOptions_Init(&options);
      options.Stream.Purge.Subject = subject.c_str();
      js_PurgeStream(peer.jetstream->handle(), weir::format("KV_{}", bucket_name).c_str(), &options, nullptr);
    }
  }
  start_all(stage);
}

// --- Messages

void repeat(Stage&, Traffic& traffic, Chance& chance) { traffic.repeat(20 + chance.below(80)); }
void spoil(Stage&, Traffic& traffic, Chance& chance) { traffic.spoil(1 + chance.below(6)); }
void burst(Stage& stage, Traffic& traffic, Chance& chance) {
  traffic.hold(true);
  stage.struck();
  pause(chance.between(500 * millisecond, 2 * second));
  traffic.hold(false);
}

constexpr std::array kinds{
    Fault{"worker-kill", kill_worker, false, "kill -9 of a worker, and a new one"},
    Fault{"worker-stop", stop_worker, false, "SIGSTOP beyond the lease, then SIGCONT"},
    Fault{"worker-term", terminate_worker, false, "SIGTERM, and a new one", 0, false, true},
    Fault{"rescale", rescale, false, "one worker, four, and one again: SIGTERM, kill -9 and SIGSTOP"},
    Fault{"reload", reload, true, "SIGHUP with another transform, or back"},
    Fault{"postgres-kill", kill_postgres, false, "kill -9 of PostgreSQL, and its start"},
    Fault{"session-end", end_sessions, false, "pg_terminate_backend of all workers' sessions, a dozen times"},
    Fault{"session-kill", kill_session, false, "kill -9 of a worker's session"},
    Fault{"commit-cut-before", at_commit<Proxy::Trap::cut_before>, false, "connection cut before COMMIT arrives"},
    Fault{"commit-cut-after", at_commit<Proxy::Trap::cut_after>, false, "connection cut before its answer arrives"},
    Fault{"commit-late", at_commit<Proxy::Trap::late>, false, "COMMIT arrives late, perhaps after the lease"},
    Fault{"commit-kill", kill_at_commit, false, "kill -9 of a worker before, in or at the end of its transaction"},
    Fault{"commit-stop", stop_at_commit, false, "SIGSTOP there, beyond the lease"},
    Fault{"postgres-cut", cut<&Worker::database>, false, "connections to PostgreSQL cut"},
    Fault{"postgres-delay", hold_up<&Worker::database>, false, "connections to PostgreSQL held up"},
    Fault{"nats-kill", kill_nats, false, "kill -9 of nats-server, and its start", 1},
    Fault{"nats-cut", cut<&Worker::nats>, false, "connections to NATS cut"},
    Fault{"nats-delay", hold_up<&Worker::nats>, false, "connections to NATS held up"},
    Fault{"bucket-gone", delete_bucket, true, "all snapshots deleted, workers killed", 0, true},
    Fault{"chunk-gone", spoil_snapshot, true, "a part of a snapshot missing or spoiled, workers killed", 0, true},
    Fault{"other-file", start_another_pipeline, true,
          "workers killed, another pipeline started, which must be refused"},
    Fault{"commits-lost", lose_commits, true, "the database as it was a second ago", 0, true},
    Fault{"repeat", repeat, false, "messages published again, under other ids", 0, false, true},
    Fault{"corrupt", spoil, false, "messages that can't be decoded, or are another partition's", 0, false, true},
    Fault{"burst", burst, false, "all messages wait, then come at once", 0, false, true}};

}  // namespace

std::span<const Fault> faults() {
  static const std::vector<Fault> all = [] {
    std::vector<Fault> out{std::from_range, kinds};
    out.append_range(stream_faults());
    out.append_range(database_faults());
    out.append_range(cluster_faults());
    return out;
  }();
  return all;
}

const Fault* fault_called(std::string_view name) {
  const auto found = std::ranges::find(faults(), name, &Fault::name);
  return found == faults().end() ? nullptr : &*found;
}

}  // namespace weir::faults
