/// Workers whose ledger is in the state store, as no sink keeps progress: their names, and the loss of the bucket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include <weir/format.hpp>

#include "fakes/nats_fixture.hpp"
#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t lanes = 4;

class StoreLedgerWorkers : public testing::Test {
 protected:
  /// `lease`: longer than a test has patience, where none may be waited for.
  void write(const std::string& lease) {
    pipeline_ = directory_.write("job.json", weir::format(R"({{
  "name": "job", "state": {{ "store": "jetstream-kv", "url": "{0}", "bucket": "job-state", "lease": "{1}" }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{0}", "stream": "TELEMETRY", "partitions": {2}, "encoding": "json" }},
    {{ "id": "out", "sink": "drop", "from": "signals" }} ] }})",
                                                          nats_.nats(), lease, lanes));
  }
  fakes::WeirProcess& start(const std::string& process, const std::string& name) {
    auto& out = workers_[process];
    out = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", pipeline_, "--worker", name},
                                               directory_.file(process + ".log"));
    return *out;
  }
  std::string logs() const {
    std::string out;
    for (const auto& [name, process] : workers_) out += "--- " + name + "\n" + process->log();
    return out;
  }

  fakes::Servers nats_{"nats"};
  const fakes::TemporaryDirectory directory_;
  std::string pipeline_;
  std::map<std::string, std::unique_ptr<fakes::WeirProcess>> workers_;
};

TEST_F(StoreLedgerWorkers, ARestartUnderItsNameDoesNotWaitForTheLease) {
  write("60s");
  fakes::WeirProcess& first = start("first", "vm-1");
  ASSERT_TRUE(first.says_of_each(lanes, "starts")) << logs();
  EXPECT_EQ(first.end(SIGKILL), fakes::WeirProcess::killed);
  const Timestamp since = system_clock().steady();
  EXPECT_TRUE(start("second", "vm-1").says_of_each(lanes, "starts")) << logs();
  EXPECT_LT(system_clock().steady() - since, 20 * second);
}

TEST_F(StoreLedgerWorkers, OfTwoThatBearOneNameTheFormerEnds) {
  write("6s");
  fakes::WeirProcess& first = start("first", "vm-1");
  ASSERT_TRUE(first.says_of_each(lanes, "starts")) << logs();
  fakes::WeirProcess& second = start("second", "vm-1");
  EXPECT_EQ(first.wait(), 70) << logs();
  EXPECT_THAT(first.log(), HasSubstr("another worker bears the name vm-1"));
  EXPECT_TRUE(second.says_of_each(lanes, "starts")) << logs();
  EXPECT_EQ(second.end(SIGTERM), 0) << logs();
}

TEST_F(StoreLedgerWorkers, ABucketThatIsDeletedStopsThemAllUntilTheyAreStartedAgain) {
  write("3s");
  fakes::WeirProcess& first = start("first", "vm-1");
  ASSERT_TRUE(first.says_of_each(lanes, "starts")) << logs();
  fakes::WeirProcess& second = start("second", "vm-2");
  ASSERT_TRUE(second.says("2 workers share the partitions")) << logs();
  ASSERT_TRUE(second.says("starts")) << logs();
  const fakes::NatsPeer peer{nats_.nats()};
  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), "KV_job-state", nullptr, nullptr), NATS_OK);
  for (fakes::WeirProcess* one : {&first, &second}) {
    EXPECT_TRUE(one->says("held was deleted while workers ran")) << logs();
    one->end(SIGTERM);
  }
  EXPECT_TRUE(start("third", "vm-3").says_of_each(lanes, "starts")) << logs();
}

}  // namespace
}  // namespace weir::integration
