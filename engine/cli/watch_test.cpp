#include "cli/watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fakes/temporary_directory.hpp"

namespace weir::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Watch, SeesWhatWasMadeWrittenAndTakenAway) {
  const fakes::TemporaryDirectory folder;
  const std::string pipeline = folder.write("a.json", "{}"), cases = folder.write("a.test.json", "{}");
  folder.write("notes.txt", "nobody cares");
  for (const std::vector<std::string>& paths : {std::vector{folder.path()}, std::vector{pipeline}}) {
    folder.write("a.json", "{}");
    folder.write("a.test.json", "{}");
    const Saved before = saved_in(paths);
    EXPECT_THAT(changed_since(before, saved_in(paths)), IsEmpty());
    folder.write("notes.txt", "nobody cares still");
    EXPECT_THAT(changed_since(before, saved_in(paths)), IsEmpty());
    folder.write("a.json", "{ }");
    EXPECT_THAT(changed_since(before, saved_in(paths)), ElementsAre(pipeline));
    std::filesystem::remove(cases);
    folder.write("b.json", "{}");
    EXPECT_THAT(changed_since(before, saved_in(paths)), ElementsAre(pipeline, folder.file("b.json"), cases));
    std::filesystem::remove(folder.file("b.json"));
    folder.write("a.json", "{}");
    folder.write("a.test.json", "{}");
    const Saved there = saved_in(paths);
    std::filesystem::remove(pipeline);
    EXPECT_THAT(changed_since(there, saved_in(paths)), ElementsAre(pipeline)) << "as an editor does it";
  }
}

}  // namespace
}  // namespace weir::cli
