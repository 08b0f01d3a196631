#include <gmock/gmock.h>

#include "cli/top_model.hpp"
#include "cli/top_view.hpp"
#include "console/status_json.hpp"
#include "core/observe/counted.hpp"
#include "core/runtime/node_statistics.hpp"
#include "fakes/registry.hpp"

namespace weir::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* top_pipeline = R"({ "name": "fleet", "limits": { "keys": 10 }, "nodes": [
  { "id": "signals", "source": "nats", "stream": "S", "user": "u", "password": "geheim" },
  { "id": "rows", "transform": "window-join", "from": "signals", "every": "1s" },
  { "id": "db", "sink": "drop", "from": "rows", "columns": { "speed": {} } } ] })";

/// A worker that has done so much.
class Work {
 public:
  explicit Work(std::string name, std::vector<Partition> partitions = {0}) : name_{std::move(name)} {
    auto checked = check_pipeline(top_pipeline, "fleet.json", fakes::registry(), {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    pipeline_ = *std::move(checked.pipeline);
    status_.ready = true;
    status_.workers = 2;
    status_.in_flight = 1'500'000;
    status_.in_flight_limit = 256'000'000;
    for (const Partition partition : partitions) {
      status_.lanes.emplace_back().partition = partition;
      status_.lanes.back().waiting = 5;
      status_.lanes.back().sizes = {{1, {.keys = 3, .bytes = 300}}};
      status_.committed.push_back({partition, 1000, no_time});
    }
  }
  void pass(std::uint64_t rows, Duration in_rows) {
    NodeStatistics statistics{pipeline_, work_, system_clock()};
    statistics.took(0, 1, rows / 10, statistics.now() - millisecond);
    statistics.gave({0, 0}, rows);
    statistics.took(1, 2, rows, statistics.now() - in_rows);
    statistics.gave({1, 0}, rows / 10);
    statistics.gave({1, 1}, 7);
    counters_.add(counted::declare(counters_, "db", counted::rows), rows / 10);
    counters_.add(counted::declare(counters_, "rows", counted::invalid, "why"), 1);
    status_.commits += 4;
    status_.commit_time_total += 20 * millisecond;
    status_.commit_time = 7 * millisecond;
  }
  std::string json() const { return status_json(pipeline_, counters_, work_, status_, name_); }
  Glance::Worker at(std::string address) const { return {std::move(address), read_report(json())}; }

  void is_without_share() { status_.standby = true; }
  Readiness is_ready() const { return readiness(status_); }

  void is_in_trouble(std::string why) {
    status_.ready = false;
    status_.conditions.push_back(std::move(why));
  }

 private:
  std::string name_;
  Pipeline pipeline_;
  Counters counters_, work_;
  Worker::Status status_;
};

constexpr const char* lag_text =
    R"({"pipeline":"fleet","messages":1234,"seconds":6.125,"partitions":[
    {"partition":0,"owner":"vm-a","position":1000,"messages":1000,"seconds":6.125},
    {"partition":1,"owner":null,"position":2000,"messages":234,"seconds":0.5}]})";

Glance glance(Timestamp at, std::vector<Glance::Worker> workers, const char* lag = lag_text) {
  return {at, std::move(workers), read_lag(lag)};
}

TEST(Top, ReadsWhatAWorkerSays) {
  Work work{"vm-a", {0, 1, 2, 7}};
  work.pass(100, millisecond);
  EXPECT_THAT(work.json(), testing::Not(HasSubstr("geheim")));
  const auto report = read_report(work.json());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->pipeline, "fleet");
  EXPECT_EQ(report->name, "vm-a");
  ASSERT_THAT(report->nodes, SizeIs(3));
  EXPECT_EQ(report->nodes[0].rows_in, 10u);
  EXPECT_EQ(report->nodes[1].op, "window-join");
  EXPECT_EQ(report->nodes[1].invalid, 1u);
  EXPECT_EQ(report->nodes[1].keys, 12u) << "of all lanes";
  EXPECT_GE(report->nodes[1].busy, 0.001);
  EXPECT_THAT(report->nodes[2].rows_out, ElementsAre(std::pair{"main", 10u}));
  EXPECT_THAT(report->lanes, SizeIs(4));
  EXPECT_EQ(report->lanes[3].committed, 1000u);
  for (const char* no_worker : {"", "{}", "<html>", "[1]", R"({"name":"fleet"})"})
    EXPECT_FALSE(read_report(no_worker)) << no_worker;
  EXPECT_FALSE(read_lag("{}"));
}

