#include "bench/latency.hpp"

#include <array>
#include <cmath>
#include <map>
#include <string>

#include <weir/format.hpp>

#include "bench/fleet_traffic.hpp"
#include "bench/run.hpp"
#include "clients/nats_publisher.hpp"
#include "clients/postgres.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 6> fields{"position", "heading", "speed", "torque", "charge", "temperature"};
constexpr std::size_t per_second = 5;    // frames of a vehicle
constexpr std::size_t sprint = 400'000;  // frames as fast as possible
constexpr Duration steady_for = 12 * second;
constexpr Duration settle = 4 * second;  // ticks of the beginning close by `wait` only: their fields are not known yet
constexpr Duration batch_time = 100 * millisecond;  // a commit gathers rows this long

/// The servers, the pipeline between them, and a publisher.
class Stage {
 public:
  Stage()
      : nats_{"nats"},
        database_{true, true, {"track_commit_timestamp = on", "shared_buffers = 256MB", "max_wal_size = 4GB"}},
        peer_{nats_.nats()},
        publisher_{must(nats::Publisher::open(*peer_.connection, system_clock(), 4096))},
        run_{with_variables(text_of_file("pipelines/fleet.json"),
                            {{"NATS_URL", nats_.nats()}, {"PG_URL", database_.url()}}),
             {{"limits.keys", "1000000"}}} {
    run_.wait_ready();
  }

  void publish(std::size_t vehicle, Timestamp time) {
    must(publisher_->publish("vehicle." + std::to_string(vehicle) + ".telemetry",
                             frames_.frame(time, static_cast<double>(time % second)), {}));
    ++published_;
  }
  /// Until weir has committed all that was published.
  void finish() {
    must(publisher_->complete(30 * second));
    for (;;) {
      const auto status = run_.status();
      if (!status.committed.empty() && status.committed.front().position >= published_) return;
      system_clock().wait(millisecond, {});
    }
  }

  const Run& run() const { return run_; }
  postgres::Connection ask() const { return must(postgres::Connection::open({database_.url(), "bench", 60 * second})); }

 private:
  fakes::Servers nats_;
  fakes::PostgresServer database_;
  fakes::NatsPeer peer_;
  std::unique_ptr<nats::Publisher> publisher_;
  Frames frames_{fields};
  Run run_;
  std::uint64_t published_ = 0;
};

/// Frames a second that publisher, server, weir and database manage together.
double top_rate(Stage& stage) {
  constexpr std::size_t vehicles = 10'000;
  const double begin = now_seconds();
  for (std::size_t i = 0; i < sprint; ++i) stage.publish(i % vehicles, system_clock().now());
  stage.finish();
  return static_cast<double>(sprint) / (now_seconds() - begin);
}

/// What was published at a steady rate: by vehicle, when each tick was completed.
struct Traffic {
  std::size_t first_vehicle = 0, vehicles = 0;
  Timestamp first_tick = 0;
  std::vector<std::vector<Timestamp>> completed;  ///< by vehicle and tick

  Timestamp& at(std::size_t vehicle, Timestamp tick) {
    return completed[vehicle][static_cast<std::size_t>((tick - first_tick) / second)];
  }
};

Traffic drive(Stage& stage, double rate) {
  Traffic out;
  out.first_vehicle = 100'000;
  out.vehicles = static_cast<std::size_t>(rate) / per_second;
  const Timestamp begin = system_clock().now();
  out.first_tick = begin / second * second;
  out.completed.assign(out.vehicles, std::vector<Timestamp>(static_cast<std::size_t>(steady_for / second) + 3));
  const auto count = static_cast<std::size_t>(rate * static_cast<double>(steady_for) / 1e9);
  for (std::size_t i = 0; i < count; ++i) {
    const auto due = begin + static_cast<Duration>(static_cast<double>(i) / rate * 1e9);
    Timestamp now = system_clock().now();
    if (due > now + millisecond) {
      system_clock().wait(due - now, {});
      now = system_clock().now();
    }
    const std::size_t vehicle = i % out.vehicles;
    Timestamp& completed = out.at(vehicle, now / second * second);
    if (completed == 0) completed = now;
    stage.publish(out.first_vehicle + vehicle, now);
  }
  stage.finish();
  return out;
}

/// Milliseconds from a tick's completion to its row's commit.
std::vector<double> delays(const Stage& stage, Traffic& traffic) {
  auto database = stage.ask();
  const Timestamp from = traffic.first_tick + settle;
  const auto rows = must(database.run(
      weir::format("SELECT key, (extract(epoch FROM time) * 1000000)::bigint, "
                   "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM vehicle_second "
                   "WHERE key::bigint >= {} AND time >= to_timestamp({})",
                   traffic.first_vehicle, from / second)));
  std::vector<double> out;
  for (const auto& row : rows) {
    const std::size_t vehicle = std::stoull(*row[0]) - traffic.first_vehicle;
    const Timestamp completed = traffic.at(vehicle, std::stoll(*row[1]) * microsecond);
    if (completed == 0) continue;  // the last tick of all closes by `wait`
    out.push_back(static_cast<double>(std::stoll(*row[2]) * microsecond - completed) * 1e-6);
  }
  return out;
}

}  // namespace

void measure_latency(Show show) {
  Stage stage;
  const double top = top_rate(stage);
  Traffic traffic = drive(stage, top / 2);
  const auto ms = delays(stage, traffic);
  if (ms.size() < traffic.vehicles) give_up("too few rows were committed: " + stage.run().counters());
  Figure out;
  out.what = "(e) ms from the sample that completes a tick to its row's commit, p99, at half the top rate";
  out.weir = fixed(quantile(ms, 0.99), 1) + " ms";
  out.other = "p50 " + fixed(median(ms), 1) + " ms";
  out.value = quantile(ms, 0.99);
  out.goal = Figure::Goal::at_most;
  out.limit = static_cast<double>(50 * millisecond + batch_time) * 1e-6;
  out.limit_text = "150 ms";
  const auto status = stage.run().status();
  out.note = weir::format(
      "top rate {} frames/s of {} samples, published and committed at once; half of it: {} vehicles, {} rows measured, "
      "max {:.1f} ms; a commit gathers rows for 100 ms and takes {:.1f} ms",
      scaled(top), fields.size(), traffic.vehicles, ms.size(), quantile(ms, 1),
      static_cast<double>(status.commit_time_total) * 1e-6 / static_cast<double>(status.commits));
  show(out);
}

}  // namespace weir::bench
