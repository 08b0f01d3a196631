/// Which worker has which partition, and how far the pipeline is behind: from the commands and from any worker, while
/// partitions have an owner, none, or one that does not move.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <array>
#include <map>

#include <weir/partition.hpp>

#include <weir/rfc3339.hpp>
#include "integration/job_fixture.hpp"

#include "integration/pages.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::uint32_t partitions = 4;

class Partitions : public Job {
 protected:
  Partitions() {
    pipeline_ = directory_.write("fleet.json", text({.name = "fleet", .lease = "5s", .partitions = partitions}));
  }

  fakes::WeirProcess& start(const std::string& name) {
    auto& worker = workers_[name];
    worker = std::make_unique<fakes::WeirProcess>(std::vector<std::string>{"run", pipeline_, "--http", "127.0.0.1:0"},
                                                  directory_.file(name + ".log"));
    return *worker;
  }

  /// Sends so many samples, each of another vehicle and, by its name, to its partition, and waits until they are
  /// stored.
  void send_samples(int count) {
    fakes::NatsPeer peer{nats_.nats()};
    const Timestamp taken = system_clock().now();
    for (int i = 0; i < count; ++i) {
      const std::string key = weir::format("v{}", i);
      peer.publish(weir::format("p.{}.vehicle.{}.speed", partition_of(key, partitions), key),
                   weir::format(R"({{"time":{},"value":1}})", taken));
    }
    ASSERT_TRUE(peer.connection->flush(10 * second).has_value());
    newest_ = taken;
  }
  static std::array<std::uint64_t, partitions> sent_by_partition(int count) {
    std::array<std::uint64_t, partitions> out{};
    for (int i = 0; i < count; ++i) ++out.at(partition_of(weir::format("v{}", i), partitions));
    return out;
  }

  /// What a command prints; it must end well.
  std::string output_of(std::vector<std::string> arguments) {
    const std::string log = directory_.file("command" + std::to_string(++commands_));
    arguments.insert(arguments.begin() + 1, pipeline_);
    fakes::WeirProcess command{arguments, log};
    EXPECT_EQ(command.wait(), 0) << command.log();
    return command.log();
  }
  rapidjson::Document json(const std::vector<std::string>& arguments) { return parsed(output_of(arguments)); }
  static rapidjson::Document parsed(const std::string& text) {
    rapidjson::Document out;
    out.Parse(text.c_str());
    EXPECT_FALSE(out.HasParseError()) << text;
    return out;
  }
  /// Of a running worker.
  static rapidjson::Document lag(Pages& pages) {
    const std::string page = pages.get("/lag");
    EXPECT_THAT(page, StartsWith("200 {"));
    return parsed(page.substr(page.find('{')));
  }

  void wait_until_all_is_committed() {
    for (int i = 0; i < 200 && json({"lag", "--format=json"})["messages"].GetInt64() != 0; ++i) pause(50 * millisecond);
  }
  std::string logs() const {
    std::string out;
    for (const auto& [name, worker] : workers_) out += "--- " + name + "\n" + worker->log();
    return out;
  }

  std::string pipeline_;
  std::map<std::string, std::unique_ptr<fakes::WeirProcess>> workers_;
  int commands_ = 0;
  Timestamp newest_ = no_time;
};

