/// Servers that run, and refuse: PostgreSQL by SQLSTATE, JetStream by its limits, and by what it delivers.
#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/clock.hpp>
#include <weir/format.hpp>

#include "clients/postgres.hpp"
#include "fakes/nats_fixture.hpp"
#include "faults/harness/faults.hpp"

namespace weir::faults {
namespace {

std::string answer(const Stage& stage, const std::string& sql) {
  try {
    return stage.database->ask(sql);
  } catch (const std::exception&) {
    return {};
  }
}

postgres::Connection session(const Stage& stage) {
  auto out = postgres::Connection::open({stage.database->url(), "fault", minute});
  if (!out) throw Stuck{out.error().message};
  return *std::move(out);
}

/// As often as is needed: others may hold a lock, or have the server refuse this, too.
void insist(const Stage& stage, const std::vector<std::string>& statements) {
  wait_for(
      [&] {
        auto connection = session(stage);
        for (const std::string& sql : statements) {
          if (!connection.run(sql)) return false;
        }
        return true;
      },
      "the database does not take " + statements.back());
}

/// Those who ran when it was made must run at its end: what passes is tried again, by the same process.
class Survivors {
 public:
  explicit Survivors(Stage& stage) {
    for (auto& worker : stage.workers) {
      if (worker->process->runs()) workers_.emplace_back(worker.get(), worker->process->pid());
    }
  }
  void check(Stage& stage) const {
    for (const auto& [worker, pid] : workers_) {
      const bool known = std::ranges::contains(stage.workers, worker, [](const auto& one) { return one.get(); });
      if (known && worker->process->pid() == pid && !worker->process->runs())
        throw Stuck{"a worker has ended where it must try again"};
    }
  }

