/// SIGHUP on a running job: a good change is taken up, a bad one changes nothing and says why.
#include <gmock/gmock.h>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

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
  reload(text({.wait = "1 s"}), "the pipeline goes on as it was");
  EXPECT_THAT(job_->log(), ContainsRegex(R"(job\.json:8:[0-9]+: error: "wait": "1 s": )"));
  reload(text({.name = "another"}), "another pipeline; the old one goes on");
  reload("{", "job.json:1:2: error: ");
  go_on();
  expect_rows("1 15 2 25");
  expect_end();
}

TEST_F(Reload, APipelineThatDoesNotFitTheTableGivesWayToTheOldOne) {
  begin();
  reload(text({.columns = R"("speed": {}, "charge": {})"}), "the old one goes on");
  EXPECT_THAT(job_->log(), HasSubstr("ALTER TABLE"));
  go_on();
  expect_rows("1 15 2 25");
  reload(text({.columns = R"("speed": { "fill": "step" })"}), "reload: the new pipeline runs");
  expect_end();
}

TEST_F(Reload, AnotherMeaningOfTheStateNeedsASnapshot) {
  begin({.store = "memory"});
  reload(text({.store = "memory", .before_rows = doubled}), "the old one goes on");
  EXPECT_THAT(job_->log(), HasSubstr("no snapshot was kept"));
  go_on();
  expect_rows("1 15 2 25");
  expect_end();
}

/// Not a reload: nothing but the table knows of the sink before.
TEST_F(Reload, AStartWithARenamedSinkSaysWhoHadTheRows) {
  begin({.store = "memory"});
  expect_end();
  std::string file = text({.store = "memory"});
  const std::string id = R"("id": "db")";
  file.replace(file.find(id), id.size(), R"("id": "other")");
  directory_.write("job.json", file);
  job_->start();
  EXPECT_TRUE(
      job_->says("partition 0: this sink has committed nothing yet, but db has, under the same pipeline's "
                 "name: a new sink gets all rows from the stream's first message on"))
      << job_->log();
  expect_rows("1 15 1 15");
  expect_end();
}

TEST_F(Reload, IsRefusedWhileTheOldPipelineCanNotCommit) {
  begin();
  database_.kill();
  go_on();
  ASSERT_TRUE(job_->says("commit: ")) << job_->log();
  reload(text({.before_rows = doubled}), "it goes on, try again later");
  database_.start();
  expect_rows("1 15 2 25");
  expect_end();
}

}  // namespace
}  // namespace weir::integration
