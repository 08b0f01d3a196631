/// pipelines/quickstart.json as the README shows it: no server, rows in one file, once whatever happens.
#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "sinks/duckdb/duckdb.hpp"

namespace weir::integration {
namespace {

class Quickstart : public testing::Test {
 protected:
  /// The command that writes this file; `length` of simulated time instead of the pipeline's. `before`: what starts it.
  std::unique_ptr<fakes::WeirProcess> run(const std::string& file, const std::string& length = {},
                                          std::vector<std::string> before = {}) const {
    std::vector<std::string> arguments{"run", "-q", std::string{WEIR_SOURCE_DIR} + "/pipelines/quickstart.json", "-e",
                                       directory_.write(file + ".env", "OUT=" + directory_.file(file) + "\n")};
    if (!length.empty()) arguments.insert(arguments.end(), {"-s", "signals.for=" + length});
    return std::make_unique<fakes::WeirProcess>(arguments, directory_.file("log"), std::move(before));
  }

  /// One value of a query.
  std::string ask(const std::string& file, const std::string& sql) const {
    auto opened = duck::File::open(directory_.file(file), 256u << 20);
    if (!opened) throw std::runtime_error{opened.error().message};
    const auto rows = opened->run(sql);
    if (!rows) throw std::runtime_error{rows.error().message};
    return rows->at(0).at(0).value_or("NULL");
  }
  std::string rows(const std::string& file) const { return ask(file, "SELECT count(*)::VARCHAR FROM vehicle_second"); }
  /// The same for the same rows in any order.
  std::string content(const std::string& file) const {
    return ask(file, "SELECT count(*)::VARCHAR || ' ' || sum(hash(v))::VARCHAR FROM vehicle_second v");
  }

  static std::string read(const std::string& path) {
    std::ifstream in{path};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

  static std::vector<std::string> names_in(const std::string& directory) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{directory}) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

