/// Workers of one pipeline that share its partitions: they come, go and die while vehicles drive on, and every row is
/// there once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <thread>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t partitions = 4;
constexpr int fleet_size = 24;

/// Publishes a sample of each vehicle ten times a second: its speed is its event time in seconds after the origin, so
/// that a row is wrong if its speed is not its tick.
class Traffic {
 public:
  Traffic(const std::string& url, Timestamp origin)
      : peer_{url}, origin_{origin}, thread_{[this](const std::stop_token& stop) { drive(stop); }} {}

  /// Stops, and answers how many samples each vehicle has sent: one each half second of event time, from 0.25 s on.
  int stop() {
    thread_.request_stop();
    thread_.join();
    return sent_;
  }

 private:
  void drive(const std::stop_token& stop) {
    while (system_clock().wait(100 * millisecond, stop)) {
      const Duration after = sent_ * 500 * millisecond + 250 * millisecond;
      for (int v = 0; v < fleet_size; ++v) {
        const std::string key = weir::format("v{}", v);
        peer_.publish(weir::format("p.{}.vehicle.{}.speed", partition_of(key, partitions), key),
                      weir::format(R"({{"time":{},"value":{}}})", origin_ + after,
                                   static_cast<double>(after) / static_cast<double>(second)));
      }
      if (!peer_.connection->flush(10 * second)) return;
      ++sent_;
    }
  }

  fakes::NatsPeer peer_;
  Timestamp origin_;
  std::atomic<int> sent_{0};
  std::jthread thread_;
};

class Sharing : public Job {
 protected:
  void start(const std::string& name) {
    if (pipeline_.empty()) {
      pipeline_ = directory_.write("job.json", text({.wait = "1s", .lease = "3s", .partitions = partitions}));
    }
    workers_[name] = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", pipeline_},
                                                          directory_.file(name + ".log"));
  }
  fakes::WeirProcess& worker(const std::string& name) { return *workers_.at(name); }

  /// How many partitions each owner has, "2 2"; in order of numbers.
  std::string shares() const {
    return database_.ask(
        "SELECT string_agg(n::text, ' ' ORDER BY n) FROM (SELECT count(*) AS n FROM weir_progress WHERE owner IS NOT "
        "NULL AND lease_until > clock_timestamp() GROUP BY owner) AS owners");
  }
  /// Stores a sample of speed 1 in partition 0.
  void store(Duration after) const {
    fakes::NatsPeer peer{nats_.nats()};
    const std::string subject = weir::format("p.0.vehicle.{}.speed", key_of_partition_0());
    peer.publish(subject, weir::format(R"({{"time":{},"value":1}})", epoch_ + after));
    ASSERT_TRUE(peer.connection->flush(10 * second).has_value());
  }
  /// Waits for so many rows of that.
  void expect_rows(const std::string& wanted) const {
    const std::string count = "SELECT count(*) FROM vehicle_second WHERE speed = 1";
    for (int i = 0; i < 500 && database_.ask(count) != wanted; ++i) pause(20 * millisecond);
    EXPECT_EQ(database_.ask(count), wanted) << logs();
  }
  void expect_shares(const std::string& wanted, Duration patience = 10 * second) const {
    const Timestamp until = system_clock().steady() + patience;
    std::string seen = shares();  // may be another when it is asked again, where workers are still about to share
    for (; seen != wanted && system_clock().steady() < until; seen = shares()) pause(20 * millisecond);
    EXPECT_EQ(seen, wanted) << logs();
  }
  void wait_for_rows_beyond(int seconds) const {
    for (int i = 0; i < 1000 && reached() <= seconds; ++i) pause(20 * millisecond);
    EXPECT_GT(reached(), seconds) << logs();
  }
  /// The second up to which every vehicle has rows.
  int reached() const {
    const std::string least = database_.ask(weir::format(
        "SELECT CASE WHEN count(*) = {} THEN min(last) END FROM (SELECT max(extract(epoch FROM time)::bigint - {}) "
        "AS last FROM vehicle_second GROUP BY key) AS vehicles",
        fleet_size, epoch_ / second));
    return least.empty() || least == "NULL" ? 0 : std::stoi(least);
  }
  static std::string key_of_partition_0() {
    for (int v = 0;; ++v) {
      if (std::string key = weir::format("v{}", v); partition_of(key, partitions) == 0) return key;
    }
  }
  std::string logs() const {
    std::string out;
    for (const auto& [name, process] : workers_) out += "--- " + name + "\n" + process->log();
    return out;
  }

  /// Every vehicle has a row of every second between its samples, with the right speed, once.
  void expect_all_rows(int samples) const {
    const int last = (samples - 1) / 2;  // the last second before the last sample
    wait_for_rows_beyond(last - 1);
    EXPECT_EQ(
        database_.ask(weir::format(
            "SELECT count(*), count(DISTINCT (key, time)), count(*) FILTER (WHERE abs(speed - "
            "(extract(epoch FROM time) - {})) > 1e-6 OR speed IS NULL), max(extract(epoch FROM time)::bigint) - {} "
            "FROM vehicle_second",
            epoch_ / second, epoch_ / second)),
        weir::format("{0} {0} 0 {1}", fleet_size * last, last))
        << logs();
  }

  std::string pipeline_;
  std::map<std::string, std::unique_ptr<fakes::WeirProcess>> workers_;
  const Timestamp epoch_ = system_clock().now() / second * second - 600 * second;
};

