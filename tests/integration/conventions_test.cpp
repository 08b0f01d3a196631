/// What engine/README.md says that all commands have in common.
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <string>
#include <utility>
#include <vector>

#include <weir/format.hpp>

#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir {
namespace {

class Conventions : public testing::Test {
 protected:
  std::pair<int, std::string> weir(std::vector<std::string> arguments) {
    fakes::WeirProcess process{std::move(arguments), directory_.file("log" + std::to_string(++runs_))};
    const int exit = process.wait();
    return {exit, process.log()};
  }

  fakes::TemporaryDirectory directory_;
  int runs_ = 0;
};

TEST_F(Conventions, AMissingFileIs78WhereAPipelineIsExpectedAnd66Elsewhere) {
  const std::pair<std::vector<std::string>, int> cases[] = {
      {{"run", "none.json"}, 78},       {{"lint", "none.json"}, 78},
      {{"fmt", "none.json"}, 78},       {{"graph", "none.json"}, 78},
      {{"lag", "none.json"}, 78},       {{"progress", "show", "none.json"}, 78},
      {{"explain", "none.json"}, 78},   {{"info", "none.weir"}, 66},
      {{"test", "none.test.json"}, 66}, {{"replay", "none.weir", "pipelines/quickstart.json"}, 66},
  };
  for (const auto& [arguments, exit] : cases) {
    const auto [got, said] = weir(arguments);
    EXPECT_EQ(got, exit) << arguments.front() << ": " << said;
    EXPECT_TRUE(said.contains("none.")) << arguments.front() << " must name the file: " << said;
  }
}

TEST_F(Conventions, LevelsOfTheLogAreDebugInfoWarnError) {
  const std::string file = directory_.write("pipeline.json", R"({ "name": "p", "nodes": [
    { "id": "in", "source": "simulate", "for": "1s", "vehicles": 1, "encoding": "json" },
    { "id": "out", "sink": "timescale", "from": "in", "url": "postgresql://nobody@127.0.0.1:1/none", "table": "t" } ] })");
  for (const char* form : {"text", "json"}) {
    fakes::WeirProcess run{{"run", file, "-q", "--log", form}, directory_.file(form)};
    const bool json = std::string_view{form} == "json";
    EXPECT_TRUE(run.says(json ? R"("level":"warn")" : "Z warn ")) << run.log();
    run.end(SIGTERM);
    EXPECT_FALSE(run.log().contains("warning")) << run.log();
  }
}

TEST_F(Conventions, AChangeThatWouldBeRefusedIsAFinding) {
  const auto with_sink = [&](const char* name, const char* id) {
    return directory_.write(name, weir::format(R"({{ "name": "p", "nodes": [
      {{ "id": "in", "source": "simulate", "for": "1s", "vehicles": 1 }},
      {{ "id": "{}", "sink": "duckdb", "from": "in", "path": "rows.duckdb" }} ] }})",
                                               id));
  };
  const std::string before = with_sink("old.json", "db"), renamed = with_sink("new.json", "database");
  const auto [exit, said] = weir({"explain", renamed, "--diff", before});
  EXPECT_EQ(exit, 1) << said;
  EXPECT_TRUE(said.contains("is refused")) << said;
  EXPECT_EQ(weir({"explain", before, "--diff", before}).first, 0);
}

TEST_F(Conventions, DataIsPrintedAsJsonByFormat) {
  const std::string pipeline = "pipelines/quickstart.json";
  const std::string path = "db.path=" + directory_.file("q.duckdb");
  ASSERT_EQ(weir({"run", pipeline, "-s", path, "-q", "--log-level", "error"}).first, 0);
  const std::string tape = directory_.file("q.weir"), rows = directory_.file("q.parquet");
  ASSERT_EQ(weir({"record", "--pipeline", pipeline, "-o", tape, "--follow", "-q", "--log-level", "error"}).first, 0);
  const std::vector<std::vector<std::string>> commands = {
      {"list"},
      {"explain", pipeline},
      {"lint", pipeline},
      {"describe", "window-join"},
      {"describe", "nats"},
      {"describe", "metrics"},
      {"graph", pipeline},
      {"info", tape},
      {"test", "pipelines/quickstart.test.json", "--coverage"},
      {"test", "pipelines", "--list"},
      {"replay", tape, pipeline, "-q", "--log-level", "error", "--save", rows},
      {"replay", tape, pipeline, "-q", "--log-level", "error", "--diff", rows},
      {"progress", "show", pipeline, "-s", path},
      {"owners", pipeline, "-s", path},
      {"progress", "reset", pipeline, "-s", path, "--yes"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"--format", "json"});
    const auto [exit, said] = weir(command);
    EXPECT_EQ(exit, 0) << command.front() << ": " << said;
    rapidjson::Document document;
    EXPECT_FALSE(document.Parse(said.c_str()).HasParseError()) << command.front() << ": " << said;
  }
}

TEST_F(Conventions, WhatIsPrintedAsJsonIsWhatTheTextSays) {
  const auto json = [&](const std::vector<std::string>& words) {
    rapidjson::Document document;
    const std::string said = weir(words).second;
    EXPECT_FALSE(document.Parse(said.c_str()).HasParseError()) << said;
    return document;
  };
  const auto described = json({"describe", "nats", "--format", "json"});
  ASSERT_EQ(described.Size(), 2u) << "a source and a sink";
  EXPECT_STREQ(described[0]["role"].GetString(), "source");
  EXPECT_STREQ(described[0]["settings"][0]["name"].GetString(), "url");
  EXPECT_EQ(json({"describe", "test", "--format", "json"})[0]["text"].GetString(), weir({"describe", "test"}).second);
  const auto graph = json({"graph", "pipelines/quickstart.json", "--format", "json"});
  EXPECT_STREQ(graph["nodes"][3]["id"].GetString(), "db");
  EXPECT_STREQ(graph["nodes"][3]["from"][0].GetString(), "rows");
  const auto tested = json({"test", "pipelines/quickstart.test.json", "--format", "json"});
  EXPECT_EQ(tested["passed"].GetUint64(), tested["tests"].Size());
  EXPECT_TRUE(tested["tests"][0]["why"].IsNull());
  EXPECT_EQ(weir({"tap", "pipelines/quickstart.json:db", "--format", "table"}).first, 64);
}

TEST_F(Conventions, HelpAndTheVersionAreCommands) {
  const auto [exit, version] = weir({"version"});
  EXPECT_EQ(exit, 0);
  EXPECT_EQ(version, weir({"--version"}).second);
  EXPECT_EQ(weir({"help", "run"}), weir({"run", "--help"}));
  EXPECT_EQ(weir({"help"}), weir({"--help"}));
  EXPECT_EQ(weir({"help", "rnu"}).first, 64);
  for (const char* code : {"0 ", "1 ", "64 ", "66 ", "69 ", "70 ", "78 ", "141 "})
    EXPECT_TRUE(weir({"--help"}).second.contains(code)) << "exit code " << code;
}

}  // namespace
}  // namespace weir
