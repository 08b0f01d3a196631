/// What deploy/servers makes once and copies for every test: nobody else on the machine may have a hand in it.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "fakes/temporary_directory.hpp"

namespace weir::integration {
namespace {

namespace fs = std::filesystem;

/// Starts a plain PostgreSQL from a template in `state`, which ends with this process at the latest.
class PrivateServers : public testing::Test {
 protected:
  void TearDown() override { run("stop " + directory_.file("servers")); }

  int start(const std::string& state) {
    return run("start " + directory_.file("servers") + " --fast --while " + std::to_string(::getpid()) + " postgres",
               state);
  }
  /// The exit code; `said_` is what it printed.
  int run(const std::string& arguments, const std::string& state = {}) {
    const std::string command = "WEIR_STATE=" + state + " " WEIR_SOURCE_DIR "/deploy/servers " + arguments + " 2>&1";
    said_.clear();
    FILE* out = ::popen(command.c_str(), "r");
    std::array<char, 4096> part{};
    while (const auto size = std::fread(part.data(), 1, part.size(), out)) said_.append(part.data(), size);
    const int status = ::pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  fakes::TemporaryDirectory directory_;
  std::string said_;
};

TEST_F(PrivateServers, WorkInNoDirectoryThatSomebodyElseMayHaveMade) {
  const std::string target = directory_.file("target");
  fs::create_directory(target);
  const std::string link = directory_.file("link");
  fs::create_symlink(target, link);
  const std::string text = directory_.write("text", "");
  const std::string others = directory_.file("others");
  fs::create_directory(others);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(others.c_str(), 65534, 65534), 0);
  }
  for (const std::string& state : {link, text, ::geteuid() == 0 ? others : std::string{"/usr"}}) {
    EXPECT_EQ(start(state), 1) << state;
    EXPECT_THAT(said_, testing::HasSubstr("deploy/servers: " + state + " must be a directory of user")) << state;
  }
  EXPECT_TRUE(fs::is_empty(target));
}

TEST_F(PrivateServers, LeaveNothingForOthersToOpen) {
  fs::permissions(directory_.path(), fs::perms{0711});  // PostgreSQL's user comes through
  const std::string state = directory_.file("state");
  ASSERT_EQ(start(state), 0) << said_;
  EXPECT_EQ(fs::status(state).permissions(), fs::perms{0711});
  int templates = 0;
  for (const auto& entry : fs::directory_iterator{state}) {
    if (!entry.is_directory()) continue;
    ++templates;
    EXPECT_EQ(entry.status().permissions(), fs::perms{0700}) << entry.path();
  }
  EXPECT_EQ(templates, 1);
}

}  // namespace
}  // namespace weir::integration