  fakes::TemporaryDirectory directory_;
};

TEST_F(Quickstart, BeginsNothingThatItCanNotServe) {
  fakes::WeirProcess run{{"run", std::string{WEIR_SOURCE_DIR} + "/pipelines/quickstart.json", "-s",
                          "db.path=" + directory_.file("none"), "--http", "no.such.host.invalid:1"},
                         directory_.file("log")};
  EXPECT_EQ(run.wait(), 69);
  EXPECT_TRUE(run.log().contains("can't listen on no.such.host.invalid:1")) << run.log();
  EXPECT_FALSE(run.log().contains("starts")) << run.log();
}

TEST_F(Quickstart, DoesNotReadForEver) {
  fakes::WeirProcess lint{{"lint", "/dev/zero"}, directory_.file("log")};
  EXPECT_EQ(lint.wait(), 1);
  EXPECT_TRUE(lint.log().contains("/dev/zero: error: more than 16 MiB")) << lint.log();
}

TEST_F(Quickstart, WritesEachRowOnceHoweverOftenItRuns) {
  const auto ran = run("one");
  EXPECT_EQ(ran->wait(), 0);
  EXPECT_TRUE(ran->log().contains(" samples in, " + rows("one") + " rows out, 0 invalid, 0 dead letters kept\n"))
      << ran->log();
  EXPECT_GT(std::stoi(rows("one")), 4000);
  EXPECT_EQ(ask("one", "SELECT count(DISTINCT (key, time))::VARCHAR FROM vehicle_second"), rows("one"));
  EXPECT_EQ(ask("one", "SELECT count(DISTINCT key)::VARCHAR FROM vehicle_second"), "100");
  EXPECT_EQ(ask("one",
                "SELECT count(*)::VARCHAR FROM vehicle_second WHERE position_lat NOT BETWEEN 52 AND 53 OR "
                "speed NOT BETWEEN 0 AND 250 OR charge NOT BETWEEN 0 AND 100"),
            "0");
  EXPECT_EQ(ask("one",
                "SELECT (count(position_lat) > 0.9 * count(*) AND count(speed) > 0.9 * count(*) AND count(charge) > "
                "0.6 * count(*))::VARCHAR FROM vehicle_second"),
            "true");
  const std::string first = content("one");
  EXPECT_EQ(run("one")->wait(), 0);
  EXPECT_EQ(content("one"), first);
}

TEST_F(Quickstart, NeedsNoMoreThanOneProcessor) {
  EXPECT_EQ(run("two", "30m")->wait(), 0);
  cpu_set_t allowed;
  ASSERT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int one = 0;
  while (!CPU_ISSET(one, &allowed)) ++one;
  auto alone = run("one", "30m", {"taskset", "-c", std::to_string(one)});
  EXPECT_EQ(alone->wait(60 * second), 0) << alone->log();
  EXPECT_EQ(content("one"), content("two"));
}

TEST_F(Quickstart, ReloadsChangeNoRowAndNoCounterGoesBack) {
  directory_.write("paced.json", read(std::string{WEIR_SOURCE_DIR} + "/pipelines/quickstart.json"));
  const auto paced = [&](const std::string& file, const std::string& speed) {
    return std::make_unique<fakes::WeirProcess>(
        std::vector<std::string>{"run", "-q", directory_.file("paced.json"), "-e",
                                 directory_.write(file + ".env", "OUT=" + directory_.file(file) + "\n"), "-s",
                                 "signals.for=30s", "-s", "signals.start=2026-01-01T00:00:00Z", "-s",
                                 "signals.speed=" + speed},
        directory_.file(file + ".log"));
  };
  auto whole = paced("whole", "max");
  ASSERT_EQ(whole->wait(), 0) << whole->log();
  auto reloaded = paced("reloaded", "20x");
  ASSERT_TRUE(reloaded->says("partition 0: starts")) << reloaded->log();
  const std::string text = read(directory_.file("paced.json"));
  for (const std::string unit : {"km/h", "kmh", "km per hour"}) {
    system_clock().wait(400 * millisecond, {});
    std::string changed = text;
    directory_.write("paced.json", changed.replace(changed.find("km/h"), 4, unit));
    reloaded->send(SIGHUP);
    system_clock().wait(200 * millisecond, {});
  }
  EXPECT_EQ(reloaded->wait(), 0) << reloaded->log();
  EXPECT_THAT(reloaded->log(), testing::HasSubstr("reload: the new pipeline runs"));
  EXPECT_EQ(content("reloaded"), content("whole"));
  EXPECT_THAT(reloaded->log(), testing::HasSubstr(" db.rows " + rows("whole") + "\n"));
  EXPECT_THAT(reloaded->log(), testing::ContainsRegex(" rows.unconnected_rows.sessions. 100\n"));
}

TEST_F(Quickstart, AReloadSaysWhatTheChangeDoes) {
  std::string text = read(std::string{WEIR_SOURCE_DIR} + "/pipelines/quickstart.json");
  text.insert(text.find(R"("for": )"), R"("start": "2026-01-01T00:00:00Z", "speed": "10x", )");
  const auto with = [](std::string of, const std::string& from, const std::string& to) {
    return of.replace(of.find(from), from.size(), to);
  };
  const std::string path = directory_.write("job.json", text);
  fakes::WeirProcess job{{"run", "-q", path, "-e", directory_.write("env", "OUT=" + directory_.file("one") + "\n")},
                         directory_.file("log")};
  ASSERT_TRUE(job.says("partition 0: starts")) << job.log();
  system_clock().wait(second, {});
  directory_.write("job.json", with(text, R"("speed": {)", R"("torque": {}, "speed": {)"));
  job.send(SIGHUP);
  EXPECT_TRUE(job.says("still running the previous pipeline")) << job.log();
  EXPECT_THAT(job.log(), testing::HasSubstr(R"(reload: changed for the state: db.columns now asks rows for "torque")"));
  directory_.write("job.json", with(text, R"("id": "db")", R"("id": "out")"));
  job.send(SIGHUP);
  EXPECT_TRUE(job.says(" warn reload: out is refused: ")) << job.log();
  directory_.write("job.json", with(text, R"("id": "db")", R"("id": "out", "renamed_from": "db")"));
  job.send(SIGHUP);
  EXPECT_TRUE(job.says("reload: the new pipeline runs")) << job.log();
  EXPECT_THAT(job.log(), testing::HasSubstr(" warn reload: out is renamed: goes on with what \"db\" keeps"));
  job.end(SIGTERM);
}

TEST_F(Quickstart, TheKeyHasOneNameInTablesAndInJson) {
  ASSERT_EQ(run("one")->wait(), 0);
  EXPECT_EQ(ask("one",
                "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM "
                "information_schema.columns WHERE table_name = 'vehicle_second' AND ordinal_position < 3"),
            "key time");
  fakes::WeirProcess printed{
      {"run", "-q", "--log-level", "error", std::string{WEIR_SOURCE_DIR} + "/pipelines/quickstart.json", "-s",
       "db.sink=stdout", "-s", "db.path=null", "-s", "db.table=null"},
      directory_.file("printed")};
  ASSERT_EQ(printed.wait(), 0);
  EXPECT_TRUE(printed.log().starts_with("{\"key\":\"")) << printed.log().substr(0, 100);
}

TEST_F(Quickstart, AReloadAddsTheColumnsOfATableThatMayGrow) {
  std::string text = read(std::string{WEIR_SOURCE_DIR} + "/pipelines/quickstart.json");
  const auto with = [](std::string of, const std::string& before, const std::string& more) {
    return of.insert(of.find(before), more);
  };
  text = with(text, R"("for": )", R"("start": "2026-01-01T00:00:00Z", "speed": "20x", )");
  text = with(text, R"("session": )", R"("fields": ["position", "speed", "charge", "torque"], )");
  text = with(text, R"("table": )", R"("schema": "add-columns", )");
  const std::string env = directory_.write("env", "OUT=" + directory_.file("one") + "\n");
  fakes::WeirProcess job{{"run", "-q", directory_.write("job.json", text), "-e", env}, directory_.file("log")};
  ASSERT_TRUE(job.says("partition 0: starts")) << job.log();
  system_clock().wait(second, {});
  directory_.write("job.json", with(text, R"("speed": {)", R"("torque": {}, )"));
  job.send(SIGHUP);
  EXPECT_TRUE(job.says("reload: the new pipeline runs")) << job.log();
  EXPECT_THAT(job.log(), testing::HasSubstr(R"(added "torque")"));
  EXPECT_EQ(job.wait(), 0) << job.log();
  EXPECT_EQ(ask("one", "SELECT (count(torque) BETWEEN 1000 AND count(*) - 100)::VARCHAR FROM vehicle_second"), "true");
  EXPECT_EQ(ask("one", "SELECT count(DISTINCT (key, time))::VARCHAR FROM vehicle_second"), rows("one"));
}

TEST_F(Quickstart, EndsQuietlyWhenNobodyReadsWhatItPrints) {
  const std::string command = "set -o pipefail; " WEIR_BUILD_DIR "/weir run -q " WEIR_SOURCE_DIR
                              "/pipelines/quickstart.json -s db.sink=stdout -s db.path=null -s db.table=null 2>" +
                              directory_.file("err") + " | head -n 3 >" + directory_.file("out") + "; echo $? >>" +
                              directory_.file("out");
  ASSERT_EQ(std::system(("timeout 60 bash -c '" + command + "'").c_str()), 0);
  const std::string out = read(directory_.file("out"));
  EXPECT_EQ(std::ranges::count(out, '\n'), 4) << out;
  EXPECT_TRUE(out.ends_with("\n141\n")) << out;
  const std::string said = read(directory_.file("err"));
  EXPECT_THAT(said, testing::HasSubstr(" info the reader of standard output has closed it: ending\n"));
  EXPECT_THAT(said, testing::Not(testing::AnyOf(testing::HasSubstr("weir: "), testing::HasSubstr(" warn"))));
}

TEST_F(Quickstart, NeverLogsIntoItsFile) {
  int number = 0;
  for (const std::string closed : {"2>&-", ">&-", "<&- >&- 2>&-"}) {
    const std::string file = "rows" + std::to_string(++number);
    const std::string command =
        "OUT=" + directory_.file(file) +
        " " WEIR_BUILD_DIR "/weir run " WEIR_SOURCE_DIR "/pipelines/quickstart.json -s signals.for=5s " + closed;
    EXPECT_EQ(std::system(command.c_str()), 0) << closed;
    EXPECT_GT(std::stoi(rows(file)), 100) << closed;
  }
}

TEST_F(Quickstart, SaysWhenWhatItPrintsFindsNoRoom) {
  const std::string file = WEIR_SOURCE_DIR "/pipelines/quickstart.json";
  for (const std::string& command : {std::string{"list"}, std::string{"describe nats"}, std::string{"schema"},
                                     "explain " + file, "graph " + file, "fmt - <" + file, std::string{"--help"},
                                     "run -q " + file + " -s db.sink=stdout -s db.path=null -s db.table=null"}) {
    const int status =
        std::system((WEIR_BUILD_DIR "/weir " + command + " >/dev/full 2>" + directory_.file("err")).c_str());
    EXPECT_EQ(WEXITSTATUS(status), 70) << command;
    EXPECT_THAT(read(directory_.file("err")), testing::HasSubstr("standard output takes no more")) << command;
  }
}

TEST_F(Quickstart, FormatsAFileWholeOrNotAtAll) {
  const std::string text = "{\"name\":\"p\",\"nodes\":[]}";
  const std::string file = directory_.write("p.json", text);
  // No file may grow, as on a disk that is full.
  const int status =
      std::system(("trap '' XFSZ; said=$(ulimit -f 0; " WEIR_BUILD_DIR "/weir fmt " + file +
                   " 2>&1 >/dev/null); code=$?; printf %s \"$said\" >" + directory_.file("said") + "; exit $code")
                      .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_EQ(read(directory_.file("said")), file + ": error: can't write the file: File too large");
  EXPECT_EQ(read(file), text);
  EXPECT_THAT(names_in(directory_.path()), testing::ElementsAre("p.json", "said")) << "nothing is left behind";
}

TEST_F(Quickstart, FormatsTheFileThatASymlinkNamesAndNothingBesideIt) {
  namespace fs = std::filesystem;
  const std::string text = "{\"name\":\"p\",\"nodes\":[]}";
  fs::create_directory(directory_.file("kept"));
  const std::string file = directory_.write("kept/p.json", text);
  const std::string link = directory_.file("p.json");
  fs::create_symlink("kept/p.json", link);
  for (const std::string& taken : {file + ".fmt", link + ".fmt"}) std::ofstream{taken} << "somebody's";
  for (const auto mode : {fs::perms{0600}, fs::perms{0640}, fs::perms{0666}}) {
    std::ofstream{file} << text;
    fs::permissions(file, mode);
    ASSERT_EQ(std::system((WEIR_BUILD_DIR "/weir fmt " + link + " >/dev/null").c_str()), 0);
    EXPECT_NE(read(file), text);
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_EQ(fs::status(file).permissions(), mode);
  }
  for (const std::string& taken : {file + ".fmt", link + ".fmt"}) EXPECT_EQ(read(taken), "somebody's");
  EXPECT_THAT(names_in(directory_.path()), testing::ElementsAre("kept", "p.json", "p.json.fmt"));
  EXPECT_THAT(names_in(directory_.file("kept")), testing::ElementsAre("p.json", "p.json.fmt"));
}

TEST_F(Quickstart, FormatsOfAFolderWhatIsOursAlone) {
  std::filesystem::create_directory(directory_.file("folder"));
  const std::string folder = directory_.file("folder"), other = "{\"name\":\"x\",\"version\":\"1\"}";
  const std::string file = directory_.write("folder/p.json", "{\"name\":\"p\",\"nodes\":[]}");
  const std::string cases = directory_.write("folder/p.test.json", "{\"tests\":[]}");
  const std::string package = directory_.write("folder/package.json", other);
  const std::string list = directory_.write("folder/list.json", "[1,2");
  for (const std::string& each : {folder, folder + "/..."})
    EXPECT_EQ(std::system((WEIR_BUILD_DIR "/weir fmt " + each + " >/dev/null").c_str()), 0);
  EXPECT_NE(read(file), "{\"name\":\"p\",\"nodes\":[]}");
  EXPECT_NE(read(cases), "{\"tests\":[]}");
  EXPECT_EQ(read(package), other);
  EXPECT_EQ(read(list), "[1,2");
  ASSERT_EQ(std::system((WEIR_BUILD_DIR "/weir fmt " + package + " >/dev/null").c_str()), 0);
  EXPECT_NE(read(package), other) << "it was named by itself";
}

TEST_F(Quickstart, GoesOnWhereItWasKilled) {
  EXPECT_EQ(run("whole", "2h")->wait(), 0);
  auto broken = run("broken", "2h");
  int kills = 0;
  for (int patience = 0; broken->runs() && patience < 100; ++patience) {
    system_clock().wait(400 * millisecond, {});
    if (!broken->runs()) break;
    ++kills;
    broken->end(SIGKILL);
    broken->start();
    if (kills < 3) continue;
    EXPECT_EQ(broken->wait(), 0) << broken->log();
  }
  EXPECT_GT(kills, 0) << "it was too fast to be killed";
  EXPECT_EQ(content("broken"), content("whole"));
}

}  // namespace
}  // namespace weir::integration
