/// A deadline at which more becomes due at once than fits in memory or in a transaction.
#include <gmock/gmock.h>

#include <fstream>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

constexpr int vehicles = 10'000;
constexpr int ticks = 90;

class BoundedWork : public Job {
 protected:
  /// A file with little memory, whose ticks wait for a field that only one vehicle sends.
  void start() {
    std::string file = text({.wait = "4s", .columns = R"("speed": { "max_gap": "120s" }, "heat": {})"});
    const std::string keys = R"("limits": { "keys": 100 })";
    file.replace(file.find(keys), keys.size(), R"("limits": { "keys": 20000, "in_flight": "16MiB" })");
    const std::string every = R"("every": "1s",)";
    file.replace(file.find(every), every.size(), every + R"( "session": { "timeout": "120s" },)");
    directory_.write("job.json", file);
    job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", directory_.file("job.json")},
                                                directory_.file("job.log"));
    ASSERT_TRUE(job_->says("partition 0: ")) << job_->log();
  }

  /// Stores two samples of each vehicle, at both ends of `ticks` seconds. In their first `wait` no tick is complete, so
  /// all of them are due at once.
  void send_all() {
    peer_ = std::make_unique<fakes::NatsPeer>(nats_.nats());
    for (int v = 0; v < vehicles; ++v) {
      for (const Duration at : {Duration{0}, ticks * second})
        peer_->publish(weir::format("vehicle.v{}.speed", v),
                       weir::format(R"({{"time":{},"value":{}}})", origin_ - 60 * second + at, v));
    }
    ASSERT_TRUE(peer_->connection->flush(30 * second).has_value());
  }

  std::size_t count() const { return std::stoull("0" + database_.ask("SELECT count(*) FROM vehicle_second")); }
  std::string progress() const { return database_.ask("SELECT position, emitted > 0 FROM weir_progress"); }

  /// The most memory that the job has had, in MiB.
  std::size_t most_memory() const {
    std::ifstream status{weir::format("/proc/{}/status", job_->pid())};
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) / 1024;
    }
    return 0;
  }
};

TEST_F(BoundedWork, IsCommittedInPartsOfWhichNoneIsLostOrDoubled) {
  start();
  send_all();
  std::size_t crashes = 0;
  const std::size_t all = static_cast<std::size_t>(vehicles) * (ticks + 1);
  for (int i = 0; i < 3000 && count() < all; ++i) {
    pause(20 * millisecond);
    if (crashes < 3 && progress().ends_with(" t") && count() > (crashes + 1) * all / 5) {
      job_->end(SIGKILL);
      ++crashes;
      start();
    }
  }
  EXPECT_EQ(crashes, 3u) << "a commit between two parts was not seen so often";
  EXPECT_EQ(count(), all) << job_->log();
  EXPECT_LE(most_memory(), 16u + 150u);
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  EXPECT_EQ(database_.ask("SELECT count(*), count(DISTINCT (key, time)) FROM vehicle_second"),
            weir::format("{0} {0}", all));
  EXPECT_EQ(database_.ask("SELECT count(*) FROM vehicle_second WHERE speed <> substr(key, 2)::float8"), "0");
}

}  // namespace
}  // namespace weir::integration