 private:
  std::vector<std::pair<Worker*, pid_t>> workers_;
};

/// The fault, then the check.
template <void (*fault)(Stage&, Traffic&, Chance&)>
void survived(Stage& stage, Traffic& traffic, Chance& chance) {
  const Survivors survivors{stage};
  fault(stage, traffic, chance);
  survivors.check(stage);
}

// --- PostgreSQL

/// What other sessions, an administrator or a server without resources do to a transaction: at the update of the
/// progress, or at its COMMIT.
void raise(Stage& stage, Traffic&, Chance& chance) {
  constexpr std::array<std::string_view, 7> states{"40001", "40P01", "53300", "53200", "55P03", "57014", "25006"};
  const bool at_commit = chance.one_in(2);
  insist(stage, {weir::format("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "
                              "random() < 0.7 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{}'; END IF; RETURN "
                              "NEW; END $$",
                              chance.one_of(states)),
                 weir::format("CREATE {} ON weir_progress {} FOR EACH ROW EXECUTE FUNCTION refuse()",
                              at_commit ? "CONSTRAINT TRIGGER refuse AFTER UPDATE" : "TRIGGER refuse BEFORE UPDATE",
                              at_commit ? "DEFERRABLE INITIALLY DEFERRED" : "")});
  stage.struck();
  pause(chance.between(500 * millisecond, 3 * second));
  insist(stage, {"DROP TRIGGER refuse ON weir_progress"});
}

/// A worker's transaction and one of ours wait for each other; the server ends the worker's, which waits first.
void deadlock(Stage& stage, Traffic&, Chance& chance) {
  constexpr const char* count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
  const std::string before = answer(stage, count);
  insist(stage, {"ALTER SYSTEM SET deadlock_timeout = '50ms'", "SELECT pg_reload_conf()"});
  for (int i = 0; i < 3; ++i) {
    auto ours = session(stage);
    const auto run = [&](const std::string& sql) {
      if (const auto done = ours.run(sql); !done) throw Stuck{done.error().message};
    };
    run("SET deadlock_timeout = '20s'; BEGIN");
    run(weir::format("SELECT 1 FROM weir_progress WHERE partition = {} AND node = 'db' FOR UPDATE",
                     chance.below(stage.partitions)));
    for (int tries = 0; tries < 100; ++tries, pause(5 * millisecond)) {
      if (answer(stage,
                 "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'weir/%' AND "
                 "wait_event_type = 'Lock'") != "0")
        break;
    }
    (void)ours.run("LOCK TABLE vehicle_second IN ACCESS EXCLUSIVE MODE");
    stage.struck();
    (void)ours.run("ROLLBACK");
  }
  insist(stage, {"ALTER SYSTEM RESET deadlock_timeout", "SELECT pg_reload_conf()"});
  for (int tries = 0; answer(stage, count) == before; ++tries, pause(50 * millisecond)) {
    if (tries == 60) throw LeftOut{"no worker waited"};
  }
}

/// Others take every connection that there is, the workers' too.
void take_connections(Stage& stage, Traffic&, Chance& chance) {
  std::vector<postgres::Connection> ours;
  const auto fill = [&] {
    while (auto one = postgres::Connection::open({stage.database->url(), "crowd"})) ours.push_back(*std::move(one));
  };
  fill();
  if (ours.empty()) throw LeftOut{"no connection is free"};
  for (int i = 0; i < 3; ++i) {
    (void)ours.front().run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'weir/%'");
    fill();
  }
  stage.struck();
  pause(chance.between(0, 2500 * millisecond));
}

void cancel(Stage& stage, Traffic&, Chance& chance) {
  for (int i = 0; i < 40; ++i) {
    answer(stage, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'weir/%'");
    stage.struck();
    pause(chance.between(0, 50 * millisecond));
  }
}

/// As a replica does that was asked too early, or one that may not be written to after a fail-over.
void read_only(Stage& stage, Traffic&, Chance& chance) {
  insist(stage, {"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"});
  stage.struck();
  pause(chance.between(200 * millisecond, 3 * second));
  insist(stage, {"SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only",
                 "SELECT pg_reload_conf()"});
}

// --- JetStream

/// Sets a stream's limit of bytes, beyond which it refuses; answers how it was before.
std::int64_t limit(const Stage& stage, const std::string& stream, std::int64_t bytes) {
  std::int64_t before = 0;
  wait_for(
      [&] {
        try {
          const fakes::NatsPeer peer{stage.nats.nats()};
          jsStreamInfo* info = nullptr;
          if (js_GetStreamInfo(&info, peer.jetstream->handle(), stream.c_str(), nullptr, nullptr) != NATS_OK)
            return false;
          before = info->Config->MaxBytes;
          info->Config->MaxBytes = bytes;
          info->Config->Discard = bytes > 0 ? js_DiscardNew : info->Config->Discard;
          const natsStatus done = js_UpdateStream(nullptr, peer.jetstream->handle(), info->Config, nullptr, nullptr);
          jsStreamInfo_Destroy(info);
          return done == NATS_OK;
        } catch (const std::exception&) {
          return false;
        }
      },
      stream + " can't be changed");
  return before;
}

/// No room: what is published to it comes back as failed.
void fill_stream(Stage& stage, Traffic&, Chance& chance) {
  const std::array streams{std::string{copies_name}, weir::format("KV_{}", bucket_name),
                           weir::format("KV_{}", current_name),
                           stage.stream(static_cast<Partition>(chance.below(stage.partitions)))};
  const std::string& stream = chance.one_of(streams);
  const std::int64_t before = limit(stage, stream, 1);
  stage.struck();
  pause(chance.between(200 * millisecond, 4 * second));
  limit(stage, stream, before);
}

/// Deliveries that a server or a network makes wrongly in the middle of a stream.
template <Proxy::Spoil how>
void spoil_deliveries(Stage& stage, Traffic&, Chance& chance) {
  const std::size_t count = 1 + chance.below(10);
  for (auto& worker : stage.workers) worker->nats.spoil_messages(how, weir::format("$JS.ACK.{}", stream_name), count);
  stage.struck();
  bool any = false;
  for (int tries = 0; !any && tries < 150; ++tries, pause(20 * millisecond)) {
    for (auto& worker : stage.workers) any = any || worker->nats.to_spoil() < count;
  }
  pause(chance.between(0, second));
  for (auto& worker : stage.workers) worker->nats.spoil_messages(how, {}, 0);
  if (!any) throw LeftOut{"nothing is delivered"};
}

/// Workers are told for a while that they may not connect.
void expel(Stage& stage, Traffic&, Chance& chance) {
  for (auto& worker : stage.workers) {
    worker->nats.expel(true);
    worker->nats.cut();
  }
  stage.struck();
  pause(chance.between(300 * millisecond, 4 * second));
  for (auto& worker : stage.workers) worker->nats.expel(false);
}

constexpr std::array kinds{
    Fault{.name = "sql-errors",
          .inject = survived<raise>,
          .what = "transactions fail by one of 40001, 40P01, 53300, 53200, 55P03, 57014 and 25006",
          .harms = "database"},
    Fault{.name = "deadlock",
          .inject = survived<deadlock>,
          .what = "a worker's transaction and another wait for each other",
          .harms = "database"},
    Fault{.name = "no-connections",
          .inject = survived<take_connections>,
          .what = "PostgreSQL has no connection free",
          .harms = "database"},
    Fault{.name = "cancel",
          .inject = survived<cancel>,
          .what = "pg_cancel_backend of all workers' sessions, many times",
          .harms = "database"},
    Fault{.name = "read-only",
          .inject = survived<read_only>,
          .what = "PostgreSQL takes no writes for a while",
          .harms = "database"},
    Fault{.name = "stream-full",
          .inject = survived<fill_stream>,
          .what = "a stream or a bucket has no room, and refuses what is published",
          .harms = "nats"},
    Fault{.name = "delivery-skip",
          .inject = survived<spoil_deliveries<Proxy::Spoil::skip>>,
          .what = "messages of a stream do not arrive",
          .harms = "nats"},
    Fault{.name = "delivery-repeat",
          .inject = survived<spoil_deliveries<Proxy::Spoil::repeat>>,
          .what = "messages of a stream arrive twice",
          .harms = "nats"},
    Fault{.name = "nats-expel", .inject = survived<expel>, .what = "NATS lets no worker connect", .harms = "nats"}};

}  // namespace

std::span<const Fault> refusal_faults() { return kinds; }

}  // namespace weir::faults
