/// weir test as the README shows it: what it prints, writes and answers.
#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <weir/format.hpp>

#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::integration {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

class TestCommand : public testing::Test {
 protected:
  TestCommand() {
    directory_.write("trip.json", R"({ "name": "trip", "limits": { "keys": 10 }, "nodes": [
      { "id": "in", "source": "simulate" },
      { "id": "rows", "transform": "window-join", "from": "in", "every": "1s" },
      { "id": "db", "sink": "drop", "from": "rows", "columns": { "speed": {} } } ] })");
    directory_.write("trip.test.json", R"({ "pipeline": "trip.json", "tests": [
      { "name": "rows in a file", "script": [
          { "at": "3s", "samples": ["key field time value", "a speed 0.5s..2.5s/1s 5..25"] }, { "at": "60s" } ],
        "expect": [ { "node": "db", "rows": "trip.rows" } ] } ] })");
  }

  /// The exit code of `weir test OPTIONS trip.test.json`; what it printed is in said().
  int test(std::vector<std::string> options) {
    options.insert(options.begin(), "test");
    options.push_back(directory_.file("trip.test.json"));
    directory_.write("log", "");
    return fakes::WeirProcess{options, directory_.file("log")}.wait();
  }
  std::string said() const { return content("log"); }
  std::string content(const std::string& name) const {
    std::ifstream in{directory_.file(name)};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

  fakes::TemporaryDirectory directory_;
};

TEST_F(TestCommand, WritesExpectedRowsWhenItIsAskedTo) {
  EXPECT_EQ(test({}), 1);
  EXPECT_THAT(said(), HasSubstr("trip.rows\"; weir test --update writes what comes out"));
  EXPECT_EQ(test({"--update"}), 0);
  EXPECT_THAT(said(), HasSubstr("trip.rows: written\n1 passed, 0 failed\n"));
  EXPECT_EQ(content("trip.rows"),
            "key  tick  speed  arrival\n"
            "a    1s    10     5s\n"
            "a    2s    20     5s\n");
  EXPECT_EQ(test({}), 0) << said();
  EXPECT_EQ(test({"--update"}), 0);
  EXPECT_THAT(said(), Not(HasSubstr("written"))) << "nothing differs";

  directory_.write("trip.rows", "key tick speed\na 1s 10\na 2s 21\n");
  EXPECT_EQ(test({}), 1);
  EXPECT_THAT(said(), HasSubstr("    - a    2s    21\n    + a    2s    20\n"));
  EXPECT_EQ(test({"--update"}), 0);
  EXPECT_EQ(content("trip.rows"), "key  tick  speed\na    1s    10\na    2s    20\n") << "in the columns that it had";
}

TEST_F(TestCommand, WritesNoRowsThatStandInTheTestItself) {
  const std::string text = R"({ "pipeline": "trip.json", "tests": [
      { "name": "rows in the test", "script": [
          { "at": "3s", "samples": ["key field time value", "a speed 0.5s..2.5s/1s 5..25"] }, { "at": "60s" } ],
        "expect": [ { "node": "db", "rows": "trip.rows" }, { "node": "db", "rows": ["key tick", "a 1s"] } ] } ] })";
  directory_.write("trip.test.json", text);
  const std::string hint = "  --update writes only rows that stand in a file";
  EXPECT_EQ(test({"--update"}), 1);
  EXPECT_THAT(said(), HasSubstr("trip.rows: written\n"));
  EXPECT_THAT(said(), HasSubstr(hint));
  EXPECT_EQ(content("trip.test.json"), text);
  EXPECT_EQ(test({}), 1);
  EXPECT_THAT(said(), Not(HasSubstr(hint))) << "nobody asked for it";
}

TEST_F(TestCommand, WritesNoFileThatIsRightForAnotherTest) {
  const auto case_of = [](const char* name, const char* value) {
    return weir::format(R"({{ "name": "{}", "script": [
          {{ "at": "3s", "samples": ["key field time value", "a speed 0.5s..2.5s/1s {}"] }}, {{ "at": "60s" }} ],
        "expect": [ {{ "node": "db", "rows": "trip.rows" }} ] }})",
                        name, value);
  };
  directory_.write("trip.test.json", R"({ "pipeline": "trip.json", "tests": [)" + case_of("one", "5..25") + ", " +
                                         case_of("same", "5..25") + ", " + case_of("other", "6..26") + "] }");
  EXPECT_EQ(test({"--update"}), 1);
  EXPECT_THAT(said(), HasSubstr("other: "));
  EXPECT_THAT(said(), HasSubstr("trip.rows has the rows that another test expects; give it a file of its own\n"));
  EXPECT_EQ(test({"--update"}), 1) << "now that it is there";
  EXPECT_EQ(test({"--filter", "same"}), 0) << said();
}

TEST_F(TestCommand, TellsWhatNoTestLooksAt) {
  ASSERT_EQ(test({"--update"}), 0) << said();
  EXPECT_EQ(test({"--coverage"}), 0);
  EXPECT_THAT(said(), HasSubstr("trip.json, 1 test\n"
                                "  port or sink       rows  expected in\n"
                                "  db                    2  1 test\n"
                                "  in                    3  no test\n"
                                "  rows                  2  no test\n"
                                "  rows.late             0  no test\n"
                                "  rows.sessions         1  no test\n"
                                "rows came through 4 of 5 ports and sinks, and 1 of 5 have rows expected\n"
                                "1 passed, 0 failed\n"));
}

TEST_F(TestCommand, ReportsForCI) {
  EXPECT_EQ(test({"--junit", directory_.file("out.xml")}), 1);
  EXPECT_THAT(content("out.xml"), HasSubstr("tests=\"1\" failures=\"1\""));
  ASSERT_EQ(test({"--update", "--junit", directory_.file("out.xml")}), 0);
  EXPECT_THAT(content("out.xml"), HasSubstr("name=\"rows in a file\"/>"));
  EXPECT_EQ(test({"--filter", "nobody"}), 64);
  EXPECT_THAT(said(), EndsWith("no test of that name\n"));
}

TEST_F(TestCommand, RunsAgainWhenAFileIsSaved) {
  ASSERT_EQ(test({"--update"}), 0) << said();
  directory_.write("log", "");
  fakes::WeirProcess watching{{"test", "--watch", directory_.file("trip.test.json")}, directory_.file("log")};
  const auto runs = [&](std::size_t times) {
    const Timestamp until = system_clock().steady() + 60 * second;
    std::size_t seen = 0;
    while (seen < times && system_clock().steady() < until) {
      system_clock().wait(20 * millisecond, {});
      seen = 0;
      const std::string text = said();
      for (auto at = text.find(" failed\n"); at != std::string::npos; at = text.find(" failed\n", at + 1)) ++seen;
    }
    return seen >= times;
  };
  ASSERT_TRUE(runs(1)) << said();
  directory_.write("trip.rows", "key tick speed\na 1s 10\na 2s 21\n");
  ASSERT_TRUE(runs(2)) << said();
  EXPECT_THAT(said(), HasSubstr("0 passed, 1 failed\n"));
  directory_.write("trip.rows", "key tick speed\na 1s 10\na 2s 20\n");
  EXPECT_TRUE(runs(3)) << said();
  watching.end(SIGINT);
}

}  // namespace
}  // namespace weir::integration
