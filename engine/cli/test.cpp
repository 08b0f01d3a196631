/// weir test: runs the cases that stand beside pipelines and operators, under virtual time; see core/cases.hpp.
#include <fstream>
#include <iostream>

#include <weir/format.hpp>

#include "cli/command.hpp"
#include "cli/watch.hpp"
#include "core/cases.hpp"

namespace weir::cli {
namespace {

struct TestOptions {
  std::vector<std::string> paths;
  std::string filter, junit;
  bool list = false;
  bool watch = false;
};

bool is_case_file(std::string_view name) { return name.ends_with(".test.json"); }

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// What became of the cases of all files; as JUnit's XML, which every CI shows.
class Report {
 public:
  std::size_t passed = 0, failed = 0;

  void file_failed(const std::string& file, const std::string& why) {
    std::cout << why;
    note(file, "can be read", why);
  }

  void ran(const std::string& file, const CaseResult& result) {
    const std::string why = render(result, file);
    std::cout << why;
    note(file, result.name, why);
  }

  std::string junit() const {
    return weir::format(
        "<testsuites>\n<testsuite name=\"weir\" tests=\"{}\" failures=\"{}\">\n{}</testsuite>\n</testsuites>\n",
        passed + failed, failed, cases_);
  }

 private:
  void note(const std::string& file, const std::string& name, const std::string& why) {
    ++(why.empty() ? passed : failed);
    cases_ += weir::format("<testcase classname=\"{}\" name=\"{}\"", escaped(file), escaped(name));
    cases_ += why.empty() ? "/>\n" : weir::format("><failure>{}</failure></testcase>\n", escaped(why));
  }

  std::string cases_;
};

void test_file(const std::string& file, const TestOptions& options, const Registry& registry, Report& report) {
  const auto text = read_file(file);
  if (!text) return report.file_failed(file, file + ": error: can't read the file\n");
  const ReadCases read = read_cases(*text, file, registry, read_file, environment_variable);
  if (!read.file) return report.file_failed(file, render(read.findings, Format::text));
  if (read.file->cases.empty()) return report.file_failed(file, file + ": error: no tests\n");
  for (const Case& one : read.file->cases) {
    if (!one.name.contains(options.filter)) continue;
    if (options.list) {
      std::cout << weir::format("{}:{}: {}\n", file, one.place.begin.line, one.name);
    } else {
      report.ran(file, run_case(*read.file, one, registry));
    }
  }
}

int test(const TestOptions& options, const Registry& registry) {
  Report report;
  std::size_t files = 0;
  for (const std::string& path : options.paths) {
    for (const std::string& file : files_of(path, is_case_file)) {
      ++files;
      test_file(file, options, registry, report);
    }
  }
  if (!options.junit.empty() && !(std::ofstream{options.junit} << report.junit()).flush()) {
    std::cerr << "weir test: can't write " << options.junit << "\n";
    return usage;
  }
  if (options.list && report.failed == 0) return fine;
  std::cout << weir::format("{} passed, {} failed\n", report.passed, report.failed);
  if (report.passed + report.failed == 0) {
    std::cerr << (files == 0 ? "weir test: no *.test.json there\n" : "weir test: no test of that name\n");
    return usage;
  }
  return report.failed == 0 ? fine : findings;
}

}  // namespace

void add_test(Arguments& program, Session& session) {
  auto options = std::make_shared<TestOptions>();
  auto command = program.command("test", "runs the cases beside pipelines and operators, under virtual time");
  command.needs("paths", options->paths, "*.test.json files, folders, or folder/...");
  command.option("--filter", options->filter, "only tests whose names contain this");
  command.option("--junit", options->junit, "writes the results to this file as JUnit XML");
  command.flag("--list", options->list, "names the tests and runs none");
  command.flag("--watch", options->watch, "again whenever a file in their folders is saved");
  command.does([options, &session] {
    if (options->watch) watch(options->paths, [&] { (void)test(*options, session.registry); });
    session.exit = test(*options, session.registry);
  });
}

}  // namespace weir::cli
