#include "bench/current.hpp"

#include <array>
#include <map>
#include <string>

#include <weir/format.hpp>

#include "bench/fleet_traffic.hpp"
#include "bench/run.hpp"
#include "clients/postgres.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 5> fields{"position", "heading", "speed", "torque", "charge"};
constexpr std::size_t most_ahead = 100'000;  // messages that ingest has not taken yet: far below what would be dropped
constexpr Duration sprint = 5 * second;
constexpr Duration steady_for = 14 * second;
constexpr Duration settle = 6 * second;  // sessions begin, the first ticks close by `wait`

/// What a known implementation in Python does, with the same topology.
struct Known {
  std::size_t vehicles;
  double tick_seconds;
};
constexpr double known_rate = 9'800;

class Stage {
 public:
  explicit Stage(std::size_t vehicles)
      : vehicles_{vehicles},
        nats_{"nats"},
        database_{true, true, {"track_commit_timestamp = on"}},
        peer_{nats_.nats()},
        ingest_{pipeline("pipelines/ingest.json")} {
    ingest_.wait_ready();
  }

  std::string pipeline(const std::string& file) const {
    return with_variables(text_of_file(file), {{"NATS_URL", nats_.nats()}, {"PG_URL", database_.url()}});
  }

  void publish_next() {
    const std::size_t vehicle = published_ / fields.size() % vehicles_, field = published_ % fields.size();
    const Timestamp now = system_clock().now();
    peer_.publish(weir::format("vehicle.{}.{}", vehicle, fields[field]),
                  frames_.single(field, now, static_cast<double>(now % second)));
    ++published_;
  }

  std::uint64_t published() const { return published_; }
  std::uint64_t taken() const { return ingest_.counted("signals", "received"); }
  std::uint64_t written() const { return ingest_.counted("now", "published"); }
  std::uint64_t dropped() const { return ingest_.counted("signals", "dropped"); }
  postgres::Connection ask() const { return must(postgres::Connection::open({database_.url(), "bench", 60 * second})); }
  std::string counters() const { return ingest_.counters(); }

 private:
  std::size_t vehicles_;
  fakes::Servers nats_;
  fakes::PostgresServer database_;
  fakes::NatsPeer peer_;
  Frames frames_{fields};
  Run ingest_;
  std::uint64_t published_ = 0;
};

struct Rates {
  double messages = 0, writes = 0;  ///< a second
};

/// As fast as ingest takes messages, until the last of them are in the bucket.
Rates flood(Stage& stage) {
  const Timestamp begin = system_clock().steady();
  while (system_clock().steady() - begin < sprint) {
    while (stage.published() < stage.taken() + most_ahead && system_clock().steady() - begin < sprint) {
      for (int i = 0; i < 256; ++i) stage.publish_next();
    }
    system_clock().wait(100 * microsecond, {});
  }
  while (stage.taken() + stage.dropped() < stage.published()) system_clock().wait(millisecond, {});
  const double taken = static_cast<double>(system_clock().steady() - begin) * 1e-9;
  std::uint64_t written = 0;
  while (written != stage.written() || written == 0) {
    written = stage.written();
    system_clock().wait(300 * millisecond, {});
  }
  if (stage.dropped() != 0) give_up("ingest could not keep up: " + stage.counters());
  return {static_cast<double>(stage.taken()) / taken,
          static_cast<double>(written) / (static_cast<double>(system_clock().steady() - begin) * 1e-9 - 0.3)};
}

/// Every vehicle's every field once a second, evenly, while the aggregator makes rows of them.
void drive(Stage& stage, std::size_t vehicles) {
  const Timestamp begin = system_clock().now();
  const double rate = static_cast<double>(vehicles * fields.size());
  const auto count = static_cast<std::size_t>(rate * static_cast<double>(steady_for) / 1e9);
  for (std::size_t i = 0; i < count; ++i) {
    const auto due = begin + static_cast<Duration>(static_cast<double>(i) / rate * 1e9);
    const Timestamp now = system_clock().now();
    if (due > now + millisecond) system_clock().wait(due - now, {});
    stage.publish_next();
  }
}

struct Ticks {
  std::vector<double> seconds;  ///< by reading of the bucket: from its instant to the commit of its last row
  double rows = 0;              ///< in one, median
  std::uint64_t missed = 0;
};

Ticks read_ticks(Stage& stage, std::size_t vehicles) {
  const Run aggregate{stage.pipeline("pipelines/aggregate.json")};
  aggregate.wait_ready();
  const Timestamp begin = system_clock().now();
  drive(stage, vehicles);
  auto database = stage.ask();
  // Rows appear at a tick's reading only, once a second: what is beyond the full second is the tick's time.
  const auto rows = must(database.run(weir::format(
      "SELECT floor(c)::bigint, max(c - floor(c)), count(*) FROM (SELECT extract(epoch FROM "
      "pg_xact_commit_timestamp(xmin)) AS c FROM vehicle_now) AS commits WHERE c >= {} GROUP BY 1 ORDER BY 1",
      (begin + settle) / second + 1)));
  Ticks out;
  std::vector<double> counts;
  for (const auto& row : rows) {
    out.seconds.push_back(std::stod(*row[1]));
    counts.push_back(std::stod(*row[2]));
  }
  out.rows = median(counts);
  out.missed = aggregate.counted("now", "missed");
  if (out.seconds.empty()) give_up("no rows: " + aggregate.counters() + stage.counters());
  return out;
}

std::vector<Figure> measure(const Known& known) {
  Stage stage{known.vehicles};
  const Rates rates = flood(stage);
  const Ticks ticks = read_ticks(stage, known.vehicles);
  Figure rate;
  rate.what =
      weir::format("(f) messages/s taken, newest values into the bucket, {} vehicles x 5 fields", known.vehicles);
  rate.weir = scaled(rates.messages);
  rate.other = scaled(known_rate);
  rate.value = rates.messages;
  rate.shown = fixed(rates.messages / known_rate, 1) + " x";
  rate.goal = Figure::Goal::at_least;
  rate.limit = known_rate;
  rate.limit_text = scaled(known_rate);
  rate.note = weir::format("published to the queue group and taken, none lost; {} coalesced writes/s of the bucket",
                           scaled(rates.writes));
  Figure tick;
  tick.what = weir::format("(f) s for a tick: bucket read -> rows committed, {} vehicles x 5 fields", known.vehicles);
  tick.weir = fixed(median(ticks.seconds), 3) + " s";
  tick.other = fixed(known.tick_seconds, 1) + " s";
  tick.value = median(ticks.seconds);
  tick.shown = fixed(known.tick_seconds / tick.value, 1) + " x";
  tick.goal = Figure::Goal::at_most;
  tick.limit = known.tick_seconds;
  tick.limit_text = fixed(known.tick_seconds, 1) + " s";
  tick.note =
      weir::format("worst {:.3f} s of {} ticks, {:.0f} rows each, {} ticks missed; the commit gathers for 0.1 s",
                   quantile(ticks.seconds, 1), ticks.seconds.size(), ticks.rows, ticks.missed);
  return {rate, tick};
}

}  // namespace

void measure_current(Show show) {
  for (const Known& known : {Known{1'000, 2.3}, Known{5'000, 19.2}}) {
    for (const Figure& figure : measure(known)) show(figure);
  }
}

}  // namespace weir::bench
