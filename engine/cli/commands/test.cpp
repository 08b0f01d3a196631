/// weir test: runs the cases that stand beside pipelines and operators, under virtual time; see core/cases.hpp.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include <weir/format.hpp>
#include <weir/utf8.hpp>

#include "cli/command.hpp"
#include "cli/conformance.hpp"
#include "cli/example.hpp"
#include "cli/log.hpp"
#include "cli/watch.hpp"
#include "core/testing/case_feed.hpp"
#include "core/testing/cases.hpp"

namespace weir::cli {
namespace {

struct TestOptions {
  std::vector<std::string> paths;
  std::string filter, junit;
  bool list = false;
  bool watch = false;
  bool update = false;
  bool coverage = false;
  bool conformance = false;
};

bool is_case_file(std::string_view name) { return name.ends_with(".test.json"); }

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : valid_utf8(text)) {
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
        // What XML has no way to write.
        if (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t') {
          out += weir::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out;
}

/// Lines below the first stand under it.
std::string indented(std::string_view text) {
  std::string out;
  while (text.ends_with('\n')) text.remove_suffix(1);
  for (const char c : text) out += c == '\n' ? "\n    " : std::string{c};
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

  void kept(const std::string& op, const KeptRule& rule) {
    std::string why;
    for (const std::string& broken : rule.broken) why += "  " + indented(broken) + "\n";
    if (!why.empty()) why = weir::format("{}: failed: {}\n{}", op, rule.rule, why);
    std::cout << why;
    note(op, std::string{rule.rule}, why);
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

/// What the tests of a pipeline let through, and what of it they look at.
class Coverage {
 public:
  void add(const std::string& pipeline, const CaseResult& result) {
    Pipeline& of = pipelines_[std::filesystem::path{pipeline}.lexically_normal().string()];
    ++of.tests;
    for (const CasePassage& passage : result.passages) {
      Port& port = of.ports[passage.port];
      port.rows += passage.rows;
      port.tests += passage.expected ? 1 : 0;
    }
  }

  void print() const {
    std::size_t ports = 0, passed = 0, expected = 0;
    for (const auto& [name, pipeline] : pipelines_) {
      std::size_t width = std::string_view{"port or sink"}.size();
      for (const auto& [port, seen] : pipeline.ports) width = std::max(width, port.size());
      std::cout << weir::format("\n{}, {} test{}\n", name, pipeline.tests, pipeline.tests == 1 ? "" : "s");
      std::cout << weir::format("  {:<{}} {:>9}  expected in\n", "port or sink", width, "rows");
      for (const auto& [port, seen] : pipeline.ports) {
        std::cout << weir::format("  {:<{}} {:>9}  {}\n", port, width, seen.rows, looked_at(seen));
        ++ports;
        passed += seen.rows != 0 ? 1 : 0;
        expected += seen.tests != 0 ? 1 : 0;
      }
    }
    std::cout << weir::format("rows came through {0} of {1} ports and sinks, and {2} of {1} have rows expected\n",
                              passed, ports, expected);
  }

 private:
  struct Port {
    std::uint64_t rows = 0;
    std::size_t tests = 0;  ///< that expect rows there
  };
  struct Pipeline {
    std::size_t tests = 0;
    std::map<std::string, Port> ports;
  };

  static std::string looked_at(const Port& port) {
    if (port.tests == 0) return "no test";
    return weir::format("{} test{}", port.tests, port.tests == 1 ? "" : "s");
  }

  std::map<std::string, Pipeline> pipelines_;
};

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
  Testing(const TestOptions& options, const Registry& registry) : options_{options}, registry_{registry} {
    around_ = {read_regular, recorded_messages, environment_variable, options.update};
  }

  void file(const std::string& file) {
    ++files;
    const auto text = read_regular(file);
    if (!text) {
      missing = true;
      return unreadable(file, file + ": error: can't read the file\n");
    }
    const ReadCases read = read_cases(*text, file, registry_, around_);
    if (!read.file) return unreadable(file, render(read.findings, Format::text));
    if (read.file->cases.empty()) return report.file_failed(file, file + ": error: no tests\n");
    for (const Case& one : read.file->cases) {
      pipelines_.push_back(one.pipeline);
      if (!one.name.contains(options_.filter)) continue;
      if (options_.list) {
        std::cout << weir::format("{}:{}: {}\n", file, one.place.begin.line, one.name);
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
      KeptRule& rule = rules.emplace_back("has a case");
      if (!any_unreadable_ &&
          std::ranges::none_of(pipelines_, [&](const auto& pipeline) { return uses(*pipeline, name); }))
        rule.broken.emplace_back("no *.test.json there has a pipeline with it");
    }
    for (const KeptRule& rule : rules) {
      if (!rule.rule.contains(options_.filter)) continue;
      if (options_.list)
        std::cout << weir::format("{}: {}\n", shown, rule.rule);
      else
        report.kept(shown, rule);
    }
  }

  Report report;
  Coverage coverage;
  std::size_t files = 0;
  bool missing = false;  ///< one of them

 private:
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
    if (options_.update && std::ranges::any_of(result.failures, &CaseResult::Failure::rows_in_text))
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
      std::cout << each.file << ": written\n";
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

int test(const TestOptions& options, const Session& session) {
  set_up_log("text", "error");  // what a case has go wrong is no news
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
  if (options.list && report.failed == 0) return fine;
  if (options.coverage) testing.coverage.print();
  std::cout << weir::format("{} passed, {} failed\n", report.passed, report.failed);
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
  auto command = program.command("test", "runs the cases beside pipelines and operators, under virtual time");
  command.needs("paths", options->paths, "*.test.json files, folders, or folder/...");
  command.option("--filter", options->filter, "only tests whose names contain this");
  command.option("--junit", options->junit, "writes the results to this file as JUnit XML");
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
