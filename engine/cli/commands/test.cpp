/// weir test: runs the cases that stand beside pipelines and operators, under virtual time; see core/cases.hpp.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include <weir/format.hpp>

#include "cli/command.hpp"
#include "cli/conformance.hpp"
#include "cli/example.hpp"
#include "cli/log.hpp"
#include "cli/test_report.hpp"
#include "cli/watch.hpp"
#include "core/testing/case_feed.hpp"
#include "core/testing/cases.hpp"

namespace weir::cli {
namespace {

struct TestOptions {
  std::vector<std::string> paths;
  std::string filter, junit;
  std::string format = "text";
  bool list = false;
  bool watch = false;
  bool update = false;
  bool coverage = false;
  bool conformance = false;
};

bool is_case_file(std::string_view name) { return name.ends_with(".test.json"); }

/// Answers why that failed, as a line; empty if it did not.
std::string write_file(const std::string& path, const std::string& text) {
  if ((std::ofstream{path} << text).flush()) return {};
  return weir::format("{}: error: can't write the file\n", path);
}

/// One that has nothing yet, or never ends, would keep the tests waiting.
std::optional<std::string> read_regular(const std::string& path) {
  std::error_code problem;
  return std::filesystem::is_regular_file(path, problem) ? read_file(path) : std::nullopt;
}

class Testing {
 public:
  Testing(const TestOptions& options, const Registry& registry)
      : report{options.format == "json"}, options_{options}, registry_{registry} {
    around_ = {read_regular, recorded_messages, environment_variable, options.update};
  }

  void file(const std::string& file) {
    ++files;
    const auto text = read_regular(file);
    if (!text) {
      missing = true;
      return unreadable(file, file + ": error: " + why_unreadable(file) + "\n");
    }
    const ReadCases read = read_cases(*text, file, registry_, around_);
    if (!read.file) return unreadable(file, render(read.findings, Format::text));
    if (read.file->cases.empty()) return report.file_failed(file, file + ": error: no tests\n");
    for (const Case& one : read.file->cases) {
      pipelines_.push_back(one.pipeline);
      if (!one.name.contains(options_.filter)) continue;
      if (options_.list) {
        list(weir::format("{}:{}", file, one.place.begin.line), one.name);
      } else {
        run(file, read.file->pipeline, one);
      }
    }
  }

  /// The rules for one operator, and that a case of the files so far shows what it does if it is a transform or a
  /// codec.
  void conformance(const OperatorName& name) {
    const std::string shown = weir::format("{} {}", to_string(name.role), name.name);
    auto rules = conformance_of(registry_, name);
    if (name.role == Role::transform || name.role == Role::codec) {
      KeptRule& rule = rules.emplace_back("has a test");
      if (!any_unreadable_ &&
          std::ranges::none_of(pipelines_, [&](const auto& pipeline) { return uses(*pipeline, name); }))
        rule.broken.emplace_back("no *.test.json there has a pipeline with it");
    }
    for (const KeptRule& rule : rules) {
      if (!rule.rule.contains(options_.filter)) continue;
      if (options_.list)
        list(shown, std::string{rule.rule});
      else
        report.kept(shown, rule);
    }
  }

  /// What --list names: where each test stands, and its name.
  void write_listed(JsonWriter& out) const {
    out.array([&] {
      for (const auto& [place, name] : listed_) {
        out.object([&] {
          out.text("place", place);
          out.text("name", name);
        });
      }
    });
  }

  Report report;
  Coverage coverage;
  std::size_t files = 0;
  bool missing = false;  ///< one of them

 private:
  void list(const std::string& place, const std::string& name) {
    if (options_.format == "json")
      listed_.emplace_back(place, name);
    else
      std::cout << weir::format("{}: {}\n", place, name);
  }

  void unreadable(const std::string& file, const std::string& why) {
    any_unreadable_ = true;
    report.file_failed(file, why);
  }

  void run(const std::string& file, const std::string& pipeline, const Case& one) {
    CaseResult result = run_case(one, registry_);
    if (options_.update && !result.updates.empty()) {
      if (const std::string problem = update(result); !problem.empty()) return report.file_failed(file, problem);
      // What is written now must hold in every variation, too.
      return again(file, pipeline, one.name);
    }
    if (options_.update) update(one);
    ran(file, pipeline, result);
  }

  /// The files of rows that a case has found right.
  void update(const Case& one) {
    std::vector<CaseExpectation> all = one.expect;
    for (const CaseStep& step : one.script) all.append_range(step.expect);
    for (const CaseExpectation& expectation : all) {
      if (!expectation.file.empty()) updated_.try_emplace(expectation.file, read_file(expectation.file).value_or(""));
    }
  }

