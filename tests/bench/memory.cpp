#include "bench/memory.hpp"

#include <signal.h>

#include <array>
#include <string>

#include <weir/format.hpp>

#include "bench/fleet_traffic.hpp"
#include "bench/run.hpp"
#include "clients/nats_publisher.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 8> fields{"position", "heading", "speed",       "torque",
                                                 "charge",   "fuel",    "temperature", "power"};
constexpr std::size_t vehicles = 100'000;
constexpr int rounds = 5;

/// `rounds` frames of every vehicle, a second apart or as far as it takes to publish them.
void drive(const std::string& url, const fakes::PostgresServer& database) {
  const fakes::NatsPeer peer{url};
  const auto publisher = must(nats::Publisher::open(*peer.connection, system_clock(), 4096));
  Frames frames{fields};
  for (int round = 0; round < rounds; ++round) {
    const Timestamp begin = system_clock().steady();
    for (std::size_t v = 0; v < vehicles; ++v)
      must(
          publisher->publish("vehicle." + std::to_string(v) + ".telemetry", frames.frame(system_clock().now(), 1), {}));
    must(publisher->complete(30 * second));
    system_clock().wait(std::max<Duration>(0, begin + second - system_clock().steady()), {});
  }
  for (int i = 0; i < 300; ++i) {
    if (std::stoull(database.ask("SELECT coalesce(max(position), 0) FROM weir_progress")) >= vehicles * rounds) return;
    system_clock().wait(100 * millisecond, {});
  }
  give_up("weir did not take all that was published");
}

}  // namespace

void measure_memory(Show show) {
  const fakes::Servers servers{"nats"};
  const fakes::PostgresServer database{true, false};
  const fakes::TemporaryDirectory directory;
  setenv("NATS_URL", servers.nats().c_str(), 1);
  setenv("PG_URL", database.url().c_str(), 1);
  fakes::WeirProcess weir{{"run", "-q", "--log-level", "warn", WEIR_SOURCE_DIR "/pipelines/fleet.json"},
                          directory.file("log")};
  system_clock().wait(4 * second, {});
  Figure idle;
  idle.what = "(d) MB resident: weir run pipelines/fleet.json, idle";
  idle.value = megabytes(weir.pid(), "VmRSS:");
  idle.weir = fixed(idle.value, 1) + " MB";
  idle.goal = Figure::Goal::at_most;
  idle.limit = 30;
  idle.limit_text = "30 MB";
  idle.note = weir::format("{:.1f} MB of it are its own, the rest are pages of the program and of libraries",
                           megabytes(weir.pid(), "RssAnon:"));
  show(idle);
  drive(servers.nats(), database);
  system_clock().wait(4 * second, {});
  Figure full;
  full.what = "(d) MB resident: the same, after 100,000 vehicles x 8 fields";
  full.value = megabytes(weir.pid(), "VmRSS:");
  full.weir = fixed(full.value, 1) + " MB";
  full.note = weir::format("{} frames of {} samples published at once; the most it ever held was {:.1f} MB",
                           vehicles * rounds, fields.size(), megabytes(weir.pid(), "VmHWM:"));
  show(full);
  (void)weir.end(SIGTERM);
}

}  // namespace weir::bench