TEST(Top, AWorkerWithoutAShareIsReadyAsStandby) {
  Work work{"vm-a"};
  EXPECT_THAT(work.json(), HasSubstr(R"("standby":false)"));
  EXPECT_EQ(work.is_ready().text, "ready");
  work.is_without_share();
  EXPECT_THAT(work.json(), HasSubstr(R"("ready":true,"standby":true)"));
  EXPECT_TRUE(work.is_ready().ready);
  EXPECT_EQ(work.is_ready().text, "standby");
  work.is_in_trouble("db does not answer");
  EXPECT_FALSE(work.is_ready().ready);
}

TEST(Top, TellsRatesBetweenTwoLooks) {
  Work work{"vm-a"};
  work.pass(500, 50 * millisecond);
  const Glance before = glance(10 * second, {work.at("a:1")});
  work.pass(1000, 100 * millisecond);
  const TopFrame frame = frame_of(before, glance(12 * second, {work.at("a:1")}));
  EXPECT_EQ(frame.samples, 500);
  EXPECT_EQ(frame.rows, 50);
  ASSERT_THAT(frame.nodes, SizeIs(3));
  EXPECT_EQ(frame.nodes[1].in, 500);
  EXPECT_EQ(frame.nodes[1].out, 50);
  EXPECT_EQ(frame.nodes[1].batches, 1);
  EXPECT_NEAR(frame.nodes[1].busy, 0.05, 0.01);
  EXPECT_TRUE(frame.nodes[1].slowest);
  EXPECT_FALSE(frame.nodes[0].slowest || frame.nodes[2].slowest);
  EXPECT_EQ(frame.nodes[1].invalid, 2u);
  EXPECT_EQ(frame.nodes[1].other.front(), (std::pair<std::string, double>{"late", 3.5}));
  ASSERT_THAT(frame.workers, SizeIs(1));
  EXPECT_EQ(frame.workers[0].commits, 2);
  EXPECT_NEAR(frame.workers[0].commit, 0.005, 1e-9);
  EXPECT_EQ(frame.lag->first, 1234u);
}

TEST(Top, AddsUpAllWorkersOfAPipeline) {
  Work a{"vm-a", {0}}, b{"vm-b", {1}};
  b.is_in_trouble("commit: can't reach PostgreSQL");
  const auto silent = [] { return Glance::Worker{"c:1", fail(Error::Kind::unreachable, "no worker answers on c:1")}; };
  const Glance before = glance(0, {a.at("a:1"), b.at("b:1"), silent()});
  a.pass(100, millisecond);
  b.pass(200, millisecond);
  const TopFrame frame = frame_of(before, glance(second, {a.at("a:1"), b.at("b:1"), a.at("again:1"), silent()}));
  EXPECT_EQ(frame.samples, 300) << "a worker counts once, whatever its addresses";
  EXPECT_EQ(frame.heard, 2u);
  EXPECT_THAT(frame.workers, SizeIs(3));
  EXPECT_FALSE(frame.workers[2].heard);
  EXPECT_THAT(frame.conditions,
              testing::UnorderedElementsAre("vm-b: commit: can't reach PostgreSQL", "no worker answers on c:1"));
  ASSERT_THAT(frame.parts, SizeIs(2));
  EXPECT_EQ(frame.parts[0].owner, "vm-a");
  EXPECT_EQ(frame.parts[1].owner, "vm-b") << "it has it, though its lease is not told of yet";
  EXPECT_EQ(frame.parts[1].position, 2000u);
}

