/// What else a replay does than run a pipeline: rows compared and saved.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir {
namespace {

/// A recorded fleet, and commands on it.
class Replays : public testing::Test {
 protected:
  struct Said {
    int exit = 0;
    std::string text;
    bool has(std::string_view part) const { return text.contains(part); }
  };

  Said weir(std::vector<std::string> arguments) {
    const std::string log = directory_.file("log" + std::to_string(++runs_));
    if (arguments[0] != "info") arguments.insert(arguments.end(), {"-q", "--log-level", "error"});
    fakes::WeirProcess process{std::move(arguments), log};
    const int exit = process.wait();
    return {exit, process.log()};
  }
  Said replay(std::vector<std::string> options) {
    options.insert(options.begin(), {"replay", tape(), pipeline()});
    return weir(std::move(options));
  }

  std::string pipeline(const std::string& sinks = "") const {
    return directory_.write("fleet.json", R"({
      "name": "fleet", "limits": { "keys": 1000 }, "dead_letters": ")" +
                                              directory_.file("dead.jsonl") + R"(",
      "nodes": [
        { "id": "signals", "source": "simulate", "vehicles": 20, "for": "60s", "faults": {} },
        { "id": "rows", "transform": "window-join", "from": "signals", "every": "1s" },
        { "id": "db", "sink": "stdout", "from": "rows", "columns": { "speed": {}, "charge": { "max_gap": "30s" } } })" +
                                              sinks + " ] }");
  }
  std::string tape() {
    const std::string path = directory_.file("tape.weir");
    if (!std::filesystem::exists(path)) {
      const Said made = weir({"record", "--pipeline", pipeline(), "-o", path, "--follow"});
      EXPECT_EQ(made.exit, 0) << made.text;
    }
    return path;
  }

  fakes::TemporaryDirectory directory_;

 private:
  int runs_ = 0;
};

TEST_F(Replays, a_diff_tells_whether_the_rows_are_those_that_were_saved) {
  for (const char* name : {"rows.parquet", "rows.csv", "rows.jsonl"}) {
    const std::string file = directory_.file(name);
    const Said saved = replay({"--save", file});
    ASSERT_EQ(saved.exit, 0) << saved.text;
    EXPECT_TRUE(saved.has("rows of db are in " + file)) << saved.text;
    const Said same = replay({"--diff", file});
    EXPECT_EQ(same.exit, 0) << same.text;
    EXPECT_TRUE(same.has(" rows, all as expected")) << same.text;
  }
  const std::string file = directory_.file("rows.parquet");
  const Said other = replay({"--diff", "db=" + file, "-s", "db.columns.speed.fill=step"});
  EXPECT_EQ(other.exit, 1);
  EXPECT_TRUE(other.has("  changed ")) << other.text;
  EXPECT_TRUE(other.has("  speed: ")) << other.text;
  EXPECT_TRUE(other.has(" → ")) << other.text;
  EXPECT_FALSE(other.has("  charge: ")) << "it did not change\n" << other.text;
  EXPECT_TRUE(other.has(" more\n")) << other.text;
  const Said shorter = replay({"--diff", file, "--until", "2026-01-01T00:00:30Z"});
  EXPECT_EQ(shorter.exit, 1);
  EXPECT_TRUE(shorter.has(" 0 changed, ")) << shorter.text;
  EXPECT_TRUE(shorter.has(" 0 unexpected")) << shorter.text;
}

TEST_F(Replays, a_table_and_printed_rows_can_be_expected_too) {
  const std::string table = directory_.file("rows.duckdb");
  ASSERT_EQ(replay({"--sink", "db=duckdb:" + table}).exit, 0);
  const Said same = replay({"--diff", table});
  EXPECT_EQ(same.exit, 0) << same.text;
  const Said printed = replay({"--sink", "db=stdout"});
  ASSERT_EQ(printed.exit, 0);
  const Said again = replay({"--diff", directory_.write("printed.jsonl", printed.text)});
  EXPECT_EQ(again.exit, 0) << again.text;
}

TEST_F(Replays, what_can_not_be_compared_is_said_before_the_replay) {
  const std::string csv = directory_.write("rows.csv", "vehicle,time\n");
  EXPECT_EQ(replay({"--diff", directory_.file("none.csv")}).exit, 64);
  EXPECT_EQ(replay({"--diff", directory_.write("rows.txt", "")}).exit, 64);
  EXPECT_EQ(replay({"--diff", "dB=" + csv}).exit, 64);
  EXPECT_EQ(replay({"--save", directory_.file("rows.xls")}).exit, 64);
  const Said printed = replay({"--diff", csv, "--sink", "db=stdout"});
  EXPECT_EQ(printed.exit, 64);
  EXPECT_TRUE(printed.has("keeps no rows")) << printed.text;
  const std::string two =
      pipeline(R"(, { "id": "other", "sink": "stdout", "from": "rows", "columns": { "speed": {} } })");
  const Said which = weir({"replay", tape(), two, "--diff", csv});
  EXPECT_EQ(which.exit, 64);
  EXPECT_TRUE(which.has("NODE one of db, other")) << which.text;
}

}  // namespace
}  // namespace weir
