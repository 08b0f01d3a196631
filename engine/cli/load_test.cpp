#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/command.hpp"
#include "cli/node_text.hpp"
#include "core/config/variables.hpp"
#include "fakes/registry.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir::cli {
namespace {

using testing::ElementsAre;

bool is_json(std::string_view name) { return name.ends_with(".json"); }

TEST(FilesOf, GoOnBehindALinkToItself) {
  const fakes::TemporaryDirectory folder;
  std::filesystem::create_directory(folder.file("deep"));
  std::filesystem::create_symlink("loop.json", folder.file("loop.json"));
  std::filesystem::create_symlink("loop", folder.file("loop"));
  std::filesystem::create_symlink("nowhere", folder.file("left.json"));
  std::filesystem::create_directory_symlink("..", folder.file("deep/up"));
  const std::string deep = folder.write("deep/one.json", "{");
  const std::string last = folder.write("two.json", "{}");
  folder.write("notes.txt", "");
  EXPECT_THAT(files_of(folder.path() + "/...", is_json), ElementsAre(deep, folder.file("loop.json"), last))
      << "the one that can't be looked at is to be named";
  const auto loaded = load_pipeline(folder.file("loop.json"), {}, fakes::registry(), false);
  ASSERT_EQ(loaded.checked.findings.size(), 1u);
  EXPECT_EQ(loaded.checked.findings[0].message, "can't read the file: Too many levels of symbolic links");
}

TEST(NodeText, ALiteralHasNoVariables) {
  for (const std::string written : {"a${PORT}b", "$${PORT}", "${", "$$$", "plain \"text\""}) {
    Document document = read_text(literal_text(written), "t");
    EXPECT_TRUE(replace_variables(
                    document, [](std::string_view) { return std::optional<std::string>{"5432"}; }, Severity::error)
                    .empty())
        << written;
    EXPECT_EQ(document.root.text, written);
  }
}

}  // namespace
}  // namespace weir::cli