TEST_F(Partitions, HaveAnOwnerWhileAWorkerRunsAndThenNobody) {
  const auto before = json({"owners", "--format=json"});
  ASSERT_TRUE(before.IsArray());
  ASSERT_EQ(before.Size(), partitions);
  for (rapidjson::SizeType i = 0; i < partitions; ++i) {
    EXPECT_EQ(before[i]["partition"].GetUint(), i);
    for (const char* name : {"owner", "since", "lease_left", "arrival"}) EXPECT_TRUE(before[i][name].IsNull()) << name;
    EXPECT_EQ(before[i]["position"].GetUint64(), 0u);
  }
  EXPECT_THAT(output_of({"owners"}), HasSubstr("        3  nobody"));

  auto& worker = start("first");
  ASSERT_TRUE(worker.says_of_each(partitions, "starts")) << logs();
  const Timestamp started = system_clock().now();
  send_samples(60);
  wait_until_all_is_committed();
  const auto during = json({"owners", "--format=json"});
  ASSERT_EQ(during.Size(), partitions);
  const std::string owner = during[0]["owner"].GetString();
  EXPECT_FALSE(owner.empty());
  for (const auto& one : during.GetArray()) {
    EXPECT_EQ(one["owner"].GetString(), owner);
    const auto since = parse_rfc3339(one["since"].GetString());
    ASSERT_TRUE(since) << one["since"].GetString();
    EXPECT_LT(std::abs(*since - started), 30 * second);
    EXPECT_GT(one["lease_left"].GetDouble(), 0);
    EXPECT_LE(one["lease_left"].GetDouble(), 5);
    EXPECT_GE(one["position"].GetUint64(), sent_by_partition(60).at(one["partition"].GetUint()));
    EXPECT_TRUE(parse_rfc3339(one["arrival"].GetString()));
  }
  EXPECT_THAT(output_of({"owners"}), HasSubstr("        3  " + owner + "  "));

  EXPECT_EQ(worker.end(SIGTERM), 0) << logs();
  const auto after = json({"owners", "--format=json"});
  for (rapidjson::SizeType i = 0; i < partitions; ++i) {
    EXPECT_TRUE(after[i]["owner"].IsNull());
    EXPECT_TRUE(after[i]["since"].IsNull());
    EXPECT_GE(after[i]["position"].GetUint64(), during[i]["position"].GetUint64());
  }
}

TEST_F(Partitions, TellWhoHasAVehicleAndItsSession) {
  const std::string in = weir::format("v7 is in partition {} of {}\n", partition_of("v7", partitions), partitions);
  EXPECT_THAT(output_of({"owners", "--key", "v7"}),
              AllOf(StartsWith(in), HasSubstr("session: not known: there is no snapshot")));
  auto& worker = start("first");
  ASSERT_TRUE(worker.says_of_each(partitions, "starts")) << logs();
  send_samples(20);
  wait_until_all_is_committed();
  EXPECT_EQ(json({"owners", "--format=json", "--key", "v7"})[0]["owner"].GetString(),
            std::string{json({"owners", "--format=json"})[partition_of("v7", partitions)]["owner"].GetString()});
  EXPECT_EQ(worker.end(SIGTERM), 0) << logs();  // with a snapshot of just this

  const auto one = json({"owners", "--format=json", "--key", "v7"});
  ASSERT_EQ(one.Size(), 1u);
  EXPECT_EQ(one[0]["partition"].GetUint(), partition_of("v7", partitions));
  EXPECT_STREQ(one[0]["key"].GetString(), "v7");
  EXPECT_TRUE(one[0]["owner"].IsNull());
  const auto& session = one[0]["session"];
  EXPECT_STREQ(session["state"].GetString(), "open");
  EXPECT_EQ(session["newest"].GetString(), format_rfc3339(newest_));
  EXPECT_EQ(session["first"].GetString(), format_rfc3339(newest_));
  EXPECT_EQ(session["position"].GetUint64(), one[0]["position"].GetUint64());
  EXPECT_STREQ(json({"owners", "--format=json", "--key", "nobody"})[0]["session"]["state"].GetString(), "none");
  EXPECT_THAT(output_of({"owners", "--key", "v7"}),
              AllOf(HasSubstr("session: open, samples from "), HasSubstr("nobody")));
}