  void ran(const std::string& file, const std::string& pipeline, const CaseResult& result) {
    coverage.add(pipeline, result);
    report.ran(file, result);
    if (options_.format == "text" && options_.update &&
        std::ranges::any_of(result.failures, &CaseResult::Failure::rows_in_text))
      std::cout << "  --update writes only rows that stand in a file, as \"rows\": \"day.rows\"; those in the test "
                   "itself are yours to change\n";
  }

  /// Files that several tests share must be right for all of them.
  std::string update(const CaseResult& result) {
    for (const CaseResult::Update& each : result.updates) {
      const auto [updated, is_new] = updated_.try_emplace(each.file, each.text);
      if (updated->second != each.text)
        return weir::format("{}: {} has the rows that another test expects; give it a file of its own\n", result.name,
                            each.file);
      if (!is_new) continue;
      if (auto problem = write_file(each.file, each.text); !problem.empty()) return problem;
      (options_.format == "json" ? std::cerr : std::cout) << each.file << ": written\n";
    }
    return {};
  }

  void again(const std::string& file, const std::string& pipeline, const std::string& name) {
    const ReadCases read = read_cases(read_file(file).value_or(""), file, registry_, around_);
    if (!read.file) return report.file_failed(file, render(read.findings, Format::text));
    for (const Case& one : read.file->cases) {
      if (one.name != name) continue;
      ran(file, pipeline, run_case(one, registry_));
    }
  }

  const TestOptions& options_;
  const Registry& registry_;
  CaseSurroundings around_;
  std::map<std::string, std::string> updated_;  // files of rows, as they are to be
  bool any_unreadable_ = false;
  std::vector<std::pair<std::string, std::string>> listed_;
  std::vector<std::shared_ptr<const Pipeline>> pipelines_;  ///< of the cases
};

/// The operators that must keep the rules: those of libraries; where none was loaded, all.
std::vector<OperatorName> examined(const Session& session) {
  if (!session.plugged.empty()) return session.plugged;
  std::vector<OperatorName> all;
  for (const Role role : all_roles) {
    for (const auto name : session.registry.names(role)) all.push_back({role, std::string{name}});
  }
  return all;
}

void print_json(const Testing& testing, const TestOptions& options, bool listed) {
  JsonWriter out;
  if (listed) {
    testing.write_listed(out);
  } else {
    out.object([&] {
      out.number("passed", testing.report.passed);
      out.number("failed", testing.report.failed);
      testing.report.write(out);
      if (options.coverage) testing.coverage.write(out);
    });
  }
  std::cout << out.result() << '\n';
}

void print_totals(const Testing& testing, const TestOptions& options) {
  if (options.coverage) testing.coverage.print();
  std::cout << weir::format("{} passed, {} failed\n", testing.report.passed, testing.report.failed);
}

int test(const TestOptions& options, const Session& session) {
  set_up_log("text", "error");  // what a test has go wrong is no news
  Testing testing{options, session.registry};
  for (const std::string& path : options.paths) {
    for (const std::string& file : files_of(path, is_case_file)) testing.file(file);
  }
  if (options.conformance)
    std::ranges::for_each(examined(session), [&](const auto& name) { testing.conformance(name); });
  const Report& report = testing.report;
  if (!options.junit.empty() && !write_file(options.junit, report.junit()).empty()) {
    std::cerr << "weir test: can't write " << options.junit << "\n";
    return usage;
  }
  const bool listed = options.list && report.failed == 0;
  if (options.format == "json")
    print_json(testing, options, listed);
  else if (!listed)
    print_totals(testing, options);
  if (listed) return fine;
  if (report.passed + report.failed == 0) {
    std::cerr << (testing.files == 0 ? "weir test: no *.test.json there\n" : "weir test: no test of that name\n");
    return usage;
  }
  if (testing.missing) return no_input;
  return report.failed == 0 ? fine : findings;
}

}  // namespace

void add_test(Arguments& program, Session& session) {
  auto options = std::make_shared<TestOptions>();
  auto command = program.command("test", "runs the tests beside pipelines and operators, in virtual time");
  command.needs("paths", options->paths, "*.test.json files, folders, or folder/...");
  command.option("--filter", options->filter, "only tests whose names contain this");
  command.option("--junit", options->junit, "writes the results to this file as JUnit XML");
  command.choice("--format", options->format, {"text", "json"}, "JSON: an object with an array of tests");
  command.flag("--conformance", options->conformance,
               "also what every operator must do: those of --plugin; without, all");
  command.flag("--list", options->list, "names the tests and runs none");
  command.flag("--update", options->update, "writes the files of expected rows that differ, with what came out");
  command.flag("--coverage", options->coverage, "tells what came through each port and sink, and who looks at it");
  command.flag("--watch", options->watch, "again whenever a file in their folders is saved");
  command.does([options, &session] {
    if (options->watch) watch(options->paths, [&] { (void)test(*options, session); });
    session.exit = test(*options, session);
  });
}

}  // namespace weir::cli
