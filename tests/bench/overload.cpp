#include "bench/overload.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <optional>

#include <weir/format.hpp>

#include "bench/fleet_traffic.hpp"
#include "bench/run.hpp"
#include "clients/nats_publisher.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/proxy.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::bench {
namespace {

constexpr std::array<std::string_view, 6> fields{"position", "heading", "speed", "torque", "charge", "temperature"};
constexpr std::size_t vehicles = 20'000;
constexpr std::size_t seconds_of_frame = 4;  // a row each
constexpr double link_bytes = 8e6;  // a second, to the database: on a fast machine nobody could outrun weir otherwise
constexpr std::size_t sprint = 100'000;  // frames, to see what weir manages at first
constexpr double measured_over = 10;     // seconds

/// What is started from here on keeps to one half of the processors: what weir manages must not depend on how much is
/// published, and who publishes must be able to outrun it. With one processor there is nothing to share.
void keep_to(bool first_half) {
  const int processors = ::get_nprocs();
  if (processors < 2) return;
  cpu_set_t half;
  CPU_ZERO(&half);
  for (int i = 0; i < processors; ++i)
    if ((i < processors / 2) == first_half) CPU_SET(i, &half);
  if (::sched_setaffinity(0, sizeof half, &half) != 0) give_up("can't keep to some processors");
}

class Overload {
 public:
  Overload() {
    keep_to(true);
    database_.emplace(true, true, std::vector<std::string>{"shared_buffers = 256MB", "max_wal_size = 4GB"});
    keep_to(false);
    nats_.emplace("nats");
    setenv("NATS_URL", nats_->nats().c_str(), 1);
    link_.emplace(fakes::port_of(database_->url()));
    link_->narrow(link_bytes);
    setenv("PG_URL", link_->in_place_of(database_->url()).c_str(), 1);
    keep_to(true);
    worker_ = std::make_unique<fakes::WeirProcess>(
        std::vector<std::string>{"run", WEIR_SOURCE_DIR "/pipelines/fleet.json"}, directory_.file("log"));
    keep_to(false);
    if (!worker_->says("partition 0: starts")) give_up(worker_->log());
    peer_ = std::make_unique<fakes::NatsPeer>(nats_->nats());
    publisher_ = must(nats::Publisher::open(*peer_->connection, system_clock(), 4096));
  }

  /// As fast as possible.
  void publish(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) publish_one();
    must(publisher_->complete(60 * second));
  }

  /// For so many seconds twice what was committed lately. What failed is published again each second, so that it does
  /// not pile up here.
  void publish_too_much(double seconds, double rate) {
    std::deque<std::pair<double, std::uint64_t>> commits{{now_seconds(), committed()}};
    for (const double end = now_seconds() + seconds; now_seconds() < end;) {
      const double begin = now_seconds();
      for (double i = 0; i < rate && now_seconds() < begin + 1; ++i) {
        const double early = begin + i / rate - now_seconds();
        if (early > 1e-3) (void)system_clock().wait(static_cast<Duration>(early * 1e9), {});
        publish_one();
      }
      must(publisher_->complete(60 * second));
      commits.emplace_back(now_seconds(), committed());
      const auto& [since, before] = commits.front();
      const auto& [until, now] = commits.back();
      if (until - since < measured_over) continue;
      rate = std::max(1000.0, 2 * static_cast<double>(now - before) / (until - since));
      commits.pop_front();
    }
  }
  std::uint64_t committed() const {
    return std::stoull(database_->ask("SELECT coalesce(max(position), 0) FROM weir_progress"));
  }
  std::uint64_t published() const { return published_; }
  /// Seconds until everything published is committed.
  double catch_up(double patience) {
    const double begin = now_seconds();
    while (committed() < published_) {
      if (!worker_->runs() || now_seconds() - begin > patience) give_up(worker_->log());
      (void)system_clock().wait(20 * millisecond, {});
    }
    return now_seconds() - begin;
  }
  double most_megabytes() const { return megabytes(worker_->pid(), "VmHWM:"); }
  /// Markers are messages too; whatever was passed over is missing here.
  std::string account() const {
    return database_->ask(
        "SELECT format('%s of %s messages consumed, %s dead letters', (SELECT sum(consumed) FROM weir_progress),"
        " (SELECT sum(position) FROM weir_progress), (SELECT count(*) FROM weir_dead_letters))");
  }
  void end() {
    if (worker_->end(SIGTERM) != 0) give_up(worker_->log());
  }

 private:
  /// What vehicles have gathered since some hours ago, so that it makes as many rows however fast it is published.
  void publish_one() {
    const std::uint64_t seconds = published_ / vehicles * seconds_of_frame;
    must(publisher_->publish(weir::format("vehicle.{}.telemetry", published_++ % vehicles),
                             frames_.frame(begin_ + static_cast<Duration>(seconds) * second, seconds_of_frame, 1), {}));
  }

  std::optional<fakes::PostgresServer> database_;
  std::optional<fakes::Servers> nats_;
  std::optional<fakes::Proxy> link_;
  fakes::TemporaryDirectory directory_;
  std::unique_ptr<fakes::WeirProcess> worker_;
  std::unique_ptr<fakes::NatsPeer> peer_;
  std::unique_ptr<nats::Publisher> publisher_;
  Frames frames_{fields};
  Timestamp begin_ = (system_clock().now() / second - 6 * 3600) * second;
  std::uint64_t published_ = 0;
};

}  // namespace

void measure_overload(Show show) {
  const char* asked = std::getenv("WEIR_OVERLOAD");
  const double length = asked == nullptr ? 20 : std::atof(asked);
  const double patience = 10 * length + 60;
  alarm(static_cast<unsigned>(length + 2 * patience));
  // On the disk, as what piles up must not take memory from what is measured.
  const std::filesystem::path usual = std::filesystem::temp_directory_path(), beside{WEIR_BUILD_DIR "/overload"};
  std::filesystem::create_directories(beside);
  std::filesystem::permissions(beside, std::filesystem::perms::all);
  setenv("TMPDIR", beside.c_str(), 1);
  Overload overload;
  setenv("TMPDIR", usual.c_str(), 1);
  double begin = now_seconds();
  overload.publish(sprint);
  overload.catch_up(patience);
  const double at_first = static_cast<double>(sprint) / (now_seconds() - begin);
  const double before = overload.most_megabytes();

  begin = now_seconds();
  const std::uint64_t committed_before = overload.committed();
  overload.publish_too_much(length, 2 * at_first);
  const double took = now_seconds() - begin;
  const std::uint64_t committed = overload.committed() - committed_before;
  const std::uint64_t published = overload.published() - sprint;
  const double behind = static_cast<double>(published) - static_cast<double>(committed);
  const double caught_up = overload.catch_up(patience);
  const double most = overload.most_megabytes();
  show(
      {.what = "(i) MB resident at most, with twice as much published as weir commits",
       .weir = fixed(most, 0) + " MB",
       .other = fixed(before, 0) + " MB: before",
       .value = most,
       .goal = Figure::Goal::at_most,
       .limit = 512,
       .limit_text = "512 MB",
       .note = weir::format(
           "for {:.0f} s {} frames/s published, {} committed: {:.1f} times as many; {} left behind in the stream, caught "
           "up in {:.1f} s; {}",
           took, scaled(static_cast<double>(published) / took), scaled(static_cast<double>(committed) / took),
           static_cast<double>(published) / static_cast<double>(committed), scaled(behind), caught_up,
           overload.account())});
  overload.end();
}

}  // namespace weir::bench
