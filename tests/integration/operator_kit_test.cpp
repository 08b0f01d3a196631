/// Operators outside weir's own tree, as their authors make them: installed headers, CMake, a library, `--plugin`.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <weir/format.hpp>

#include "fakes/temporary_directory.hpp"

namespace weir::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string text_of(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// The compiler of this build, which libraries need too.
std::string compiler() {
  const std::string cache = text_of(WEIR_BUILD_DIR "/CMakeCache.txt"), name = "\nCMAKE_CXX_COMPILER:";
  const auto begin = cache.find('=', cache.find(name)) + 1;
  return cache.substr(begin, cache.find('\n', begin) - begin);
}

/// What a program said, on both channels, and its exit code.
struct Said {
  std::string text;
  int exit = 0;
};

/// An author's home, with weir installed in it where that was done.
class OperatorKit : public testing::Test {
 protected:
  Said run(const std::string& script) const {
    const std::string log = home_.file("log");
    const std::string command =
        weir::format("cd {0} && HOME={0} CXX={1} PATH={0}/weir/bin:$PATH bash {2} >{3} 2>&1 </dev/null", home_.path(),
                     compiler(), home_.write("script", script), log);
    const int status = std::system(command.c_str());
    return {text_of(log), WIFEXITED(status) ? WEXITSTATUS(status) : -1};
  }
  void install() const {
    const Said said = run("cmake --install " WEIR_BUILD_DIR " --prefix ~/weir");
    ASSERT_EQ(said.exit, 0) << said.text;
  }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path{home_.file(path)}.parent_path());
    home_.write(path, text);
  }

  fakes::TemporaryDirectory home_;
};

// --- The page
// ------------------------------------------------------------------------------------------------------------

/// One command of a page, and what the page says that it prints.
struct Command {
  std::string line;
  std::vector<std::string> output;
};

/// A page as a script: its listings are files, its commands are typed one after the other.
class Page {
 public:
  explicit Page(const std::string& text) {
    for (auto at = text.find("\n```"); at != std::string::npos;) {
      const auto head = text.find('\n', at + 1), end = text.find("\n```\n", head);
      take(text.substr(at + 4, head - at - 4), text.substr(head + 1, end - head));
      at = text.find("\n```", end + 4);
    }
  }

  static constexpr const char* separator = "\x1e\n";
  std::string script;
  std::vector<Command> commands;
  std::size_t listings = 0;

 private:
  /// "console", "json FILE", or "cpp FILE LINE": what goes in the place of a line of it.
  void take(const std::string& what, const std::string& text) {
    if (what == "console") return take_commands(text);
    const auto blank = what.find(' ');
    ASSERT_NE(blank, std::string::npos) << "a listing of no file: " << what;
    const std::string file = what.substr(blank + 1, what.find(' ', blank + 1) - blank - 1);
    const std::string line = what.substr(std::min(what.size(), blank + file.size() + 2));
    std::string& whole = files_[file];
    if (line.empty()) {
      whole = text;
    } else {
      const auto at = whole.find("  " + line + "\n");
      ASSERT_NE(at, std::string::npos) << file << " has no line " << line;
      whole.replace(at, line.size() + 3, text);
    }
    script += weir::format("cat >{} <<'END OF {}'\n{}END OF {}\n", file, file, whole, file);
    ++listings;
  }

  void take_commands(const std::string& text) {
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("$ ")) {
        commands.push_back({line.substr(2), {}});
        script += weir::format("printf '\\x1e\\n'\n{}\n", commands.back().line);
      } else {
        ASSERT_FALSE(commands.empty()) << line;
        commands.back().output.push_back(line);
      }
    }
  }

  std::map<std::string, std::string> files_;
};

/// Whether a line is what the page shows, where "…" stands for anything.
bool matches(std::string_view shown, std::string_view line) {
  constexpr std::string_view anything = "…";
  const auto gap = shown.find(anything);
  if (gap == std::string_view::npos) return shown == line;
  if (!line.starts_with(shown.substr(0, gap))) return false;
  for (std::size_t at = gap; at <= line.size(); ++at) {
    if (matches(shown.substr(gap + anything.size()), line.substr(at))) return true;
  }
  return false;
}

using Lines = std::span<const std::string>;

