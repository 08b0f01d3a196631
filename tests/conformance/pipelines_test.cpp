/// What every pipeline in pipelines/ must have.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/testing/cases.hpp"
#include "fakes/registry.hpp"

namespace weir {
namespace {

std::optional<std::string> text_of_file(const std::string& path) {
  std::ifstream in{path};
  if (!in) return {};
  return std::string{std::istreambuf_iterator<char>{in}, {}};
}

TEST(Pipelines, AreTestedAndThroughACrashToo) {
  std::size_t pipelines = 0;
  for (const auto& entry : std::filesystem::directory_iterator{std::string{WEIR_SOURCE_DIR} + "/pipelines"}) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".json") || name.ends_with(".test.json")) continue;
    ++pipelines;
    const std::string cases = entry.path().parent_path() / (entry.path().stem().string() + ".test.json");
    const auto text = text_of_file(cases);
    ASSERT_TRUE(text) << cases << " is missing";
    CaseSurroundings around;
    around.text = text_of_file;
    const ReadCases read = read_cases(*text, cases, fakes::registry(), around);
    ASSERT_TRUE(read.file) << render(read.findings, Format::text);
    const bool crashes = std::ranges::any_of(read.file->cases, [](const Case& one) {
      return std::ranges::contains(one.script, CaseStep::What::crash, &CaseStep::what);
    });
    EXPECT_TRUE(crashes) << cases << " has no test with a crash";
  }
  EXPECT_GE(pipelines, 6u);
}

}  // namespace
}  // namespace weir
