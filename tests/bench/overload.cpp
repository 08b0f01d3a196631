#include "bench/overload.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

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

constexpr std::array<std::string_view, 6> fields{"position", "heading", "speed", "torque", "charge", "temperature"};
constexpr std::size_t vehicles = 10'000;
constexpr std::size_t sprint = 300'000;  // frames, to see what weir manages

class Overload {
 public:
  Overload() {
    setenv("NATS_URL", nats_.nats().c_str(), 1);
    setenv("PG_URL", database_.url().c_str(), 1);
    worker_ = std::make_unique<fakes::WeirProcess>(
        std::vector<std::string>{"run", WEIR_SOURCE_DIR "/pipelines/fleet.json"}, directory_.file("log"));
    if (!worker_->says("partition 0: starts")) give_up(worker_->log());
    peer_ = std::make_unique<fakes::NatsPeer>(nats_.nats());
    publisher_ = must(nats::Publisher::open(*peer_->connection, system_clock(), 4096));
  }

  /// At so many frames a second; 0: as fast as possible.
  void publish(std::size_t count, double rate) {
    const double begin = now_seconds();
    for (std::size_t i = 0; i < count; ++i, ++published_) {
      const double early = rate == 0 ? 0 : begin + static_cast<double>(i) / rate - now_seconds();
      if (early > 1e-3) (void)system_clock().wait(static_cast<Duration>(early * 1e9), {});
      must(publisher_->publish(weir::format("vehicle.{}.telemetry", i % vehicles),
                               frames_.frame(system_clock().now(), 1), {}));
    }
    must(publisher_->complete(60 * second));
  }
  std::uint64_t committed() const {
    return std::stoull(database_.ask("SELECT coalesce(max(position), 0) FROM weir_progress"));
  }
  std::uint64_t published() const { return published_; }
  /// Seconds until everything published is committed.
  double catch_up() {
    const double begin = now_seconds();
    while (committed() < published_) {
      if (!worker_->runs() || now_seconds() - begin > 600) give_up(worker_->log());
      (void)system_clock().wait(20 * millisecond, {});
    }
    return now_seconds() - begin;
  }
  double most_megabytes() const { return megabytes(worker_->pid(), "VmHWM:"); }
  std::string lost() const {
    return database_.ask("SELECT (SELECT consumed FROM weir_progress), (SELECT count(*) FROM weir_dead_letters)");
  }
  void end() {
    if (worker_->end(SIGTERM) != 0) give_up(worker_->log());
  }

 private:
  fakes::Servers nats_{"nats"};
  fakes::PostgresServer database_{true, true, {"shared_buffers = 256MB", "max_wal_size = 4GB"}};
  fakes::TemporaryDirectory directory_;
  std::unique_ptr<fakes::WeirProcess> worker_;
  std::unique_ptr<fakes::NatsPeer> peer_;
  std::unique_ptr<nats::Publisher> publisher_;
  Frames frames_{fields};
  std::uint64_t published_ = 0;
};

}  // namespace

void measure_overload(Show show) {
  const char* asked = std::getenv("WEIR_OVERLOAD");
  const double length = asked == nullptr ? 20 : std::atof(asked);
  alarm(static_cast<unsigned>(length * 4) + 120);
  Overload overload;
  const double begin = now_seconds();
  overload.publish(sprint, 0);
  overload.catch_up();
  const double top = static_cast<double>(sprint) / (now_seconds() - begin);
  const double before = overload.most_megabytes();

  const double started = now_seconds();
  overload.publish(static_cast<std::size_t>(2 * top * length), 2 * top);
  const double took = now_seconds() - started;
  // Markers are committed too.
  const std::uint64_t behind = overload.published() - std::min(overload.published(), overload.committed());
  const double caught_up = overload.catch_up();
  const double most = overload.most_megabytes();
  // Markers are consumed too.
  const auto lost = overload.lost();
  show(
      {.what = "(i) MB resident at most, with more published than weir can commit",
       .weir = fixed(most, 0) + " MB",
       .other = fixed(before, 0) + " MB: before",
       .value = most,
       .goal = Figure::Goal::at_most,
       .limit = 512,
       .limit_text = "512 MB",
       .note = weir::format(
           "{} frames/s is what it manages beside the publisher; {:.0f} s at {} a second left {} behind in the stream, "
           "caught up in {:.1f} s; {} published; consumed and dead letters: {}",
           scaled(top), took, scaled(static_cast<double>(overload.published() - sprint) / took),
           scaled(static_cast<double>(behind)), caught_up, overload.published(), lost)});
  overload.end();
}

}  // namespace weir::bench