/// The same for lines, of which "…" alone stands for any.
bool matches(Lines shown, Lines lines) {
  if (shown.empty()) return lines.empty();
  if (shown[0] != "…")
    return !lines.empty() && matches(shown[0], lines[0]) && matches(shown.subspan(1), lines.subspan(1));
  for (std::size_t skipped = 0; skipped <= lines.size(); ++skipped) {
    if (matches(shown.subspan(1), lines.subspan(skipped))) return true;
  }
  return false;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST_F(OperatorKit, IsWhatThePageSays) {
  std::string text = text_of(WEIR_SOURCE_DIR "/operators/AUTHORING.md");
  const std::string build = "--install build/release";
  text.replace(text.find(build), build.size(), "--install " WEIR_BUILD_DIR);
  const Page page{text};
  ASSERT_GT(page.commands.size(), 10u);
  ASSERT_GT(page.listings, 3u);
  const Said said = run(page.script);
  std::string rest = said.text;
  for (const Command& command : page.commands) {
    const auto begin = rest.find(Page::separator);
    ASSERT_NE(begin, std::string::npos) << command.line;
    rest.erase(0, begin + 2);
    const std::string output = rest.substr(0, rest.find(Page::separator));
    EXPECT_TRUE(matches(command.output, lines_of(output))) << "$ " << command.line << "\n" << output;
  }
}

// --- Every role
// ----------------------------------------------------------------------------------------------------------

constexpr const char* lists = R"(cmake_minimum_required(VERSION 3.28)
project(mine LANGUAGES CXX)
find_package(weir REQUIRED)
weir_add_plugin(every transforms/every-second.cpp sources/numbers.cpp sinks/lines.cpp codecs/my-lines.cpp)
weir_add_plugin(taken transforms/filter.cpp)
weir_add_plugin(throws transforms/throws.cpp)
weir_add_plugin(early transforms/early.cpp)
weir_add_plugin(misplaced sinks/misplaced.cpp)
weir_add_plugin(careless transforms/careless.cpp)
weir_add_plugin(misnamed transforms/misnamed.cpp)
set_property(TARGET misnamed PROPERTY EXCLUDE_FROM_ALL ON)
)";

/// A transform that passes everything on; `spec` is how it gets its Spec, in C++.
std::string passing(const std::string& name, const std::string& spec, const std::string& folder = "transforms") {
  return weir::format(R"(#include <stdexcept>
#include <weir/operator.hpp>
namespace {{
using namespace weir;
struct Pass final : Transform {{
  explicit Pass(const Settings&) {{}}
  Result<Schemas> bind_schema(const Schemas& inputs) override {{ return inputs; }}
  Result<void> process(Port, const BatchPtr& in, Output& out) override {{ out.emit(in); return {{}}; }}
}};
Spec spec_of(bool throws) {{
  if (throws) throw std::runtime_error{{"no Spec today"}};
  return Spec::transform("passes rows on");
}}
{}
}}  // namespace
WEIR_OPERATOR({}, {}, Pass, spec())
)",
                      spec, folder, name);
}