TEST_F(Partitions, AreBehindByWhatTheStreamsHoldThoughNobodyOwnsThem) {
  EXPECT_EQ(json({"lag", "--format=json"})["messages"].GetUint64(), 0u) << "there are no streams yet";
  auto& worker = start("first");
  ASSERT_TRUE(worker.says_of_each(partitions, "starts")) << logs();
  send_samples(60);
  wait_until_all_is_committed();
  EXPECT_EQ(worker.end(SIGTERM), 0) << logs();

  const auto idle = json({"lag", "--format=json"});
  EXPECT_EQ(idle["messages"].GetUint64(), 0u);
  EXPECT_EQ(idle["seconds"].GetDouble(), 0);
  send_samples(100);
  pause(1500 * millisecond);
  const auto behind = json({"lag", "--format=json"});
  EXPECT_STREQ(behind["pipeline"].GetString(), "fleet");
  EXPECT_EQ(behind["messages"].GetUint64(), 100u);
  EXPECT_GE(behind["seconds"].GetDouble(), 1.5);
  EXPECT_LT(behind["seconds"].GetDouble(), 15);
  ASSERT_EQ(behind["partitions"].Size(), partitions);
  for (const auto& one : behind["partitions"].GetArray()) {
    EXPECT_TRUE(one["owner"].IsNull());
    EXPECT_EQ(one["messages"].GetUint64(), sent_by_partition(100).at(one["partition"].GetUint()));
    EXPECT_GE(one["seconds"].GetDouble(), 1.5);
  }
  EXPECT_THAT(output_of({"lag"}), AllOf(HasSubstr("        0  nobody"), HasSubstr("      all")));
}

TEST_F(Partitions, AreBehindAsAnyWorkerTellsAlsoOneThatHasNone) {
  auto& first = start("first");
  ASSERT_TRUE(first.says_of_each(partitions, "starts")) << logs();
  send_samples(60);
  wait_until_all_is_committed();
  const auto owner = std::string{json({"owners", "--format=json"})[0]["owner"].GetString()};
  first.send(SIGSTOP);  // keeps the leases for a while, and commits nothing
  send_samples(100);
  Pages pages{start("second")};
  pages.expect("/metrics", HasSubstr("\nweir_lag_messages{pipeline=\"fleet\"} 100\n"));
  const auto behind = lag(pages);
  EXPECT_EQ(behind["messages"].GetUint64(), 100u) << logs();
  EXPECT_GT(behind["seconds"].GetDouble(), 0);
  // The leases run out, the second one takes over, and all is done.
  pages.expect("/metrics", AllOf(HasSubstr("\nweir_lag_messages{pipeline=\"fleet\"} 0\n"),
                                 HasSubstr("\nweir_lag_seconds{pipeline=\"fleet\"} 0\n")));
  const auto done = lag(pages);
  for (const auto& one : done["partitions"].GetArray()) EXPECT_STRNE(one["owner"].GetString(), owner.c_str());
  first.send(SIGCONT);
}

TEST_F(Partitions, CanBeResetThoughTheDatabasesClockWasSetBack) {
  auto& worker = start("first");
  ASSERT_TRUE(worker.says("partition 3: starts")) << logs();
  worker.send(SIGKILL);
  worker.wait();
  database_.ask("UPDATE weir_progress SET lease = '1 minute', lease_until = clock_timestamp() + interval '50 seconds'");
  const std::vector<std::string> forget{"progress", "reset", pipeline_, "--yes"};
  fakes::WeirProcess refused{forget, directory_.file("refused.log")};
  EXPECT_NE(refused.wait(), 0);
  EXPECT_THAT(refused.log(), HasSubstr("its lease runs for another "));
  // Seen from a clock that was set back by an hour, what was written before lies so far ahead.
  database_.ask("UPDATE weir_progress SET lease_until = lease_until + interval '1 hour'");
  fakes::WeirProcess reset{forget, directory_.file("reset.log")};
  EXPECT_EQ(reset.wait(), 0) << reset.log();
  EXPECT_THAT(reset.log(), HasSubstr("db: forgot 4 partitions\n"));
}

