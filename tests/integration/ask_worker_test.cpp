/// Lag, owners and progress of a pipeline, one of whose sinks only its own worker can look into.
#include <gmock/gmock.h>
#include <rapidjson/document.h>

#include "integration/job_fixture.hpp"
#include "integration/pages.hpp"

namespace weir::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class AskWorker : public Job {
 protected:
  /// Runs it, and makes the row of second 1 in the file.
  void begin(const std::string& more = "") {
    pipeline_ = directory_.write("fleet.json", weir::format(R"({{
  "name": "fleet", "limits": {{ "keys": 100 }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "encoding": "json" }},
    {{ "id": "rows", "transform": "window-join", "from": "signals", "every": "1s", "wait": "200ms" }},
    {}
    {{ "id": "file", "sink": "duckdb", "from": "rows", "path": "{}", "columns": {{ "speed": {{}} }} }} ] }})",
                                                            nats_.nats(), more, directory_.file("fleet.duckdb")));
    job_ = std::make_unique<fakes::WeirProcess>(
        std::vector<std::string>{"run", pipeline_, "--http", "127.0.0.1:0", "--worker", "vm-1"},
        directory_.file("job.log"));
    ASSERT_TRUE(job_->says("partition 0: ")) << job_->log();
    const std::string log = job_->log();
    constexpr std::string_view before = "http on port ";
    http_ = "127.0.0.1:" + std::to_string(std::stoi(log.substr(log.find(before) + before.size())));
    send(500 * millisecond, 10);
    send(1500 * millisecond, 20);
    Pages pages{*job_};
    pages.expect("/lag", HasSubstr(R"("messages":0,)"));
    pages.expect("/metrics", HasSubstr("\nweir_rows_total{pipeline=\"fleet\",node=\"file\"} 1\n"));
  }
  /// Exit code and all that is said.
  std::string said(std::vector<std::string> words) {
    words.insert(words.begin() + (words.front() == "progress" ? 2 : 1), pipeline_);
    fakes::WeirProcess command{words, directory_.file("command" + std::to_string(++commands_))};
    const int exit = command.wait();
    return std::to_string(exit) + " " + command.log();
  }
  rapidjson::Document json(std::vector<std::string> words) {
    words.insert(words.end(), {"--format", "json"});
    const std::string text = said(words);
    rapidjson::Document out;
    const std::size_t begin = text.find_first_of("[{", text.rfind('\n', text.size() - 2));  // the last line
    out.Parse(text.substr(std::min(begin, text.size())).c_str());
    EXPECT_TRUE(text.starts_with("0 ") && !out.HasParseError()) << text;
    return out;
  }

  std::string pipeline_, http_;
  int commands_ = 0;
};

TEST_F(AskWorker, AFileThatItHasOpenIsLookedIntoByTheWorkerAlone) {
  begin();
  for (const std::vector<std::string>& words : {std::vector<std::string>{"lag"}, {"owners"}, {"progress", "show"}}) {
    EXPECT_THAT(said(words), AllOf(testing::StartsWith("69 "), HasSubstr("is open in another process"),
                                   HasSubstr("--http [host]:port")));
  }
  EXPECT_THAT(said({"progress", "reset", "--yes"}), testing::StartsWith("69 "));
  const auto lag = json({"lag", "--http", http_});
  EXPECT_EQ(lag["messages"].GetUint64(), 0u);
  EXPECT_GE(lag["partitions"][0]["position"].GetUint64(), 2u);
  EXPECT_THAT(said({"lag", "--http", http_}), AllOf(HasSubstr("        0  nobody   "), HasSubstr("      all")));
  EXPECT_GE(json({"owners", "--http", http_})[0]["position"].GetUint64(), 2u);
  const auto progress = json({"progress", "show", "--http", http_});
  ASSERT_EQ(progress.Size(), 1u);
  EXPECT_STREQ(progress[0]["node"].GetString(), "file");
  EXPECT_GE(progress[0]["position"].GetUint64(), 2u);
  EXPECT_THAT(said({"progress", "show", "--http", http_}), HasSubstr("\nfile                 0  "));
  EXPECT_THAT(said({"lag", "--http", http_, "-s", "name=other"}), HasSubstr("runs fleet, not other"));
  EXPECT_THAT(said({"owners", "--http", http_, "-s", "name=other"}), HasSubstr("this worker runs fleet"));

  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  EXPECT_THAT(said({"lag"}), testing::StartsWith("0 "));
  EXPECT_THAT(said({"lag", "--http", http_}), HasSubstr("no worker answers on " + http_));
}

TEST_F(AskWorker, TheSinksThatAnswerAreAskedAndTheOthersNamed) {
  begin(weir::format(R"({{ "id": "db", "sink": "timescale", "from": "rows", "url": "{}", "table": "vehicle_second",
       "columns": {{ "speed": {{}} }} }},)",
                     database_.url()));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"lag"}, {"owners"}, {"progress", "show"}}) {
    EXPECT_THAT(said(words), AllOf(testing::StartsWith("0 "), HasSubstr(words.front() + ": file: "),
                                   HasSubstr("is open in another process"), HasSubstr("vm-1")));
  }
  const auto progress = json({"progress", "show", "--http", http_});
  ASSERT_EQ(progress.Size(), 2u) << "the worker can ask both";
  EXPECT_STREQ(progress[1]["node"].GetString(), "file");
  EXPECT_THAT(said({"progress", "show", "--http", http_, "--node", "db"}), Not(HasSubstr("\nfile ")));
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
  EXPECT_THAT(said({"progress", "reset", "--yes"}),
              AllOf(HasSubstr("db: forgot 1 partition\n"), HasSubstr("file: forgot 1 ")));
}

}  // namespace
}  // namespace weir::integration
