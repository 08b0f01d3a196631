/// weir tap and weir top, as users run them, beside running workers.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <rapidjson/document.h>

#include <weir/partition.hpp>

#include "integration/job_fixture.hpp"
#include "integration/pages.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// The port that a worker serves its pages on.
std::string port_of(fakes::WeirProcess& weir) {
  constexpr std::string_view before = "http on port ";
  EXPECT_TRUE(weir.says(std::string{before})) << weir.log();
  const std::string log = weir.log();
  const std::size_t begin = log.find(before) + before.size();
  return log.substr(begin, log.find_first_not_of("0123456789", begin) - begin);
}

class Look : public Job {
 protected:
  void run_served(const JobText& job = {}) {
    run(job, {"--http", "127.0.0.1:0"});
    http_ = "localhost:" + port_of(*job_);
  }
  /// A `weir` command about the job, and what it prints.
  std::unique_ptr<fakes::WeirProcess> weir(std::vector<std::string> arguments, const std::string& http = {}) {
    arguments.insert(arguments.end(), {"--http", http.empty() ? http_ : http});
    return std::make_unique<fakes::WeirProcess>(std::move(arguments),
                                                directory_.file("command" + std::to_string(++commands_)));
  }
  std::unique_ptr<fakes::WeirProcess> tap(const std::string& place, std::vector<std::string> options = {}) {
    if (!std::ranges::contains(options, "--format")) options.insert(options.end(), {"--format", "json"});
    options.insert(options.begin(), {"tap", directory_.file("job.json") + ":" + place});
    return weir(std::move(options));
  }
  /// A tap begins to see at a moment that only what it prints tells of: samples go on until then.
  void send_until(fakes::WeirProcess& command, const testing::Matcher<std::string>& says) {
    for (int i = 0; !testing::Matches(says)(command.log()) && i < 1000; ++i) {
      send(sent_ * 100 * millisecond, static_cast<double>(sent_));
      ++sent_;
      pause(10 * millisecond);
    }
    ASSERT_THAT(command.log(), says);
  }

  std::string http_;
  Timestamp sent_ = 0;
  int commands_ = 0;
};

TEST_F(Look, ShowsRowsAsTheyPassANodeAndAsASinkGetsThem) {
  run_served();
  const auto samples = tap("signals", {"--key", "a", "--field", "speed"});
  const auto rows = tap("db");
  send_until(*samples, HasSubstr(R"({"key":"a","field":"speed","time":)"));
  send_until(*rows, HasSubstr(R"({"key":"a","tick":)"));
  EXPECT_THAT(rows->log(), HasSubstr(R"("speed":)"));
  EXPECT_EQ(samples->end(SIGINT), 0) << "quietly";
  EXPECT_THAT(samples->log(), Not(HasSubstr("weir")));

  const auto one = tap("rows", {"--limit", "1", "--format", "text"});
  const auto other = tap("signals", {"--key", "b"});
  send_until(*one, HasSubstr("speed.before_time"));
  EXPECT_EQ(one->wait(), 0) << one->log();
  EXPECT_EQ(other->log(), "");
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  EXPECT_EQ(other->wait(), 0);
  EXPECT_EQ(other->log(), "weir tap: the pipeline has ended\n");
}

