/// `weir run` as a process: how it ends, what it says when a server is missing, what it serves on --http.
#include <arpa/inet.h>
#include <gmock/gmock.h>

#include <filesystem>

#include <weir/format.hpp>

#include "integration/job_fixture.hpp"
#include "integration/pages.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// --- How it ends
// -------------------------------------------------------------------------------------------------------

class Drain : public Job {
 protected:
  void run_to_the_first_row(const JobText& job = {}) {
    run(job);
    send(500 * millisecond, 10);
    send(1500 * millisecond, 20);
    expect_rows("1 15");
  }
  /// Which the job notices at the next row.
  void lose_the_database() {
    database_.kill();
    send(2500 * millisecond, 30);
    ASSERT_TRUE(job_->says("commit: ")) << job_->log();
  }
};

TEST_F(Drain, ClosesNoTick) {
  run({.wait = "3s"});
  send(500 * millisecond, 10);
  send(2500 * millisecond, 30);
  pause(500 * millisecond);
  const Timestamp told = system_clock().steady();
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  EXPECT_LT(system_clock().steady() - told, 2 * second);
  EXPECT_THAT(job_->log(), HasSubstr("draining"));
  EXPECT_EQ(rows(), "");
  EXPECT_EQ(database_.ask("SELECT position, owner FROM weir_progress"), "2 NULL");
  job_->start();
  send(3500 * millisecond, 50);
  expect_rows("1 15 2 25 3 40");
  EXPECT_EQ(job_->end(SIGINT), 0) << job_->log();
}

TEST_F(Drain, TakesNoLongerThanShutdownTimeoutAndLosesNothingByIt) {
  run_to_the_first_row({.shutdown_timeout = "1s"});
  lose_the_database();
  const Timestamp told = system_clock().steady();
  EXPECT_EQ(job_->end(SIGTERM), 69) << job_->log();
  EXPECT_LT(system_clock().steady() - told, 3 * second);
  EXPECT_THAT(job_->log(), ContainsRegex("weir: .*PostgreSQL"));
  database_.start();
  job_->start();
  expect_rows("1 15 2 25");
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
}

TEST_F(Drain, FollowsWhenItsProgressIsDeletedAndNoRowIsWrittenTwice) {
  run_to_the_first_row({.store = "memory"});
  EXPECT_EQ(database_.ask("DELETE FROM weir_progress RETURNING 'deleted'"), "deleted");
  send(2500 * millisecond, 30);
  EXPECT_EQ(job_->wait(), 70) << job_->log();
  EXPECT_THAT(job_->log(), ContainsRegex("partition 0 stopped: the progress of db at position [0-9]+ was "
                                         "deleted while workers ran"));
  EXPECT_EQ(rows(), "1 15");
}

TEST_F(Drain, WaitsForAServerThatComesBackInTime) {
  run_to_the_first_row();
  lose_the_database();
  pause(2 * second);  // in which the engine has become patient
  job_->send(SIGTERM);
  ASSERT_TRUE(job_->says("draining")) << job_->log();
  database_.start();
  EXPECT_EQ(job_->wait(5 * second), 0) << job_->log();
  EXPECT_EQ(rows(), "1 15 2 25");
}

TEST_F(Drain, TakesNoLongerEvenWhileACommitHangs) {
  run_to_the_first_row({.shutdown_timeout = "1s", .lease = "30s"});
  const auto writer = static_cast<pid_t>(
      std::stoi(database_.ask("SELECT pid FROM pg_stat_activity WHERE application_name ~ '^weir/job/db/[0-9a-f]+$'")));
  ASSERT_EQ(::kill(writer, SIGSTOP), 0);
  send(2500 * millisecond, 30);
  pause(500 * millisecond);
  EXPECT_EQ(job_->end(SIGTERM, 4 * second), 70) << job_->log();
  EXPECT_THAT(job_->log(), HasSubstr("not drained within \"shutdown_timeout\", 1s"));
  ::kill(writer, SIGCONT);
}

TEST_F(Drain, EndsAtTheSecondSignal) {
  run_to_the_first_row({.shutdown_timeout = "10m"});
  lose_the_database();
  job_->send(SIGTERM);
  ASSERT_TRUE(job_->says("a second signal gives up")) << job_->log();
  job_->send(SIGTERM);
  pause(500 * millisecond);
  ASSERT_TRUE(job_->runs()) << "it was the same signal by another way";
  EXPECT_EQ(job_->end(SIGTERM, second), 70) << job_->log();
}

