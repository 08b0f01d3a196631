/// SIGHUP on a running job: a good change is taken up, a bad one changes nothing and says why.
#include <gmock/gmock.h>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr const char* doubled =
    R"({ "id": "changed", "transform": "map", "from": "signals", "set": { "x": "x * 2" } })";

class Reload : public Job {
 protected:
  /// Makes the row of second 1, and leaves what second 2 begins with in the state.
  void begin(const JobText& job = {}) {
    run(job);
    send(500 * millisecond, 10);
    send(1500 * millisecond, 20);
    expect_rows("1 15");
  }
  /// Gives second 2 its end.
  void go_on() { send(2500 * millisecond, 30); }

  /// Reloads the file with this text and waits for an answer in the log.
  void reload(const std::string& file, const std::string& answer) {
    directory_.write("job.json", file);
    job_->send(SIGHUP);
    EXPECT_TRUE(job_->says(answer)) << job_->log();
  }
  /// The same file, made for a server that wants to know who it is.
  std::string with_login(std::string file) const {
    const std::string url = weir::format(R"("url": "{}")", nats_.nats());
    const std::string login = url + R"(, "user": "weir", "password": "s3cret")";
    for (auto at = file.find(url); at != std::string::npos; at = file.find(url, at + login.size()))
      file.replace(at, url.size(), login);
    return file;
  }
  std::string login_url() const { return "nats://weir:s3cret@" + nats_.nats().substr(std::string{"nats://"}.size()); }
  void expect_end() {
    EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
    EXPECT_THAT(job_->log(), Not(HasSubstr("another worker")));
  }
};

TEST_F(Reload, ANewTransformWorksOnFromTheStateOfTheOldPipeline) {
  begin();
  reload(text({.before_rows = doubled}), "reload: the new pipeline runs");
  go_on();
  expect_rows("1 15 2 40");  // between 20, taken in before, and 2 * 30
  expect_end();
}

TEST_F(Reload, ANewSinkSettingNeedsNoStateOfItsOwn) {
  begin({.store = "memory"});
  reload(text({.store = "memory", .columns = R"("speed": { "fill": "step" })"}), "reload: the new pipeline runs");
  go_on();
  expect_rows("1 15 2 20");
  expect_end();
}

TEST_F(Reload, AFileWithErrorsLeavesTheOldPipelineRunningAndSaysWhere) {
  begin();
  reload(text({.wait = "1 s"}), "still running the previous pipeline");
  EXPECT_THAT(job_->log(), ContainsRegex(R"(job\.json:8:[0-9]+: error: "wait": "1 s": )"));
  reload(text({.name = "another"}), "another pipeline; still running the previous pipeline");
  reload("{", "job.json:1:2: error: ");
  go_on();
  expect_rows("1 15 2 25");
  expect_end();
}

TEST_F(Reload, APipelineThatDoesNotFitTheTableGivesWayToTheOldOne) {
  begin();
  reload(text({.columns = R"("speed": {}, "charge": {})"}), "running the previous pipeline again");
  EXPECT_THAT(job_->log(), HasSubstr("ALTER TABLE"));
  go_on();
  expect_rows("1 15 2 25");
  reload(text({.columns = R"("speed": { "fill": "step" })"}), "reload: the new pipeline runs");
  expect_end();
}

/// As when a file and what it names are changed one after the other.
TEST_F(Reload, TwoThatFollowEachOtherAndDoNotFitGiveWayToTheOldOne) {
  begin();
  directory_.write("job.json", text({.columns = R"("speed": {}, "charge": {})"}));
  for (int i = 0; i < 40; ++i) {
    job_->send(SIGHUP);
    system_clock().wait(10 * millisecond, {});
  }
  EXPECT_TRUE(job_->says("running the previous pipeline again")) << job_->log();
  go_on();
  expect_rows("1 15 2 25");
  EXPECT_THAT(job_->log(), Not(HasSubstr("the new pipeline runs")));
  expect_end();
}

TEST_F(Reload, AnotherMeaningOfTheStateNeedsASnapshot) {
  begin({.store = "memory"});
  reload(text({.store = "memory", .before_rows = doubled}), "still running the previous pipeline");
  EXPECT_THAT(job_->log(), AllOf(HasSubstr("no snapshot is kept"), Not(HasSubstr("draining"))));
  go_on();
  expect_rows("1 15 2 25");
  expect_end();
}

TEST_F(Reload, IsRefusedWhileTheOldPipelineCanNotCommit) {
  begin();
  database_.kill();
  go_on();
  ASSERT_TRUE(job_->says("commit: ")) << job_->log();
  reload(text({.before_rows = doubled}), "still running the previous pipeline");
  database_.start();
  expect_rows("1 15 2 25");
  expect_end();
}

/// What is committed needs no NATS, so nothing keeps the old pipeline from draining.
TEST_F(Reload, MendsAnAccessToNatsThatIsRefusedSince) {
  begin({.shutdown_timeout = "2s"});
  nats_.stop("nats");
  nats_.configure_nats("authorization { user: weir, password: s3cret }\n");
  nats_.start("nats");
  ASSERT_TRUE(job_->says("(Authorization Violation); trying again")) << job_->log();
  reload(with_login(text({.shutdown_timeout = "2s"})), "reload: the new pipeline runs");
  peer_ = std::make_unique<fakes::NatsPeer>(login_url());
  go_on();
  expect_rows("1 15 2 25");
  expect_end();
}

/// Without the reload it would have waited for its server, too.
TEST_F(Reload, WaitsForItsServerWhenThatIsGoneMeanwhile) {
  begin({.shutdown_timeout = "2s"});
  nats_.kill("nats");
  reload(text({.before_rows = doubled, .shutdown_timeout = "2s"}), "start: NATS at");
  nats_.start("nats");
  ASSERT_TRUE(job_->says("goes on after position")) << job_->log();
  peer_ = std::make_unique<fakes::NatsPeer>(nats_.nats());
  go_on();
  expect_rows("1 15 2 25");
  expect_end();
}

TEST_F(Reload, IsRefusedWhileTheBucketOfCurrentValuesIsDown) {
  fakes::Servers other{"nats"};
  const std::string now = weir::format(
      R"({{ "id": "changed", "transform": "keyed-last-value", "from": "signals" }},
         {{ "id": "now", "sink": "jetstream-kv", "from": "changed", "url": "{}", "bucket": "now" }})",
      other.nats());
  begin({.before_rows = now});
  other.kill("nats");
  go_on();
  ASSERT_TRUE(job_->says("commit: ")) << job_->log();
  reload(text({.before_rows = now}), "reload: the running pipeline can't drain: ");
  other.start("nats");
  expect_rows("1 15 2 25");
  EXPECT_THAT(job_->log(), HasSubstr("commit: works again"));
  reload(text({.before_rows = now}), "reload: the new pipeline runs");
  expect_end();
}

}  // namespace
}  // namespace weir::integration
