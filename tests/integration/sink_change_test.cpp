/// Sinks that are added to a running job, and renamed: nothing is written twice.
#include <gmock/gmock.h>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

using testing::HasSubstr;

class SinkChange : public Job {
 protected:
  /// Makes the row of second 1, and leaves what second 2 begins with in the state.
  void begin(const JobText& job = {}) {
    run(job);
    send(500 * millisecond, 10);
    send(1500 * millisecond, 20);
    expect_rows("1 15");
  }
  void reload(const std::string& file, const std::string& answer) {
    directory_.write("job.json", file);
    job_->send(SIGHUP);
    EXPECT_TRUE(job_->says(answer)) << job_->log();
  }
  static std::string replaced(std::string file, const std::string& what, const std::string& by) {
    const auto at = file.find(what);
    EXPECT_NE(at, std::string::npos) << file;
    return file.replace(at, what.size(), by);
  }
  /// The job with further nodes.
  std::string with(const std::string& nodes) const { return replaced(text(), " ] }", ",\n" + nodes + " ] }"); }
  std::string renamed(const std::string& more = "") const {
    return replaced(text(), R"("id": "db",)", R"("id": "out",)" + more);
  }
  std::string second_table(const std::string& more = "") const {
    return weir::format(R"({{ "id": "more", "sink": "timescale", "from": "rows", "url": "{}", "table": "second_table",
       "lease": "2s", {} "columns": {{ "speed": {{}} }} }})",
                        database_.url(), more);
  }
  /// What a run of a file says that does not come to work, and its exit code.
  std::string refused(const std::string& file, int exit) {
    directory_.write("job.json", file);
    fakes::WeirProcess again{{"run", directory_.file("job.json")}, directory_.file("refused.log")};
    EXPECT_EQ(again.wait(), exit) << again.log();
    return again.log();
  }
  void expect_end() { EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log(); }
  std::string count(const std::string& table) const { return database_.ask("SELECT count(*) FROM " + table); }
};

TEST_F(SinkChange, ARenamedSinkGoesOnIfItSaysSoAndBack) {
  begin();
  reload(renamed(), "still running the previous pipeline");
  EXPECT_THAT(job_->log(), HasSubstr(R"(write "renamed_from": "db" there)"));
  reload(renamed(R"( "renamed_from": "db",)"), "reload: the new pipeline runs");
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  expect_end();
  EXPECT_THAT(refused(renamed(), 78), HasSubstr(R"("renamed_from": "db")"));
  run();  // the old file
  send(3500 * millisecond, 40);
  expect_rows("1 15 2 25 3 35");
  expect_end();
  EXPECT_EQ(count("weir_progress WHERE position > 0"), "1");
}

TEST_F(SinkChange, ARenamedPipelineGoesOnIfItSaysSo) {
  begin();
  expect_end();
  const std::string other = replaced(text(), R"("name": "job",)", R"("name": "trip",)");
  EXPECT_THAT(refused(other, 78), HasSubstr(R"("renamed_from": "job" beside "name")"));
  directory_.write("job.json", replaced(other, R"("name": "trip",)", R"("name": "trip", "renamed_from": "job",)"));
  job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", directory_.file("job.json")},
                                              directory_.file("job.log"));
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  expect_end();
}

TEST_F(SinkChange, NewSinksBeginWhereTheOthersStandAlsoWhereTheStreamsBeginningIsGone) {
  begin();
  ASSERT_EQ(js_DeleteMsg(peer_->jetstream->handle(), "TELEMETRY", 1, nullptr, nullptr), NATS_OK);
  const std::string heard = weir::format(
      R"({{ "id": "heard", "sink": "nats", "from": "rows", "url": "{}", "stream": "HEARD", "subject": "heard.{{key}}",
       "create": true, "encoding": "json", "columns": {{ "speed": {{}} }} }})",
      nats_.nats());
  reload(with(second_table() + ",\n" + heard), "reload: the new pipeline runs");
  EXPECT_THAT(job_->log(), HasSubstr("reload: more is new: begins where the furthest of the others stands"));
  EXPECT_THAT(job_->log(), HasSubstr("reload: heard is new: begins where the furthest of the others stands"));
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  for (int i = 0; i < 500 && count("second_table") != "1"; ++i) pause(20 * millisecond);
  EXPECT_EQ(count("second_table"), "1") << job_->log();
  EXPECT_EQ(peer_->jetstream->state("HEARD").value().messages, 1u);
  job_->end(SIGKILL);
  job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", directory_.file("job.json")},
                                              directory_.file("again.log"));
  send(3500 * millisecond, 40);
  expect_rows("1 15 2 25 3 35");
  for (int i = 0; i < 500 && count("second_table") != "2"; ++i) pause(20 * millisecond);
  EXPECT_EQ(count("second_table"), "2") << job_->log();
  EXPECT_EQ(peer_->jetstream->state("HEARD").value().messages, 2u);
  expect_end();
}