TEST(Lint, FindsThatAFileCanNotBeRead) {
  fakes::TemporaryDirectory directory;
  fakes::WeirProcess long_name{{"lint", std::string(300, 'x')}, directory.file("long")};
  EXPECT_EQ(long_name.wait(), 78) << long_name.log();
  EXPECT_THAT(long_name.log(), HasSubstr("can't read the file"));
  std::filesystem::create_directory(directory.file("pipelines"));
  std::filesystem::create_symlink("loop.json", directory.file("pipelines/loop.json"));
  fakes::WeirProcess loop{{"lint", directory.file("pipelines")}, directory.file("log")};
  EXPECT_EQ(loop.wait(), 78) << loop.log();
  EXPECT_THAT(loop.log(), HasSubstr("loop.json: error: can't read the file: Too many levels of symbolic links"));
}

// --- Servers that are not there
// ----------------------------------------------------------------------------------------

/// A port of loopback. Nobody answers there: connections are refused, or, if it listens, accepted and left alone.
class SilentPort {
 public:
  explicit SilentPort(bool listens) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, raw, size) != 0 || ::getsockname(socket_, raw, &size) != 0)
      throw std::runtime_error{"can't bind a port"};
    if (listens) ::listen(socket_, 16);
    port_ = ::ntohs(address.sin_port);
  }
  ~SilentPort() { ::close(socket_); }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;
  std::string place() const { return weir::format("127.0.0.1:{}", port_); }

 private:
  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port_ = 0;
};

class Unreachable : public testing::Test {
 protected:
  /// Runs NATS → PostgreSQL at these places.
  fakes::WeirProcess& run(const std::string& nats, const std::string& postgres, std::vector<std::string> options = {}) {
    directory_.write("job.json", weir::format(R"({{ "name": "job", "limits": {{ "keys": 100 }}, "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "encoding": "json" }},
      {{ "id": "rows", "transform": "window-join", "from": "signals", "every": "1s" }},
      {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{}", "table": "t", "columns": {{ "speed": {{}} }} }} ] }})",
                                              nats, postgres));
    std::vector<std::string> arguments{"run", directory_.file("job.json")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    process_ = std::make_unique<fakes::WeirProcess>(arguments, directory_.file("log"));
    return *process_;
  }

  fakes::TemporaryDirectory directory_;
  std::unique_ptr<fakes::WeirProcess> process_;
};

TEST_F(Unreachable, PostgreSQLEndsTheRunWith69AndItsPlace) {
  const SilentPort nobody{false};
  auto& weir = run("nats://127.0.0.1:1", "postgresql://weir:geheim@" + nobody.place() + "/weir", {"--fail-fast"});
  EXPECT_EQ(weir.wait(10 * second), 69);
  EXPECT_THAT(weir.log(), AllOf(HasSubstr("weir: db: can't reach PostgreSQL at"), HasSubstr(nobody.place()),
                                HasSubstr("check url and that the server runs"), Not(HasSubstr("geheim"))));
}

TEST_F(Unreachable, NatsEndsTheRunWith69AndItsPlace) {
  const fakes::PostgresServer database{false};
  const SilentPort nobody{false};
  auto& weir = run("nats://weir:geheim@" + nobody.place(), database.url(), {"--fail-fast"});
  EXPECT_EQ(weir.wait(10 * second), 69);
  EXPECT_THAT(weir.log(), AllOf(ContainsRegex("weir: .*NATS"), HasSubstr(nobody.place()), Not(HasSubstr("geheim"))));
}

TEST_F(Unreachable, APortThatAnotherProcessHasEndsTheRunWith69) {
  for (const bool listens : {true, false}) {
    const SilentPort taken{listens};
    auto& weir = run("nats://127.0.0.1:1", "postgresql://weir@127.0.0.1:1/weir", {"--http", taken.place()});
    EXPECT_EQ(weir.wait(10 * second), 69);
    EXPECT_THAT(weir.log(),
                HasSubstr("weir: --http: can't listen on " + taken.place() + ": another process uses the port\n"));
  }
}

// --- What it serves
// ----------------------------------------------------------------------------------------------------

const std::vector<std::string> any_port{"--http", "127.0.0.1:0"};

