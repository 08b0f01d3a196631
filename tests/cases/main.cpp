/// Runs the cases that stand beside operators and pipelines: `weir_cases [FILE...]`, all of them without an argument.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "core/cases.hpp"

namespace {

using namespace weir;

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return {};
  return std::string{std::istreambuf_iterator<char>{in}, {}};
}

std::vector<std::string> all_case_files() {
  std::vector<std::string> out;
  for (const auto* folder : {"operators", "pipelines"}) {
    if (!std::filesystem::is_directory(folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{folder}) {
      if (entry.path().string().ends_with(".test.json")) out.push_back(entry.path().string());
    }
  }
  std::ranges::sort(out);
  return out;
}

struct Tally {
  std::size_t passed = 0, failed = 0;
};

void run_file(const std::string& file, const Registry& registry, Tally& tally) {
  const auto text = read_file(file);
  if (!text) {
    std::cout << file << ": error: can't be read\n";
    ++tally.failed;
    return;
  }
  const ReadCases read = read_cases(*text, file, registry, read_file);
  if (!read.file || read.file->cases.empty()) {
    std::cout << render(read.findings, Format::text) << (read.findings.empty() ? file + ": error: no tests\n" : "");
    ++tally.failed;
    return;
  }
  for (const Case& one : read.file->cases) {
    const CaseResult result = run_case(*read.file, one, registry);
    std::cout << render(result, file);
    ++(result.failures.empty() ? tally.passed : tally.failed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Registry registry;
  register_all(registry);
  std::vector<std::string> files(argv + 1, argv + argc);
  if (files.empty()) files = all_case_files();
  Tally tally;
  for (const std::string& file : files) run_file(file, registry, tally);
  std::cout << tally.passed << " passed, " << tally.failed << " failed\n";
  return tally.failed == 0 ? 0 : 1;
}