TEST(Top, AWorkerThatBeganAnewCountsFromNothing) {
  Work old{"vm-a"};
  old.pass(1000, second);
  Work restarted{"vm-a"};
  restarted.pass(100, millisecond);
  const TopFrame frame = frame_of(glance(0, {old.at("a:1")}), glance(second, {restarted.at("a:1")}));
  EXPECT_EQ(frame.samples, 100);
  const TopFrame other = frame_of(glance(0, {}), glance(second, {restarted.at("a:1")}));
  EXPECT_EQ(other.samples, 0) << "nobody knows since when";
  EXPECT_EQ(other.nodes[1].invalid, 1u);
}

TEST(Top, WithoutALagItSaysWhyAndTellsWhatTheWorkersKnow) {
  Work work{"vm-a", {0, 3}};
  Glance now = glance(second, {work.at("a:1")});
  now.lag = fail(Error::Kind::unreachable, "db: no answer");
  const TopFrame frame = frame_of(glance(0, {work.at("a:1")}), now);
  EXPECT_FALSE(frame.lag);
  EXPECT_EQ(frame.no_lag, "db: no answer");
  EXPECT_THAT(frame.conditions, IsEmpty());
  ASSERT_THAT(frame.parts, SizeIs(2));
  EXPECT_EQ(frame.parts[1].owner, "vm-a");
  EXPECT_EQ(frame.parts[1].waiting, 5u);
}

TEST(Top, DrawsAFrame) {
  TopFrame frame;
  frame.pipeline = "fleet";
  frame.heard = 1;
  frame.sharing = 2;
  frame.samples = 2131.4;
  frame.rows = 9.25;
  frame.lag = {1242, 6.1};
  frame.workers = {{.name = "vm-a",
                    .address = "localhost:8080",
                    .partitions = "0-3",
                    .state = "ready",
                    .in_flight = 1'200'000,
                    .in_flight_limit = 256'000'000,
                    .resident = 84'000'000,
                    .commits = 9.9,
                    .commit = 0.0042,
                    .heard = true,
                    .ready = true},
                   {.name = "", .address = "localhost:8081", .partitions = "", .state = "no answer"}};
  frame.nodes = {{.id = "signals", .op = "nats", .in = 211, .out = 2131, .batches = 20, .busy = 0.004},
                 {.id = "rows",
                  .op = "window-join",
                  .in = 2131,
                  .out = 221,
                  .batches = 20,
                  .other = {{"late", 0}, {"sessions", 1.5}},
                  .busy = 0.0117,
                  .invalid = 3,
                  .keys = 200,
                  .bytes = 123'456,
                  .slowest = true}};
  frame.parts = {{.partition = 0, .owner = "vm-a", .position = 1455, .lag = std::pair{std::uint64_t{618}, 6.1}},
                 {.partition = 10, .owner = "", .position = 7, .waiting = 5}};
  frame.conditions = {"vm-a: db: no answer"};
  EXPECT_EQ(drawn(frame),
            R"(fleet   1 of 2 workers   2,131 samples/s in   9.2 rows/s out   lag: 1,242 messages, 6.1 s

worker  at              partitions           in flight   memory  commits/s  commit  state
vm-a    localhost:8080  0-3         1.2 MB of 256.0 MB  84.0 MB        9.9  4.2 ms  ready
?       localhost:8081                                                              no answer

node     operator      in/s  out/s  batches/s   busy             invalid  keys     state  other ports
signals  nats           211  2,131         20  0.4 %                   0
rows     window-join  2,131    221         20  1.2 %  ◂ slowest        3   200  123.5 kB  sessions 1.5/s

partition  position  messages    age  owner
        0     1,455       618  6.1 s  vm-a
       10         7         5      -  nobody

! vm-a: db: no answer
)");
}

}  // namespace
}  // namespace weir::cli
