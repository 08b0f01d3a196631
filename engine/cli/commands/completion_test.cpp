#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include <weir/format.hpp>

#include "cli/command.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir::cli {
namespace {

const Typable program{
    "weir",
    "",
    {"--version"},
    {{"lint", "looks", {"--format", "-s"}, {}},
     {"list", "names operators", {}, {}},
     {"progress", "what's kept", {}, {{"show", "", {"--format"}, {}}, {"reset", "", {"--yes"}, {}}}}}};

/// What bash offers for the last of these words.
std::string offered(const std::string& words, int last) {
  const fakes::TemporaryDirectory directory;
  const std::string script = directory.write("script", completion_script(program, "bash"));
  const std::string command = weir::format(
      "bash -c '. {}; COMP_WORDS=({}); COMP_CWORD={}; _weir; echo -n \"${{COMPREPLY[*]}}\"'", script, words, last);
  FILE* out = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> part{};
  while (const auto size = fread(part.data(), 1, part.size(), out)) text.append(part.data(), size);
  EXPECT_EQ(pclose(out), 0) << command;
  return text;
}

TEST(Completion, BashOffersCommandsAndOptionsWhereTheyMayStand) {
  EXPECT_EQ(offered("weir li", 1), "lint list");
  EXPECT_EQ(offered("weir --", 1), "--version");
  EXPECT_EQ(offered("weir lint -", 2), "--format -s");
  EXPECT_EQ(offered("weir lint --format text a.json --f", 5), "--format");
  EXPECT_EQ(offered("weir lint a", 2), "") << "files are the shell's to complete";
  EXPECT_EQ(offered("weir progress s", 2), "show");
  EXPECT_EQ(offered("weir progress reset -", 3), "--yes");
}

TEST(Completion, FishIsToldTheSame) {
  const std::string script = completion_script(program, "fish");
  EXPECT_TRUE(script.contains("-n __fish_use_subcommand -a lint -d 'looks'\n")) << script;
  EXPECT_TRUE(script.contains("-a progress -d 'what\\'s kept'\n")) << script;
  EXPECT_TRUE(script.contains("-n '__fish_seen_subcommand_from lint' -l format\n")) << script;
  EXPECT_TRUE(script.contains("-n '__fish_seen_subcommand_from lint' -s s\n")) << script;
}

}  // namespace
}  // namespace weir::cli