TEST_F(SinkChange, ASinkGetsAllRowsOnlyWhereTheStreamStillHasItsBeginning) {
  begin();
  reload(with(second_table(R"("start": "stream",)")), "reload: the new pipeline runs");
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  for (int i = 0; i < 500 && count("second_table") != "2"; ++i) pause(20 * millisecond);
  EXPECT_EQ(count("second_table"), "2") << job_->log();
  expect_end();
  ASSERT_EQ(js_DeleteMsg(peer_->jetstream->handle(), "TELEMETRY", 1, nullptr, nullptr), NATS_OK);
  const std::string third = replaced(second_table(R"("start": "stream",)"), "second_table", "third_table");
  EXPECT_THAT(refused(with(replaced(third, R"("id": "more")", R"("id": "third")")), 70),
              HasSubstr("sink third can't begin at the first message of stream TELEMETRY"));
  EXPECT_EQ(count("third_table"), "0");
  EXPECT_EQ(count("vehicle_second"), "2");
}

TEST_F(SinkChange, AReloadAddsTheColumnsOfATableThatMayGrow) {
  begin();
  const std::string more = replaced(text({.columns = R"("speed": {}, "charge": {})"}), R"("id": "db",)",
                                    R"("id": "db", "schema": "add-columns",)");
  reload(more, "reload: the new pipeline runs");
  EXPECT_THAT(job_->log(), HasSubstr(R"(added "charge")"));
  peer_->publish("vehicle.a.charge", weir::format(R"({{"time":{},"value":80}})", origin_ + 1600 * millisecond));
  peer_->publish("vehicle.a.charge", weir::format(R"({{"time":{},"value":80}})", origin_ + 2400 * millisecond));
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  EXPECT_EQ(database_.ask("SELECT charge FROM vehicle_second ORDER BY time"), "NULL 80");
  expect_end();
}

TEST_F(SinkChange, ADatabaseThatLostItsProgressStopsTheJobUntilItIsReset) {
  begin();
  reload(with(second_table()), "reload: the new pipeline runs");
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  for (int i = 0; i < 500 && count("second_table") != "1"; ++i) pause(20 * millisecond);
  expect_end();
  database_.ask("DELETE FROM weir_progress WHERE node = 'db'");
  EXPECT_THAT(refused(with(second_table()), 70), HasSubstr("`weir progress reset --node db --partition 0`"));
  EXPECT_EQ(count("vehicle_second"), "2");
  fakes::WeirProcess reset{
      {"progress", "reset", directory_.file("job.json"), "--node", "db", "--partition", "0", "--yes"},
      directory_.file("reset.log")};
  ASSERT_EQ(reset.wait(), 0) << reset.log();
  job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", directory_.file("job.json")},
                                              directory_.file("again.log"));
  expect_rows("1 15 1 15 2 25 2 25");  // as it was told to
  EXPECT_EQ(count("second_table"), "1") << "the other gets nothing twice";
  expect_end();
}

/// Whose place its state store alone tells.
class StoreChange : public SinkChange {
 protected:
  std::string stored(const std::string& name, const std::string& more = "") const {
    return weir::format(R"({{
  "name": "{0}", {1} "limits": {{ "keys": 100 }},
  "state": {{ "store": "jetstream-kv", "url": "{2}", "bucket": "job-state", "lease": "2s" }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{2}", "stream": "TELEMETRY", "encoding": "json" }},
    {{ "id": "rows", "transform": "window-join", "from": "signals", "every": "1s", "wait": "200ms" }},
    {{ "id": "heard", "sink": "nats", "from": "rows", "url": "{2}", "stream": "HEARD", "subject": "heard.{{key}}",
       "create": true, "encoding": "json", "columns": {{ "speed": {{}} }} }} ] }})",
                        name, more, nats_.nats());
  }
  void run_stored(const std::string& name, const std::string& more = "") {
    directory_.write("job.json", stored(name, more));
    job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", directory_.file("job.json")},
                                                directory_.file(name + ".log"));
    ASSERT_TRUE(job_->says("partition 0: ")) << job_->log();
  }
  void expect_heard(std::uint64_t messages) const {
    const auto heard = [&] { return peer_->jetstream->state("HEARD").value().messages; };
    for (int i = 0; i < 500 && heard() != messages; ++i) pause(20 * millisecond);
    EXPECT_EQ(heard(), messages) << job_->log();
  }
};

TEST_F(StoreChange, ARenamedPipelineGoesOnIfItSaysSo) {
  run_stored("job");
  send(500 * millisecond, 10);
  send(1500 * millisecond, 20);
  expect_heard(1);
  expect_end();
  EXPECT_THAT(refused(stored("trip"), 78), HasSubstr(R"(write "renamed_from": "job" beside "name")"));
  run_stored("trip", R"("renamed_from": "job",)");
  send(2500 * millisecond, 30);
  expect_heard(2);
  expect_end();
  run_stored("job");
  send(3500 * millisecond, 40);
  expect_heard(3);
  expect_end();
}

}  // namespace
}  // namespace weir::integration
