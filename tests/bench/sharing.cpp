#include "bench/sharing.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <thread>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "bench/fleet_traffic.hpp"
#include "bench/run.hpp"
#include "clients/nats_publisher.hpp"
#include "clients/postgres.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 6> fields{"position", "heading", "speed", "torque", "charge", "temperature"};
constexpr std::uint32_t partitions = 8;
// A frame of each vehicle a second, 5,000 in all: rows come at every moment. Of fewer vehicles they would come in the
// first part of each second alone, and the rest of it would look like a pause.
constexpr std::size_t vehicles = 5000;
constexpr Duration between_frames = 200 * microsecond;
constexpr Duration lease = 3 * second;

/// Publishes until it ends.
class Traffic {
 public:
  explicit Traffic(const std::string& url)
      : peer_{url},
        publisher_{must(nats::Publisher::open(*peer_.connection, system_clock(), 4096))},
        thread_{[this](const std::stop_token& stop) { drive(stop); }} {}

 private:
  void drive(const std::stop_token& stop) {
    const Timestamp begin = system_clock().steady();
    for (std::size_t i = 0; !stop.stop_requested(); ++i) {
      const Timestamp due = begin + static_cast<Duration>(i) * between_frames;
      if (const Duration early = due - system_clock().steady(); early > 0) (void)system_clock().wait(early, stop);
      const std::string key = std::to_string(i % vehicles);
      must(publisher_->publish(weir::format("p.{}.vehicle.{}.telemetry", partition_of(key, partitions), key),
                               frames_.frame(system_clock().now(), 1), {}));
    }
    must(publisher_->complete(30 * second));
  }

  fakes::NatsPeer peer_;
  std::unique_ptr<nats::Publisher> publisher_;
  Frames frames_{fields};
  std::jthread thread_;
};

/// Looks at the progress every few milliseconds.
class Watch {
 public:
  explicit Watch(const std::string& url) : database_{must(postgres::Connection::open({url, "bench", 60 * second}))} {}

  struct Seen {
    Position position = 0;
    Timestamp moved = 0;  ///< when the position last changed, in steady time
    Duration longest = 0;
    std::set<std::string> owners;
  };

  void look() {
    const auto rows = must(database_.run("SELECT partition, position, coalesce(owner, '') FROM weir_progress"));
    const Timestamp now = system_clock().steady();
    for (const auto& row : rows) {
      Seen& seen = seen_[static_cast<Partition>(std::stoul(*row[0]))];
      const Position position = std::stoull(*row[1]);
      if (seen.moved == 0) seen.moved = now;
      seen.longest = std::max(seen.longest, now - seen.moved);
      if (position != seen.position) seen.moved = now;
      seen.position = position;
      if (!row[2]->empty()) seen.owners.insert(*row[2]);
    }
  }
  /// Until so is true, which is asked after each look; gives up after a while.
  template <typename So>
  void look_until(So so) {
    const Timestamp until = system_clock().steady() + 30 * second;
    for (look(); !so(); look()) {
      if (system_clock().steady() > until) give_up("the workers don't come to rest");
      (void)system_clock().wait(5 * millisecond, {});
    }
  }
  void look_for(Duration length) {
    const Timestamp until = system_clock().steady() + length;
    look_until([&] { return system_clock().steady() > until; });
  }
  void forget() {
    const Timestamp now = system_clock().steady();
    for (auto& [partition, seen] : seen_) seen = {.position = seen.position, .moved = now, .longest = 0, .owners = {}};
  }
  const std::map<Partition, Seen>& seen() const { return seen_; }
  std::size_t greatest_share() {
    const auto rows = must(database_.run(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM weir_progress WHERE owner IS NOT NULL GROUP BY owner) AS shares"));
    return rows[0][0] ? std::stoul(*rows[0][0]) : 0;
  }

 private:
  postgres::Connection database_;
  std::map<Partition, Seen> seen_;
};

double ms(Duration length) { return static_cast<double>(length) * 1e-6; }

Duration longest_pause(const Watch& watch, bool of_those_that_moved) {
  Duration out = 0;
  for (const auto& [partition, seen] : watch.seen()) {
    if ((seen.owners.size() > 1) == of_those_that_moved) out = std::max(out, seen.longest);
  }
  return out;
}

}  // namespace

void measure_sharing(Show show) {
  const fakes::Servers nats{"nats"};
  const fakes::PostgresServer database{true, true};
  const fakes::TemporaryDirectory directory;
  setenv("NATS_URL", nats.nats().c_str(), 1);
  setenv("PG_URL", database.url().c_str(), 1);
  const auto worker = [&](const std::string& name) {
    return fakes::WeirProcess{
        {"run", WEIR_SOURCE_DIR "/pipelines/fleet.json", "--set", weir::format("signals.partitions={}", partitions),
         "--set", weir::format("db.lease={}s", lease / second)},
        directory.file(name)};
  };
  fakes::WeirProcess first = worker("first");
  if (!first.says_of_each(partitions, "starts")) give_up(first.log());
  const Traffic traffic{nats.nats()};
  Watch watch{database.url()};
  watch.look_for(5 * second);

  watch.forget();
  fakes::WeirProcess second_one = worker("second");
  watch.look_until([&] { return watch.greatest_share() == partitions / 2; });
  watch.look_for(2 * second);
  const Duration moved = longest_pause(watch, true);
  show({.what = "(h) ms that a partition stands still when it goes to a worker that joins",
        .weir = fixed(ms(moved), 0) + " ms",
        .other = weir::format("{:.0f} ms: those that stay", ms(longest_pause(watch, false))),
        .value = ms(moved),
        .goal = Figure::Goal::at_most,
        .limit = 1000,
        .limit_text = "1000 ms",
        .note = weir::format("{} of {} partitions, {} vehicles, 5,000 frames/s; a commit every 100 ms is a pause too",
                             partitions / 2, partitions, vehicles)});

  watch.forget();
  (void)second_one.end(SIGKILL);
  const Timestamp killed = system_clock().steady();
  std::map<Partition, Position> before;
  for (const auto& [partition, seen] : watch.seen()) before[partition] = seen.position;
  watch.look_until([&] {
    return std::ranges::all_of(watch.seen(),
                               [&](const auto& one) { return one.second.position > before[one.first]; }) &&
           watch.greatest_share() == partitions;
  });
  const Duration recovered = system_clock().steady() - killed;
  show({.what = "(h) ms from the kill of a worker to commits of all its partitions by another, beyond the lease",
        .weir = fixed(ms(recovered - lease), 0) + " ms",
        .value = ms(recovered - lease),
        .goal = Figure::Goal::at_most,
        .limit = 1500,
        .limit_text = "1500 ms",
        .note = weir::format("the lease is {} s, of which up to a third had passed", lease / second)});
  if (first.end(SIGTERM) != 0) give_up(first.log());
}

}  // namespace weir::bench