TEST_F(OperatorKit, BuildsTestsAndRunsEveryRoleAndRefusesWhatDoesNotFit) {
  install();
  write("mine/CMakeLists.txt", lists);
  const std::string usual = "Spec spec() { return spec_of(false); }";
  for (const auto& [name, spec] :
       {std::pair{"filter", usual}, std::pair{"careless", usual},
        std::pair{"throws", std::string{"Spec spec() { return spec_of(true); }"}},
        std::pair{"early", std::string{"const Spec kept = spec_of(true); Spec spec() { return kept; }"}}})
    write(weir::format("mine/transforms/{}.cpp", name), passing(name, spec));
  write("mine/transforms/misnamed.cpp", passing("other_name", usual));
  write("mine/sinks/misplaced.cpp", passing("misplaced", usual, "sinks"));
  write("mine/pipeline.json", R"({ "name": "every", "nodes": [
    { "id": "numbers", "source": "numbers", "count": 6, "encoding": { "codec": "my-lines", "separator": "=" } },
    { "id": "some", "transform": "every-second", "from": "numbers", "least": 3 },
    { "id": "out", "sink": "lines", "from": "some", "path": "rows.jsonl" } ] })");

  // What `weir new` writes is all that the first library holds; its source speaks the codec's language.
  const Said built = run(R"(set -e; cd mine
for each in transform/every-second source/numbers sink/lines codec/my-lines; do weir new operator $each; done
sed -i 's/emplace_back(std::to_string(last_))/emplace_back("count=" + std::to_string(last_))/' sources/numbers.cpp
cmake -B build -G Ninja
cmake --build build)");
  ASSERT_EQ(built.exit, 0) << built.text;
  EXPECT_THAT(built.text, AllOf(Not(HasSubstr("warning")), HasSubstr("wrote  sinks/lines.cpp\n"),
                                HasSubstr("next   name sinks/lines.cpp in weir_add_plugin(…)")));
  EXPECT_EQ(run("cd mine; weir test --conformance --plugin build/every.so .").text, "24 passed, 0 failed\n");
  const Said everywhere = run(R"(cd mine
for each in 'list sinks' 'describe every-second' 'lint pipeline.json' 'explain pipeline.json' 'graph pipeline.json' \
    'fmt pipeline.json' schema 'test transforms'; do
  for command in "--plugin build/every.so $each" "$each --plugin build/every.so"; do
    weir $command >out 2>&1 || { echo "$command: $?"; cat out; }
    [[ $each != s* && $each != d* ]] || grep -q every-second out || echo "$command does not know it"
  done
done)");
  EXPECT_EQ(everywhere.text, "");
  const Said ran = run("cd mine; weir run -q --plugin=build/every.so pipeline.json; cut -d, -f1-4 rows.jsonl");
  EXPECT_EQ(ran.exit, 0) << ran.text;
  EXPECT_THAT(ran.text, AllOf(HasSubstr("6 messages with 6 samples in, 4 rows out, 0 invalid"),
                              HasSubstr(R"({"key":"one","field":"count","time":"2026-01-01T00:00:03Z","x":3)")));

  // The rules are told apart from the cases, and fail.
  const Said careless =
      run("cd mine; mkdir none; weir test --conformance --plugin build/careless.so --junit junit.xml none");
  EXPECT_EQ(careless.exit, 1);
  EXPECT_THAT(
      careless.text,
      AllOf(HasSubstr("transform careless: failed: has examples that lint clean and are made without connecting\n"
                      "  there is no example\n"),
            HasSubstr("transform careless: failed: has a test\n"), HasSubstr("4 passed, 2 failed\n")));
  EXPECT_THAT(text_of(home_.file("mine/junit.xml")), HasSubstr(R"(name="has a test"><failure>)"));

  const auto refused = [&](const std::string& plugins) {
    const Said said = run("cd mine; weir list " + plugins);
    EXPECT_EQ(said.exit, 64) << said.text;
    return said.text;
  };
  EXPECT_EQ(refused("--plugin build/taken.so"),
            "weir: --plugin build/taken.so: transforms/filter: there is a transform \"filter\" already, weir's own; "
            "give the file another name\n");
  EXPECT_EQ(refused("--plugin build/throws.so"),
            "weir: --plugin build/throws.so: transforms/throws: its Spec threw: no Spec today\n");
  EXPECT_EQ(refused("--plugin build/early.so"),
            "weir: --plugin build/early.so: an object in it, such as a Spec, threw while the library was loaded: "
            "no Spec today\n");
  EXPECT_EQ(refused("--plugin build/misplaced.so"),
            "weir: --plugin build/misplaced.so: sinks/misplaced: its Spec is a transform's, its folder a sink's\n");
  EXPECT_EQ(refused("--plugin build/every.so --plugin ./build/../build/every.so"),
            "weir: --plugin ./build/../build/every.so: given twice, also as build/every.so\n");
  EXPECT_THAT(
      refused("; cp build/every.so copy.so; weir list --plugin build/every.so --plugin copy.so"),
      HasSubstr("weir: --plugin copy.so: transforms/every-second: there is a transform \"every-second\" already, "
                "in build/every.so; give the file another name\n"));

  // Of a library for another weir nothing runs: this one would throw.
  EXPECT_THAT(
      refused("; sed 's/(API ./(API z/' build/early.so >old.so; weir list --plugin old.so"),
      AllOf(HasSubstr("old.so: built for another weir than this, so it is not loaded\n  it was built for  weir "),
            HasSubstr(" (API z"), HasSubstr("\n  this program is   weir "), Not(HasSubstr("threw"))));

  const Said misnamed = run("cd mine; cmake --build build --target misnamed");
  EXPECT_NE(misnamed.exit, 0);
  EXPECT_THAT(misnamed.text, HasSubstr("weir_operator_transforms_misnamed"));
}

// --- weir new
// ------------------------------------------------------------------------------------------------------------

TEST_F(OperatorKit, NewTouchesNothingThatIsThere) {
  const std::string weir = WEIR_BUILD_DIR "/weir ";
  write("mine/keep", "mine");
  Said said = run(weir + "new operator transform/mine");
  EXPECT_EQ(said.exit, 64);
  EXPECT_EQ(said.text, "weir new operator transform/mine: mine is there already, and nothing in it is touched\n");
  said = run(weir + "new operator transform/filter");
  EXPECT_EQ(said.exit, 64);
  EXPECT_THAT(said.text, HasSubstr("weir has a transform of that name: weir describe filter"));

  // In a checkout the file goes beside the others.
  fs::create_directories(home_.file("operators/transforms"));
  fs::create_directories(home_.file("engine/api/weir"));
  home_.write("engine/api/weir/operator.hpp", "");
  said = run(weir + "new operator transform/mine");
  EXPECT_EQ(said.exit, 0);
  EXPECT_THAT(said.text, AllOf(StartsWith("wrote  operators/transforms/mine.cpp\n"),
                               HasSubstr("build/release/weir_tests --gtest_filter='*/transform_mine'\n")));
  write("operators/sinks/mine.test.json", "mine");
  said = run(weir + "new operator sink/mine");
  EXPECT_EQ(said.exit, 64);
  EXPECT_THAT(said.text, HasSubstr("operators/sinks/mine.test.json is there already, and is not touched"));
  EXPECT_FALSE(fs::exists(home_.file("operators/sinks/mine.cpp")));
  EXPECT_EQ(text_of(home_.file("operators/sinks/mine.test.json")), "mine");
  EXPECT_EQ(text_of(home_.file("mine/keep")), "mine");
}

}  // namespace
}  // namespace weir::integration
