/// What a database's administrator does to a table under a running job: it waits, and goes on when that is mended.
#include <gmock/gmock.h>

#include "integration/job_fixture.hpp"
#include "integration/pages.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class TableChange : public Job {
 protected:
  /// As a user who is no superuser, and owns its tables.
  void SetUp() override {
    database_.ask("CREATE ROLE writer LOGIN PASSWORD 'w'");
    database_.ask("GRANT CREATE, USAGE ON SCHEMA public TO writer");
    std::string file = text({.partitions = 2});
    const std::string url = database_.url();
    std::string as_writer = url;
    const auto user = as_writer.find("//") + 2;
    as_writer.replace(user, as_writer.find('@') - user, "writer:w");
    for (auto at = file.find(url); at != std::string::npos; at = file.find(url, at + as_writer.size()))
      file.replace(at, url.size(), as_writer);
    directory_.write("job.json", file);
    job_ = std::make_unique<fakes::WeirProcess>(
        std::vector<std::string>{"run", directory_.file("job.json"), "--http", "127.0.0.1:0"},
        directory_.file("job.log"));
    ASSERT_TRUE(job_->says("partition 1: ")) << job_->log();
    peer_ = std::make_unique<fakes::NatsPeer>(nats_.nats());
    pages_ = std::make_unique<Pages>(*job_);
    send_to(0, 500 * millisecond, 10);
    send_to(0, 1500 * millisecond, 20);
    expect_rows("1 15");
    pages_->expect("/ready", StartsWith("200 "));
  }

  void send_to(Partition partition, Duration after, double speed) const {
    const char* key = partition == 0 ? "v1" : "v0";  // by their hashes
    peer_->publish(weir::format("p.{}.vehicle.{}.speed", partition, key),
                   weir::format(R"({{"time":{},"value":{}}})", origin_ + after, speed));
    ASSERT_TRUE(peer_->connection->flush(10 * second).has_value());
  }
  /// The job is told that it can't write, says so, and is still there; then it is mended, and all rows come by
  /// themselves, each once.
  void waits_until(const std::string& change, const std::string& told, const std::string& mended) {
    database_.ask(change);
    send_to(0, 2500 * millisecond, 30);
    send_to(1, 500 * millisecond, 1);
    send_to(1, 1500 * millisecond, 3);
    pages_->expect("/ready", AllOf(StartsWith("503 "), HasSubstr(told)));
    pause(3 * second);
    EXPECT_TRUE(job_->runs()) << job_->log();
    EXPECT_EQ(pages_->get("/ping"), "200 pong\n");
    EXPECT_EQ(database_.ask("SELECT count(*) FROM vehicle_second"), "1");
    database_.ask(mended);
    for (int i = 0; i < 1500 && database_.ask("SELECT count(*) FROM vehicle_second") != "3"; ++i)
      pause(20 * millisecond);
    EXPECT_EQ(database_.ask("SELECT sum(speed), count(*), count(DISTINCT speed) FROM vehicle_second"), "42 3 3")
        << job_->log();
    pages_->expect("/ready", StartsWith("200 "));
    EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  }

  std::unique_ptr<Pages> pages_;
};

TEST_F(TableChange, AColumnThatGotAnotherTypeIsWaitedFor) {
  waits_until("ALTER TABLE vehicle_second ALTER COLUMN speed TYPE bigint", "is bigint, not double precision",
              "ALTER TABLE vehicle_second ALTER COLUMN speed TYPE double precision");
}

TEST_F(TableChange, ARightThatWasTakenAwayIsWaitedFor) {
  waits_until("REVOKE INSERT ON vehicle_second FROM writer", "permission denied for table vehicle_second",
              "GRANT INSERT ON vehicle_second TO writer");
}

}  // namespace
}  // namespace weir::integration
