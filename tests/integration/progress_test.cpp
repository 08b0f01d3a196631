/// weir progress on a pipeline that writes a DuckDB file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "fakes/registry.hpp"
#include "fakes/sink_fixture.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir {
Operator weir_operator_sinks_duckdb();
}

namespace {
using namespace weir;
using testing::HasSubstr;
using testing::Not;

class ProgressCommand : public testing::Test {
 protected:
  ProgressCommand() {
    directory_.write("fleet.json", R"({ "name": "fleet", "limits": { "keys": 100 }, "nodes": [
      { "id": "signals", "source": "simulate", "vehicles": 1, "for": "1s" },
      { "id": "db", "sink": "duckdb", "from": "signals", "path": ")" +
                                       file() + R"(" } ] })");
  }

  std::string file() const { return directory_.file("fleet.duckdb"); }

  /// Runs `weir progress <arguments>`; what it printed. The exit code is in exit_.
  std::string run(std::string_view verb, std::vector<std::string> options = {}) {
    cli::Session session{fakes::registry(), "test"};
    cli::CommandLine line{"weir", "", "test", ""};
    cli::add_progress(line.arguments(), session);
    std::vector<std::string> arguments{"weir", "progress", std::string{verb}, directory_.file("fleet.json")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ(line.obey(static_cast<int>(words.size()), words.data()), std::nullopt);
    std::cout.flush();
    exit_ = session.exit;
    notes_ = testing::internal::GetCapturedStderr();
    return testing::internal::GetCapturedStdout();
  }

  /// Commits positions as a worker would.
  void commit(std::initializer_list<std::pair<Partition, Position>> lanes) {
    Settings settings{"db"};
    settings.set("path", file());
    settings.set("table", std::string{"rows"});
    settings.set("key_column", std::string{"vehicle"});
    settings.set("time_column", std::string{"time"});
    settings.set("memory", std::int64_t{256 << 20});
    fakes::SinkContext context;
    auto sink = weir_operator_sinks_duckdb().make_sink(settings, context);
    ASSERT_TRUE(sink->bind_schema(samples::schema()).has_value());
    ASSERT_TRUE(sink->open().has_value());
    std::vector<LaneCommit> commits;
    for (const auto& [partition, position] : lanes) {
      ASSERT_TRUE(sink->ledger()->acquire(partition).has_value());
      commits.push_back(fakes::lane(partition, position));
    }
    ASSERT_TRUE(sink->commit(commits).has_value());
  }

  fakes::TemporaryDirectory directory_;
  std::string notes_;  ///< on standard error
  int exit_ = 0;
};

TEST_F(ProgressCommand, shows_nothing_before_the_first_commit) {
  EXPECT_EQ(run("show"), "no progress: nothing was committed yet\n");
  EXPECT_EQ(exit_, 0);
}

TEST_F(ProgressCommand, shows_positions_by_partition) {
  commit({{0, 42}, {3, 77}});
  const std::string all = run("show");
  EXPECT_THAT(all, HasSubstr("node         partition     position"));
  EXPECT_THAT(all, HasSubstr("db                   0           42  1970-01-01T00:00:00Z"));
  EXPECT_THAT(all, HasSubstr("db                   3           77"));
  EXPECT_THAT(all, HasSubstr("nobody"));
  EXPECT_THAT(run("show", {"--partition", "3"}), Not(HasSubstr("   42  ")));
}

TEST_F(ProgressCommand, forgets_only_when_told_yes) {
  commit({{0, 42}, {3, 77}});
  EXPECT_THAT(run("reset"), HasSubstr("77"));
  EXPECT_THAT(notes_, HasSubstr("This would be forgotten"));
  EXPECT_EQ(exit_, cli::usage);
  EXPECT_THAT(run("show"), HasSubstr("77"));
  EXPECT_EQ(run("reset", {"--partition", "3", "--format", "json"}),
            "[{\"node\":\"db\",\"partitions\":1,\"forgotten\":false}]\n");
  EXPECT_THAT(run("reset", {"--partition", "3", "--yes"}), HasSubstr("db: forgot 1 partition\n"));
  EXPECT_EQ(exit_, 0);
  EXPECT_THAT(run("show"), Not(HasSubstr("77")));
  EXPECT_THAT(run("reset", {"--yes"}), HasSubstr("db: forgot 1 partition\n"));
  EXPECT_EQ(run("show"), "no progress: nothing was committed yet\n");
}

TEST_F(ProgressCommand, names_a_node_that_keeps_none) {
  run("show", {"--node", "signals"});
  EXPECT_EQ(exit_, cli::usage);
}

}  // namespace