TEST_F(Sharing, WorkersComeGoAndDieAndEveryRowIsThereOnce) {
  start("first");
  ASSERT_TRUE(worker("first").says_of_each(partitions, "starts")) << logs();
  Traffic traffic{nats_.nats(), epoch_};
  wait_for_rows_beyond(2);
  EXPECT_EQ(shares(), "4");

  start("second");
  expect_shares("2 2");
  EXPECT_THAT(worker("first").log(), HasSubstr("given to another worker after position"));
  start("third");
  expect_shares("1 1 2");
  wait_for_rows_beyond(reached() + 3);

  // Killed, it is missed when its lease has run out.
  EXPECT_EQ(worker("second").end(SIGKILL), fakes::WeirProcess::killed);
  expect_shares("2 2", 15 * second);
  EXPECT_EQ(database_.ask("SELECT count(*) FROM weir_workers WHERE lease_until > clock_timestamp()"), "2");
  wait_for_rows_beyond(reached() + 3);

  // Stopped, it is missed at once.
  EXPECT_EQ(worker("first").end(SIGTERM), 0) << logs();
  expect_shares("4", 2 * second);
  wait_for_rows_beyond(reached() + 3);
  expect_all_rows(traffic.stop());
  EXPECT_EQ(worker("third").end(SIGTERM), 0) << logs();
  EXPECT_EQ(database_.ask("SELECT count(*) FROM weir_workers WHERE lease_until > clock_timestamp()"), "0");
}

/// It could not open any partition, so it must not be given a share.
TEST_F(Sharing, AWorkerWithAnotherNumberOfPartitionsTakesNone) {
  start("a");
  ASSERT_TRUE(worker("a").says_of_each(partitions, "starts")) << worker("a").log();
  for (const std::uint32_t number : {1u, 2u, 8u}) {
    pipeline_ =
        directory_.write(weir::format("job{}.json", number), text({.wait = "1s", .lease = "3s", .partitions = number}));
    const std::string name = weir::format("of {}", number);
    start(name);
    EXPECT_EQ(worker(name).wait(), 70) << worker(name).log();
    EXPECT_THAT(worker(name).log(), HasSubstr("partitions"));
  }
  EXPECT_EQ(shares(), "4") << worker("a").log();
  EXPECT_THAT(worker("a").log(), testing::Not(HasSubstr("given to another worker")));
  EXPECT_EQ(worker("a").end(SIGTERM), 0);
}

TEST_F(Sharing, AReloadKeepsTheShareOfItsWorker) {
  start("first");
  ASSERT_TRUE(worker("first").says_of_each(partitions, "starts")) << logs();
  Traffic traffic{nats_.nats(), epoch_};
  start("second");
  expect_shares("2 2");
  const std::string owned = "SELECT string_agg(owner, ' ' ORDER BY partition) FROM weir_progress";
  const std::string before = database_.ask(owned);
  worker("first").send(SIGHUP);
  ASSERT_TRUE(worker("first").says("the new pipeline runs")) << logs();
  expect_shares("2 2");
  EXPECT_EQ(database_.ask(owned), before) << logs();
  wait_for_rows_beyond(reached() + 2);
  expect_all_rows(traffic.stop());
}