TEST_F(Look, SaysWhatItCanNotShow) {
  run_served();
  const auto said = [](std::unique_ptr<fakes::WeirProcess> command) {
    const int exit = command->wait();
    return weir::format("{} {}", exit, command->log());
  };
  EXPECT_EQ(said(tap("row")), "64 weir tap: there is no node or port \"row\"; did you mean \"rows\"?\n");
  EXPECT_EQ(said(tap("db", {"-s", "name=other"})), "64 weir tap: no such pipeline; this worker runs job\n");
  EXPECT_THAT(said(tap("db", {"--field", "speed"})), AllOf(StartsWith("64 "), HasSubstr("field")));
  EXPECT_THAT(said(tap("db", {"--share", "10"})), StartsWith("64 weir tap: share=10: "));
  EXPECT_EQ(said(weir({"tap", directory_.file("job.json")})),
            "64 weir tap: say what to look at as FILE:NODE or FILE:NODE.PORT, e.g. fleet.json:rows.late\n");
  EXPECT_THAT(said(weir({"tap", directory_.file("none.json") + ":rows"})), StartsWith("78 "));
  EXPECT_EQ(said(weir({"top", directory_.file("job.json"), "-s", "name=other"})),
            "64 weir top: " + http_ + ": no such pipeline; this worker runs job\n");
  const std::string nobody = "localhost:1";
  for (const char* command : {"tap", "top"}) {
    const std::string place = directory_.file("job.json") + (command == std::string{"tap"} ? ":rows" : "");
    EXPECT_EQ(said(weir({command, place}, nobody)),
              weir::format("69 weir {}: no worker answers on {}; one does with weir run --http {}\n", command, nobody,
                           nobody));
    EXPECT_THAT(said(weir({command, place}, "localhost")), AllOf(StartsWith("64 "), HasSubstr("is not [host]:port")));
  }
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
}

TEST_F(Look, IsForNobodyIfTheWorkerSaysSo) {
  run({}, {"--http", "127.0.0.1:0", "--tap", "none"});
  http_ = "localhost:" + port_of(*job_);
  const auto refused = tap("db");
  EXPECT_EQ(refused->wait(), 69);
  EXPECT_THAT(refused->log(), HasSubstr("to nobody"));
}

TEST_F(Look, GoesOnThroughAReload) {
  run_served();
  const auto rows = tap("db");
  send_until(*rows, HasSubstr(R"("speed":)"));
  directory_.write("job.json", text({.columns = R"("speed": { "fill": "step" })"}));
  job_->send(SIGHUP);
  ASSERT_TRUE(job_->says("reload: the new pipeline runs")) << job_->log();
  ASSERT_TRUE(rows->says("weir tap: reloaded: what follows is of the pipeline as it is now")) << rows->log();
  send_until(*rows, ContainsRegex("reloaded: .*\n\\{\"key\":"));
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
}

TEST_F(Look, AtTheWholeOfAWorker) {
  run_served();
  send(500 * millisecond, 10);
  send(1500 * millisecond, 20);
  expect_rows("1 15");
  const auto top = weir({"top", directory_.file("job.json"), "--once"});
  EXPECT_EQ(top->wait(), 0);
  EXPECT_THAT(top->log(), AllOf(StartsWith("job   1 worker   "), ContainsRegex("\nworker +at +partitions"),
                                ContainsRegex("  " + http_ + "  0  .*  ready\n"), ContainsRegex("\nsignals  nats  "),
                                ContainsRegex("\nrows     window-join .*  1 +[0-9.]+ k?B"),
                                ContainsRegex("\n        0 +[0-9]+ +[0-9]+ +[0-9.]+ s  [^ ]+\n"), Not(HasSubstr("!"))));
  Pages pages{*job_};
  EXPECT_THAT(pages.get("/metrics"),
              AllOf(HasSubstr("\nweir_node_rows_out_total{pipeline=\"job\",node=\"signals\",port=\"main\"} 2\n"),
                    ContainsRegex("\nweir_node_busy_seconds_total\\{pipeline=\"job\",node=\"rows\"\\} 0\\.0|e-0")));
  database_.kill();
  send(2500 * millisecond, 30);
  ASSERT_TRUE(job_->says("commit: ")) << job_->log();
  const auto troubled = weir({"top", "--once"});
  EXPECT_EQ(troubled->wait(), 0);
  EXPECT_THAT(troubled->log(), ContainsRegex("\n! [^ ]+: .*PostgreSQL"));
}