TEST_F(Unreachable, ServersThatAreDownAtTheStartAreAskedAgain) {
  const SilentPort nobody{false};
  auto& weir = run("nats://127.0.0.1:1", "postgresql://weir:geheim@" + nobody.place() + "/weir", any_port);
  Pages pages{weir};
  ASSERT_TRUE(weir.says("start: db: can't reach PostgreSQL at")) << weir.log();
  EXPECT_EQ(pages.get("/ping"), "200 pong\n");
  EXPECT_THAT(pages.get("/ready"), AllOf(testing::StartsWith("503 "), HasSubstr("PostgreSQL at " + nobody.place()),
                                         Not(HasSubstr("geheim"))));
  EXPECT_EQ(weir.end(SIGTERM), 69) << weir.log();
}

TEST_F(Unreachable, ServersLeaveItAliveButNotReady) {
  const SilentPort slow{true};
  auto& weir = run("nats://127.0.0.1:1", "postgresql://weir@" + slow.place() + "/weir", any_port);
  Pages pages{weir};
  const Timestamp began = system_clock().steady();
  EXPECT_EQ(pages.get("/ping"), "200 pong\n");
  EXPECT_EQ(pages.get("/ready"), "503 starting\n");
  EXPECT_THAT(pages.get("/metrics"),
              AllOf(HasSubstr("weir_ready{pipeline=\"job\"} 0\n"), Not(HasSubstr("\nweir_lag"))));
  EXPECT_THAT(pages.get("/lag"), testing::StartsWith("503 lag: no answer yet"));
  EXPECT_LT(system_clock().steady() - began, 2 * second) << "the pages wait for PostgreSQL";
  EXPECT_EQ(weir.end(SIGTERM, 15 * second), 69) << weir.log();
}

class Http : public Job {};

TEST_F(Http, SaysWhatItIsAndHowItGoes) {
  run({}, any_port);
  Pages pages{*job_};
  pages.expect("/ready", testing::Eq("200 ready\n"));
  EXPECT_EQ(pages.get("/ping"), "200 pong\n");
  EXPECT_THAT(pages.get("/version"), testing::MatchesRegex("200 weir [0-9.]+\n"));
  EXPECT_THAT(pages.get("/pipelines"), HasSubstr("200 [\"job\"]"));
  EXPECT_THAT(pages.get("/nothing"), testing::StartsWith("404"));
  send(500 * millisecond, 10);
  send(1500 * millisecond, 20);
  expect_rows("1 15");
  pages.expect("/metrics", AllOf(HasSubstr("weir_ready{pipeline=\"job\"} 1\n"),
                                 HasSubstr("weir_samples_total{pipeline=\"job\",node=\"signals\"} 2\n"),
                                 HasSubstr("weir_rows_total{pipeline=\"job\",node=\"db\"} 1\n"),
                                 HasSubstr("weir_committed_position{pipeline=\"job\",partition=\"0\"} ")));
}

TEST_F(Http, IsReadyOnlyWhileEveryServerAnswers) {
  run({}, any_port);
  Pages pages{*job_};
  pages.expect("/ready", testing::Eq("200 ready\n"));
  database_.kill();
  send(500 * millisecond, 10);
  pages.expect("/ready", AllOf(testing::StartsWith("503 "), HasSubstr("PostgreSQL")));
  EXPECT_EQ(pages.get("/ping"), "200 pong\n");
  database_.start();
  pages.expect("/ready", testing::Eq("200 ready\n"));
  nats_.kill("nats");
  pages.expect("/ready", AllOf(testing::StartsWith("503 "), HasSubstr("NATS")));
  nats_.start("nats");
  pages.expect("/ready", testing::Eq("200 ready\n"));
  send(1500 * millisecond, 20);
  expect_rows("1 15");
}

TEST_F(Drain, AWorkerThatWasKilledHasItsPartitionsBackWithoutWaitingForTheirLease) {
  // A host's workers of one pipeline number themselves: no test beside this one may take or leave a number of it.
  const JobText job{.name = "killed", .lease = "60s"};
  run(job);
  send(500 * millisecond, 10);
  send(1500 * millisecond, 20);
  expect_rows("1 15");
  const std::string owner = database_.ask("SELECT owner FROM weir_progress");
  job_->end(SIGKILL);
  const Timestamp before = system_clock().steady();
  run(job);
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  EXPECT_LT(system_clock().steady() - before, 5 * second);
  EXPECT_EQ(database_.ask("SELECT owner FROM weir_progress"), owner);
  fakes::WeirProcess namesake{{"run", directory_.file("job.json"), "--worker", owner, "--fail-fast"},
                              directory_.file("namesake.log")};
  EXPECT_TRUE(namesake.says("is connected already")) << namesake.log();
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
}

}  // namespace
}  // namespace weir::integration
