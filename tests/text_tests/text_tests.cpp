#include "text_tests/text_tests.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <list>
#include <memory>
#include <ranges>
#include <regex>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace weir::text_tests {
namespace {

using Lines = std::vector<std::string>;

std::string joined(const Lines& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out.substr(0, out.find_last_not_of('\n') + 1);
}

/// A `>>` with the lines up to what it expects, these, and what follows: together they are the file again.
struct Step {
  int line = 0;
  std::string test, command;
  Input input;
  Lines before, expected, after;
  bool on_one_line = false;
};

struct File {
  std::string path;
  Commands commands;
  std::map<std::string, std::string, std::less<>> texts;
  std::list<Step> steps;

  void write() const {
    std::ofstream out{WEIR_SOURCE_DIR "/" + path};
    for (const Step& step : steps) {
      const std::string before = joined(step.before);
      out << before << (step.on_one_line ? " =>" : "\n");
      if (step.on_one_line && step.expected[0] != "") out << ' ';
      for (const Lines* part : {&step.expected, &step.after}) {
        for (const std::string& line : *part) out << line << '\n';
      }
    }
  }
};

/// A block that begins with `@name` is that text with the replacements of its other lines, `from => to`.
std::string replaced(const File& file, const std::string& block) {
  if (!block.starts_with('@')) return block;
  Lines lines;
  for (const auto& line : std::views::split(block, '\n')) lines.emplace_back(line.begin(), line.end());
  const auto named = file.texts.find(lines[0].substr(1));
  if (named == file.texts.end()) return "there is no text " + lines[0];
  std::string out = named->second;
  for (const std::string& line : lines | std::views::drop(1)) {
    const std::size_t arrow = line.find(" =>");
    const std::size_t at = arrow == std::string::npos ? arrow : out.find(line.substr(0, arrow));
    if (at == std::string::npos) return "nothing to replace: " + line;
    out.replace(at, arrow, line.size() > arrow + 4 ? line.substr(arrow + 4) : "");
  }
  return out;
}

/// Both texts by lines, as a diff: what is equal at the beginning and at the end stands once.
std::string difference(const Lines& want, const Lines& got) {
  const auto begin = std::ranges::mismatch(want, got);
  auto want_end = want.end(), got_end = got.end();
  while (want_end != begin.in1 && got_end != begin.in2 && want_end[-1] == got_end[-1]) --want_end, --got_end;
  std::string out;
  const auto add_lines = [&](const char* mark, auto from, auto to) {
    for (; from != to; ++from) out += mark + *from + '\n';
  };
  add_lines("  ", want.begin(), begin.in1);
  add_lines("- ", begin.in1, want_end);
  add_lines("+ ", begin.in2, got_end);
  add_lines("  ", want_end, want.end());
  return out;
}

class TextTest final : public testing::Test {
 public:
  TextTest(std::shared_ptr<File> file, std::vector<Step*> steps) : file_{std::move(file)}, steps_{std::move(steps)} {}
  void TestBody() override {
    for (Step* step : steps_) run(*step);
  }

 private:
  void run(Step& step) {
    const auto command = file_->commands.find(step.command);
    ASSERT_NE(command, file_->commands.end()) << file_->path << ":" << step.line << ": no command " << step.command;
    Input input = step.input;
    for (std::string& block : input.blocks) block = replaced(*file_, block);
    std::string out = command->second(input);
    out.erase(out.find_last_not_of('\n') + 1);
    Lines got;
    for (const auto& line : std::views::split(out, '\n')) got.emplace_back(line.begin(), line.end());
    if (out.empty() && step.on_one_line) got = {""};
    if (got == step.expected) return;
    if (std::getenv("WEIR_WRITE_EXPECTED") != nullptr) {
      step.on_one_line = step.on_one_line && got.size() == 1;
      step.expected = std::move(got);
      file_->write();
      return;
    }
    ADD_FAILURE_AT(file_->path.c_str(), step.line)
        << step.command << " " << step.input.argument << "  (- expected, + got)\n"
        << difference(step.expected, got);
  }

  std::shared_ptr<File> file_;
  std::vector<Step*> steps_;
};

/// Takes the body of a step apart: blocks with `=>` between, the last of which is what it expects.
void read_body(Step& step, Lines body) {
  while (!body.empty() && (body.back().empty() || body.back().starts_with("# "))) {
    step.after.insert(step.after.begin(), body.back());
    body.pop_back();
  }
  for (auto arrow = body.begin(); (arrow = std::ranges::find(body, "=>")) != body.end();) {
    step.input.blocks.push_back(joined({body.begin(), arrow}));
    step.before.insert(step.before.end(), body.begin(), arrow + 1);
    body.erase(body.begin(), arrow + 1);
  }
  if (!step.on_one_line) step.expected = std::move(body);
}

Step read_head(std::string head) {
  Step step;
  if (const std::size_t arrow = head.find(" =>"); arrow != std::string::npos) {
    step.on_one_line = true;
    step.expected = {head.size() > arrow + 4 ? head.substr(arrow + 4) : ""};
    head.resize(arrow);
  }
  const std::size_t space = std::min(head.find(' ', 3), head.size());
  step.command = head.substr(3, space - 3);
  step.input.argument = head.substr(std::min(space + 1, head.size()));
  step.before.push_back(std::move(head));
  return step;
}

void read(File& file) {
  std::ifstream in{WEIR_SOURCE_DIR "/" + file.path};
  Lines lines, before;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::string name;
  for (auto at = lines.begin(); at != lines.end();) {
    const std::string& line = *at++;
    const auto end = std::find_if(at, lines.end(),
                                  [](const std::string& l) { return l.starts_with("## ") || l.starts_with(">> "); });
    if (line.starts_with("## ")) name = line.substr(3);
    if (!line.starts_with(">> ")) {
      before.push_back(line);
      if (name.starts_with('@') && line.starts_with("## ")) file.texts[name.substr(1)] = joined({at, end});
      continue;
    }
    Step step = read_head(line);
    step.line = static_cast<int>(at - lines.begin());
    step.test = name;
    step.before.insert(step.before.begin(), before.begin(), before.end());
    before.clear();
    read_body(step, {at, end});
    at = end;
    file.steps.push_back(std::move(step));
  }
}

}  // namespace

bool add(const std::string& path, Commands commands) {
  const auto file = std::make_shared<File>(path, std::move(commands));
  read(*file);
  if (file->steps.empty()) {
    std::cerr << path << ": no tests in this file, or no file\n";
    std::exit(EXIT_FAILURE);
  }
  const auto same_test = [](const Step& a, const Step& b) { return a.test == b.test; };
  for (auto steps : file->steps | std::views::chunk_by(same_test)) {
    const std::string& name = steps.front().test;
    std::vector<Step*> all;
    for (Step& step : steps) all.push_back(&step);
    const std::size_t dot = name.find('.');
    testing::RegisterTest(name.substr(0, dot).c_str(), name.substr(dot + 1).c_str(), nullptr, nullptr, path.c_str(),
                          all[0]->line, [=]() -> testing::Test* { return new TextTest{file, all}; });
  }
  return true;
}

std::string with_bytes(std::string text) {
  static const std::regex byte{"<([0-9a-f]{2})>"};
  for (std::smatch found; std::regex_search(text, found, byte);) {
    const char value = static_cast<char>(std::stoi(found[1], nullptr, 16));
    text.replace(static_cast<std::size_t>(found.position()), 4, 1, value);
  }
  return text;
}

}  // namespace weir::text_tests