TEST_F(Partitions, OfAServerThatDoesNotAnswerNoLagIsTold) {
  auto& worker = start("first");
  Pages pages{worker};
  ASSERT_TRUE(worker.says_of_each(partitions, "starts")) << logs();
  pages.expect("/lag", StartsWith("200 "));
  database_.kill();
  pages.expect("/lag", AllOf(StartsWith("503 db: "), HasSubstr("PostgreSQL")));
  EXPECT_THAT(pages.get("/metrics"), AllOf(StartsWith("200 "), Not(HasSubstr("\nweir_lag"))));
  database_.start();
  pages.expect("/lag", StartsWith("200 "));
  nats_.kill("nats");
  pages.expect("/lag", AllOf(StartsWith("503 signals: "), HasSubstr("NATS")));
  EXPECT_THAT(pages.get("/metrics"), AllOf(StartsWith("200 "), Not(HasSubstr("\nweir_lag"))));
  EXPECT_EQ(pages.get("/ping"), "200 pong\n");
}

/// Whose sinks keep no progress: workers share the partitions by leases in the store, which keeps the state too.
class PartitionsByTheStore : public Partitions {
 protected:
  PartitionsByTheStore() {
    pipeline_ = directory_.write("fleet.json", weir::format(R"({{
  "name": "fleet", "limits": {{ "keys": 100 }},
  "state": {{ "store": "jetstream-kv", "url": "{0}", "bucket": "fleet-state", "lease": "3s" }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{0}", "stream": "TELEMETRY", "partitions": {1}, "encoding": "json" }},
    {{ "id": "rows", "transform": "window-join", "from": "signals", "every": "1s" }},
    {{ "id": "out", "sink": "stdout", "from": "rows", "columns": {{ "speed": {{}} }} }} ] }})",
                                                            nats_.nats(), partitions));
  }
};

TEST_F(PartitionsByTheStore, HaveOwnersLagAndProgressTooAsOfTheLastSnapshot) {
  auto* worker = &start("first");
  ASSERT_TRUE(worker->says_of_each(partitions, "starts")) << logs();
  send_samples(60);
  const auto during = json({"owners", "--format=json"});
  ASSERT_EQ(during.Size(), partitions);
  const std::string owner = during[0]["owner"].GetString();
  for (const auto& one : during.GetArray()) {
    EXPECT_EQ(one["owner"].GetString(), owner);
    EXPECT_TRUE(one["since"].IsNull());
    EXPECT_GT(one["lease_left"].GetDouble(), 0);
    EXPECT_LE(one["lease_left"].GetDouble(), 3);
  }
  EXPECT_EQ(worker->end(SIGTERM), 0) << logs();
  for (const auto& one : json({"owners", "--format=json"}).GetArray()) {
    EXPECT_TRUE(one["owner"].IsNull());
    EXPECT_GE(one["position"].GetUint64(), sent_by_partition(60).at(one["partition"].GetUint()));
  }
  send_samples(20);
  EXPECT_EQ(json({"lag", "--format=json"})["messages"].GetUint64(), 20u);

  worker = &start("second");
  ASSERT_TRUE(worker->says_of_each(partitions, "goes on")) << logs();
  worker->send(SIGKILL);
  worker->wait();
  const std::vector<std::string> forget{"progress", "reset", pipeline_, "--yes"};
  fakes::WeirProcess refused{forget, directory_.file("refused.log")};
  EXPECT_NE(refused.wait(), 0);
  EXPECT_THAT(refused.log(), HasSubstr("whose lease runs for "));
  pause(3 * second);
  EXPECT_THAT(output_of({"owners"}), HasSubstr("        3  nobody; the lease of "));
  fakes::WeirProcess reset{forget, directory_.file("reset.log")};
  EXPECT_EQ(reset.wait(), 0) << reset.log();
  EXPECT_THAT(reset.log(), HasSubstr("state: forgot 4 partitions\n"));
  EXPECT_GE(json({"lag", "--format=json"})["messages"].GetUint64(), 80u) << "it would begin again";
}

}  // namespace
}  // namespace weir::integration