TEST_F(Sharing, WhatOneLaneCanNotTakeUpIsNoReloadAndEndsNoOtherLaneAtAStart) {
  const JobText job{.store = "memory", .partitions = partitions};
  pipeline_ = directory_.write("job.json", text(job));
  start("first");
  ASSERT_TRUE(worker("first").says_of_each(partitions, "starts")) << logs();
  store(500 * millisecond);
  store(1500 * millisecond);
  expect_rows("1");

  JobText changed = job;
  changed.before_rows = R"({ "id": "changed", "transform": "map", "from": "signals", "set": { "x": "x * 2" } })";
  directory_.write("job.json", text(changed));
  worker("first").send(SIGHUP);
  ASSERT_TRUE(worker("first").says("still running the previous pipeline")) << logs();
  store(2500 * millisecond);
  expect_rows("2");
  EXPECT_EQ(worker("first").end(SIGTERM), 0) << logs();

  start("second");
  EXPECT_TRUE(worker("second").says("partition 0 stopped: ")) << "by itself, and said at once" << logs();
  ASSERT_TRUE(worker("second").says("partition 3: starts")) << logs();
  EXPECT_EQ(worker("second").end(SIGTERM), 70) << logs();
}

/// Each knows what the other has committed, and takes nothing of it for a new beginning.
TEST_F(Sharing, ProgressThatIsDeletedUnderTwoWorkersHasNoRowWrittenTwice) {
  const std::string text_of_job = text({.store = "memory", .wait = "1s", .lease = "3s", .partitions = partitions});
  pipeline_ = directory_.write("job.json", text_of_job);
  start("first");
  ASSERT_TRUE(worker("first").says_of_each(partitions, "starts")) << logs();
  Traffic traffic{nats_.nats(), epoch_};
  start("second");
  expect_shares("2 2");
  wait_for_rows_beyond(reached() + 2);
  pause(3 * second);  // by then each has heard of the other's partitions
  database_.ask("DELETE FROM weir_progress");
  for (const char* name : {"first", "second"})
    EXPECT_TRUE(worker(name).says("was deleted while workers ran")) << logs();
  pause(5 * second);
  traffic.stop();
  EXPECT_EQ(database_.ask("SELECT count(*) - count(DISTINCT (key, time)) FROM vehicle_second"), "0") << logs();
}

/// Nobody owns what can't go on, so it can be put right while its worker goes on with the rest.
TEST_F(Sharing, APartitionThatIsPutRightIsTakenUpAgainWithoutARestart) {
  pipeline_ = directory_.write("job.json", text({.partitions = partitions}));
  start("one");
  ASSERT_TRUE(worker("one").says_of_each(partitions, "starts")) << logs();
  store(500 * millisecond);
  store(1500 * millisecond);
  expect_rows("1");
  fakes::NatsPeer peer{nats_.nats()};
  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), "TELEMETRY-0", nullptr, nullptr), NATS_OK);
  ASSERT_TRUE(worker("one").says("partition 0 stopped: ")) << logs();
  expect_shares("3");
  fakes::WeirProcess reset{{"progress", "reset", pipeline_, "--partition", "0", "--yes"}, directory_.file("reset.log")};
  ASSERT_EQ(reset.wait(), 0) << reset.log();
  expect_shares("4", 40 * second);
  // It is acquired before its stream is recreated; what is published in between is stored nowhere.
  const auto begun = [&] { return worker("one").log().rfind("partition 0: starts"); };
  const auto first = worker("one").log().find("partition 0: starts");
  for (int i = 0; i < 500 && begun() == first; ++i) system_clock().wait(20 * millisecond, {});
  store(2500 * millisecond);
  store(3500 * millisecond);
  expect_rows("2");
  EXPECT_EQ(worker("one").end(SIGTERM), 0) << logs();
}

}  // namespace
}  // namespace weir::integration
