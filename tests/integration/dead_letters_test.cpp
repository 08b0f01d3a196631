/// What a publisher leaves that sends nothing but invalid messages, and how long it stays.
#include <gmock/gmock.h>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

class DeadLetters : public Job {
 protected:
  void flood(int messages) {
    if (peer_ == nullptr) peer_ = std::make_unique<fakes::NatsPeer>(nats_.nats());
    for (int i = 0; i < messages; ++i) peer_->publish("vehicle.bad.speed", weir::format("no JSON {}", i));
    ASSERT_TRUE(peer_->connection->flush(30 * second).has_value());
  }
  std::uint64_t kept(const std::string& which = "true") const {
    return std::stoull(database_.ask("SELECT count(*) FROM weir_dead_letters WHERE " + which));
  }
};

TEST_F(DeadLetters, OfAFloodAreFewAndTheSameOverACrash) {
  run();
  flood(20'000);
  send(500 * millisecond, 10);
  send(1500 * millisecond, 20);
  expect_rows("1 15");
  job_->end(SIGKILL);
  run();
  flood(20'000);
  send(2500 * millisecond, 30);
  expect_rows("1 15 2 25");
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  // Ten in a minute of arrival time; the test may take part in two or three.
  EXPECT_GE(kept(), 10u);
  EXPECT_LE(kept(), 30u);
  EXPECT_EQ(kept(), std::stoull(database_.ask("SELECT count(DISTINCT (position, ordinal)) FROM weir_dead_letters")));
  const auto minutes = database_.ask("SELECT count(DISTINCT date_trunc('minute', arrival)) FROM weir_dead_letters");
  EXPECT_EQ(kept(), 10 * std::stoull(minutes));
  EXPECT_THAT(job_->log(), testing::ContainsRegex("signals.dead_letters_over_limit\\{[^}]+\\} (19990|20000)"));
}

TEST_F(DeadLetters, AreDeletedAfterTheirTime) {
  run();
  flood(1);
  send(500 * millisecond, 10);
  send(1500 * millisecond, 20);
  expect_rows("1 15");
  ASSERT_EQ(kept(), 1u);
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  database_.ask(
      "INSERT INTO weir_dead_letters (pipeline, node, partition, position, ordinal, reason, subject, payload, written) "
      "SELECT p, 'signals', 0, 1, n, 'old', 's', '', now() - interval '8 days' "
      "FROM generate_series(1, 25000) AS n, (VALUES ('job'), ('another')) AS v (p)");
  run();
  for (int i = 0; i < 500 && kept("pipeline = 'job'") != 1; ++i) pause(20 * millisecond);
  EXPECT_EQ(kept("pipeline = 'job'"), 1u) << job_->log();
  EXPECT_EQ(kept("pipeline = 'another'"), 25'000u);
}

TEST_F(DeadLetters, OfRowsThatATableRejectsAreFewAndTheOthersAreCounted) {
  std::string file = text({.columns = R"("speed": { "max_gap": "1h" })"});
  const std::string every = R"("every": "1s",)";
  file.replace(file.find(every), every.size(), R"("every": "10ms", "session": { "timeout": "5m" },)");
  directory_.write("job.json", file);
  job_ = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", directory_.file("job.json")},
                                              directory_.file("job.log"));
  ASSERT_TRUE(job_->says("partition 0: ")) << job_->log();
  database_.ask("ALTER TABLE vehicle_second ADD CONSTRAINT possible CHECK (speed >= 0)");
  send(-145 * second, -1);
  send(55 * second, -1);  // 20,000 rows between them
  const auto rejected = [&] { return job_->log().contains("sqlstate_23514"); };
  for (int i = 0; i < 6000 && !rejected(); ++i) pause(20 * millisecond);
  ASSERT_TRUE(rejected()) << job_->log();
  send(56 * second, 9);
  for (int i = 0; i < 500 && database_.ask("SELECT count(*) > 50 FROM vehicle_second") != "t"; ++i)
    pause(20 * millisecond);
  EXPECT_EQ(database_.ask("SELECT count(*) > 50 FROM vehicle_second"), "t") << job_->log();
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  EXPECT_GE(kept("node = 'db'"), 10u);
  EXPECT_LE(kept("node = 'db'"), 30u) << "ten of a key in a minute of arrival time";
  EXPECT_THAT(job_->log(), testing::ContainsRegex("db.rejected\\{sqlstate_23514\\} 20[0-9]{3}"));
  EXPECT_THAT(job_->log(), testing::ContainsRegex("db.dead_letters_over_limit (19|20)[0-9]{3}"));
  EXPECT_THAT(job_->log(), testing::HasSubstr(weir::format(" {} dead letters kept", kept())));
}

}  // namespace
}  // namespace weir::integration