TEST_F(Look, AtAllWorkersOfAPipeline) {
  directory_.write("job.json", text({.lease = "5s", .partitions = 4}));
  const std::vector<std::string> arguments{"run", directory_.file("job.json"), "--http", "127.0.0.1:0"};
  fakes::WeirProcess first{arguments, directory_.file("first.log")}, second{arguments, directory_.file("second.log")};
  Pages of_first{first}, of_second{second};
  for (Pages* pages : {&of_first, &of_second})
    pages->expect("/metrics", AllOf(HasSubstr("\nweir_ready{pipeline=\"job\"} 1\n"),
                                    HasSubstr("\nweir_lanes{pipeline=\"job\"} 2\n")));
  const std::string one = "localhost:" + port_of(first), two = "localhost:" + port_of(second);
  const auto top = weir({"top", "--http", one, "--once"}, two);
  EXPECT_EQ(top->wait(), 0);
  EXPECT_THAT(top->log(),
              AllOf(StartsWith("job   2 workers   "), HasSubstr("  " + one + "  "), HasSubstr("  " + two + "  "),
                    ContainsRegex("\n        3 .* s  [^ ]+\n"), Not(HasSubstr("nobody"))))
      << first.log() << second.log();
  const auto half = weir({"top", "--once"}, two);
  EXPECT_EQ(half->wait(), 0);
  EXPECT_THAT(half->log(), StartsWith("job   1 of 2 workers   "));
  EXPECT_EQ(second.end(SIGKILL), fakes::WeirProcess::killed);
  const auto without = weir({"top", "--http", one, "--once"}, two);
  EXPECT_EQ(without->wait(), 0);
  EXPECT_THAT(without->log(), AllOf(StartsWith("job   1 of 2 workers   "), HasSubstr("! no worker answers on " + two)));
}

/// A fleet as fast as it can be simulated, and a client that asks for its rows and never reads them.
TEST(LookAtManyRows, HoldsNothingUpHoweverSlowItsReaderIs) {
  fakes::TemporaryDirectory directory;
  const auto job = directory.write("fleet.json", R"({ "name": "fleet", "limits": { "keys": 1000 }, "nodes": [
    { "id": "signals", "source": "simulate", "vehicles": 500, "for": "20m", "speed": "400x",
      "start": "2026-01-01T00:00:00Z" },
    { "id": "last", "transform": "keyed-last-value", "from": "signals" },
    { "id": "out", "sink": "drop", "from": "last" } ] })");
  fakes::WeirProcess weir{{"run", "-q", job, "--http", "127.0.0.1:0"}, directory.file("log")};
  const std::string port = port_of(weir);
  const int stuck = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int little = 4096;
  ::setsockopt(stuck, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(stuck, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  constexpr std::string_view request = "GET /pipelines/fleet/tap/last HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ASSERT_EQ(::send(stuck, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  fakes::WeirProcess reads{{"tap", job + ":last", "--http", "localhost:" + port}, directory.file("tap")};
  EXPECT_TRUE(reads.says(" rows were not shown; at most 1000 a second are")) << reads.log().substr(0, 1000);
  Pages pages{weir};
  EXPECT_THAT(pages.get("/metrics"), HasSubstr("weir_ready{pipeline=\"fleet\"} 1\n"));
  EXPECT_EQ(weir.wait(60 * second), 0) << weir.log();
  EXPECT_EQ(reads.wait(), 0);
  ::close(stuck);

  fakes::WeirProcess alone{{"run", "-q", job, "-s", "signals.speed=max"}, directory.file("alone.log")};
  EXPECT_EQ(alone.wait(60 * second), 0) << alone.log();
  const auto last_line = [](const std::string& log) {
    const std::size_t begin = log.find(" messages with ");
    return begin == std::string::npos ? log : log.substr(log.rfind("info ", begin));
  };
  EXPECT_EQ(last_line(weir.log()), last_line(alone.log())) << "all rows, whoever looks";
}

}  // namespace
}  // namespace weir::integration
