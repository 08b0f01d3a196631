/// What became of the cases that `weir test` ran, as text, JSON and JUnit's XML.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weir/format.hpp>
#include <weir/utf8.hpp>

#include "cli/conformance.hpp"
#include "console/json_writer.hpp"
#include "core/testing/cases.hpp"

namespace weir::cli {

/// As text of an XML element.
inline std::string escaped(std::string_view text) {
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
inline std::string indented(std::string_view text) {
  std::string out;
  while (text.ends_with('\n')) text.remove_suffix(1);
  for (const char c : text) out += c == '\n' ? "\n    " : std::string{c};
  return out;
}

/// What became of the cases of all files; as JUnit's XML, which every CI shows.
class Report {
 public:
  explicit Report(bool silent) : silent_{silent} {}

  std::size_t passed = 0, failed = 0;

  /// An object for each test: file, name, passed, why not.
  void write(JsonWriter& out) const {
    out.key("tests").array([&] {
      for (const Test& test : tests_) {
        out.object([&] {
          out.text("file", test.file);
          out.text("name", test.name);
          out.key("passed").flag(test.why.empty());
          out.text("why", test.why.empty() ? std::nullopt : std::optional{test.why});
        });
      }
    });
  }

  void file_failed(const std::string& file, const std::string& why) { note(file, "can be read", why); }

  void ran(const std::string& file, const CaseResult& result) { note(file, result.name, render(result, file)); }

  void kept(const std::string& op, const KeptRule& rule) {
    std::string why;
    for (const std::string& broken : rule.broken) why += "  " + indented(broken) + "\n";
    if (!why.empty()) why = weir::format("{}: failed: {}\n{}", op, rule.rule, why);
    note(op, std::string{rule.rule}, why);
  }

  std::string junit() const {
    std::string cases;
    for (const auto& [file, name, why] : tests_) {
      cases += weir::format("<testcase classname=\"{}\" name=\"{}\"", escaped(file), escaped(name));
      cases += why.empty() ? "/>\n" : weir::format("><failure>{}</failure></testcase>\n", escaped(why));
    }
    return weir::format(
        "<testsuites>\n<testsuite name=\"weir\" tests=\"{}\" failures=\"{}\">\n{}</testsuite>\n</testsuites>\n",
        passed + failed, failed, cases);
  }

 private:
  void note(const std::string& file, const std::string& name, const std::string& why) {
    ++(why.empty() ? passed : failed);
    if (!silent_) std::cout << why;
    tests_.push_back({file, name, why});
  }

  struct Test {
    std::string file, name, why;
  };
  std::vector<Test> tests_;
  bool silent_;
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

  void write(JsonWriter& out) const {
    out.key("coverage").array([&] {
      for (const auto& [name, pipeline] : pipelines_) {
        for (const auto& [port, seen] : pipeline.ports) {
          out.object([&] {
            out.text("pipeline", name);
            out.text("port", port);
            out.number("rows", seen.rows);
            out.number("expected_in", seen.tests);
          });
        }
      }
    });
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

}  // namespace weir::cli
