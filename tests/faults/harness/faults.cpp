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

}  // namespace

void kill(Stage& stage, Worker& worker, Chance& chance) {
  stage.kill(worker);
  stage.struck();
  pause(chance.between(0, 300 * millisecond));
  stage.start(worker);
}

void stop(Stage& stage, Worker& worker, Chance& chance) {
  stage.put_to_sleep(worker);
  stage.struck();
  pause(lease + chance.between(100 * millisecond, 1200 * millisecond));
  worker.process->send(SIGCONT);
}

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

namespace {

void kill_worker(Stage& stage, Traffic&, Chance& chance) { kill(stage, any(stage, chance), chance); }
void stop_worker(Stage& stage, Traffic&, Chance& chance) { stop(stage, any(stage, chance), chance); }

void terminate_worker(Stage& stage, Traffic&, Chance& chance) {
  Worker& worker = any(stage, chance);
  stage.stop(worker);
  stage.struck();
  pause(chance.between(0, 300 * millisecond));
  stage.start(worker);
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
    Fault{
        .name = "worker-kill", .inject = kill_worker, .what = "kill -9 of a worker, and a new one", .harms = "worker"},
    Fault{.name = "worker-stop",
          .inject = stop_worker,
          .what = "SIGSTOP beyond the lease, then SIGCONT",
          .harms = "worker"},
    Fault{.name = "worker-term",
          .inject = terminate_worker,
          .what = "SIGTERM, and a new one",
          .orderly = true,
          .harms = "worker"},
    Fault{
        .name = "rescale", .inject = rescale, .what = "one worker, four, and one again: SIGTERM, kill -9 and SIGSTOP"},
    Fault{.name = "reload", .inject = reload, .alone = true, .what = "SIGHUP with another transform, or back"},
    Fault{.name = "postgres-kill",
          .inject = kill_postgres,
          .what = "kill -9 of PostgreSQL, and its start",
          .harms = "database"},
    Fault{.name = "session-end",
          .inject = end_sessions,
          .what = "pg_terminate_backend of all workers' sessions, a dozen times",
          .harms = "database"},
    Fault{.name = "session-kill", .inject = kill_session, .what = "kill -9 of a worker's session", .harms = "database"},
    Fault{.name = "commit-cut-before",
          .inject = at_commit<Proxy::Trap::cut_before>,
          .what = "connection cut before COMMIT arrives",
          .harms = "database"},
    Fault{.name = "commit-cut-after",
          .inject = at_commit<Proxy::Trap::cut_after>,
          .what = "connection cut before its answer arrives",
          .harms = "database"},
    Fault{.name = "commit-late",
          .inject = at_commit<Proxy::Trap::late>,
          .what = "COMMIT arrives late, perhaps after the lease",
          .harms = "database"},
    Fault{.name = "commit-kill",
          .inject = kill_at_commit,
          .what = "kill -9 of a worker before, in or at the end of its transaction",
          .harms = "worker"},
    Fault{
        .name = "commit-stop", .inject = stop_at_commit, .what = "SIGSTOP there, beyond the lease", .harms = "worker"},
    Fault{.name = "postgres-cut",
          .inject = cut<&Worker::database>,
          .what = "connections to PostgreSQL cut",
          .harms = "database"},
    Fault{.name = "postgres-delay",
          .inject = hold_up<&Worker::database>,
          .what = "connections to PostgreSQL held up",
          .harms = "database"},
    Fault{.name = "nats-kill",
          .inject = kill_nats,
          .what = "kill -9 of nats-server, and its start",
          .servers = 1,
          .harms = "nats"},
    Fault{.name = "nats-cut", .inject = cut<&Worker::nats>, .what = "connections to NATS cut", .harms = "nats"},
    Fault{
        .name = "nats-delay", .inject = hold_up<&Worker::nats>, .what = "connections to NATS held up", .harms = "nats"},
    Fault{.name = "bucket-gone",
          .inject = delete_bucket,
          .alone = true,
          .what = "all snapshots deleted, workers killed",
          .unnames = true},
    Fault{.name = "chunk-gone",
          .inject = spoil_snapshot,
          .alone = true,
          .what = "a part of a snapshot missing or spoiled, workers killed",
          .unnames = true},
    Fault{.name = "other-file",
          .inject = start_another_pipeline,
          .alone = true,
          .what = "workers killed, another pipeline started, which must be refused"},
    Fault{.name = "commits-lost",
          .inject = lose_commits,
          .alone = true,
          .what = "the database as it was a second ago",
          .unnames = true},
    Fault{.name = "repeat",
          .inject = repeat,
          .what = "messages published again, under other ids",
          .orderly = true,
          .harms = "messages"},
    Fault{.name = "corrupt",
          .inject = spoil,
          .what = "messages that can't be decoded, or are another partition's",
          .orderly = true,
          .harms = "messages"},
    Fault{.name = "burst",
          .inject = burst,
          .what = "all messages wait, then come at once",
          .orderly = true,
          .harms = "messages"}};

}  // namespace

std::span<const Fault> faults() {
  static const std::vector<Fault> all = [] {
    std::vector<Fault> out{std::from_range, kinds};
    out.append_range(place_faults());
    out.append_range(refusal_faults());
    out.append_range(pair_faults());
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
