/// A `weir` command as a process of its own, as users run it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <weir/clock.hpp>

namespace weir::fakes {

/// Ends with the object, or with the test's process. What it prints, on both channels, is appended to a file.
/// WEIR_PROGRAM in the environment stands for the build's own `weir`, so that these tests also prove a sanitized one.
///
/// Threads   one.
class WeirProcess {
 public:
  static constexpr int killed = -SIGKILL;  ///< in place of an exit code, as for any signal that ended it
  static constexpr int endless = -1000;

  /// `arguments` follow the program's name. `log`: the file.
  /// `before`: what starts it, e.g. taskset and its arguments.
  WeirProcess(std::vector<std::string> arguments, std::string log, std::vector<std::string> before = {})
      : arguments_{std::move(arguments)}, before_{std::move(before)}, log_{std::move(log)} {
    start();
  }
  ~WeirProcess() { end(SIGKILL); }
  WeirProcess(const WeirProcess&) = delete;
  WeirProcess& operator=(const WeirProcess&) = delete;

  /// Runs the same command again, after its end.
  void start() {
    std::vector<std::string> words = before_;
    const char* another = std::getenv("WEIR_PROGRAM");
    words.push_back(another != nullptr ? another : std::string{WEIR_BUILD_DIR} + "/weir");
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error{"can't start " + words.front()};
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    const int log = ::open(log_.c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    // A test is a host of its own: another's worker must not take the name of one that this test has killed.
    ::setenv("XDG_RUNTIME_DIR", std::filesystem::path{log_}.parent_path().c_str(), 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }

  void send(int signal) const {
    if (child_ > 0) ::kill(child_, signal);
  }
  /// Sends a signal and waits for the end.
  int end(int signal, Duration patience = 30 * second) {
    send(signal);
    return wait(patience);
  }
  /// Waits for the end: the exit code, the signal below 0, `endless` if it had to be killed because it took too
  /// long.
  int wait(Duration patience = 30 * second) {
    const Timestamp until = system_clock().steady() + patience;
    bool late = false;
    while (child_ > 0) {
      int status = 0;
      if (::waitpid(child_, &status, late ? 0 : WNOHANG) == child_) {
        child_ = 0;
        exit_ = late ? endless : exit_code(status);
      } else if (system_clock().steady() > until) {
        late = true;
        send(SIGKILL);
      } else {
        system_clock().wait(5 * millisecond, {});
      }
    }
    return exit_;
  }
  pid_t pid() const { return child_; }
  bool runs() {
    int status = 0;
    if (child_ <= 0 || ::waitpid(child_, &status, WNOHANG) != child_) return child_ > 0;
    child_ = 0;
    exit_ = exit_code(status);
    return false;
  }

  /// What it printed so far.
  std::string log() const {
    std::ifstream in{log_};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  /// Waits until it has printed this; false if it does not, or ends before.
  bool says(const std::string& text, Duration patience = 20 * second) {
    const Timestamp until = system_clock().steady() + patience;
    while (!log().contains(text)) {
      if (!runs() || system_clock().steady() > until) return log().contains(text);
      system_clock().wait(10 * millisecond, {});
    }
    return true;
  }
  /// Waits until it has printed this of each partition below `partitions`: they are acquired side by side, so the last
  /// number may be the first to start, and what is sent to a partition before it starts has no stream yet.
  bool says_of_each(std::uint32_t partitions, const std::string& text) {
    for (std::uint32_t k = 0; k < partitions; ++k) {
      if (!says("partition " + std::to_string(k) + ": " + text)) return false;
    }
    return true;
  }

 private:
  static int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

  std::vector<std::string> arguments_, before_;
  std::string log_;
  pid_t child_ = 0;
  int exit_ = 0;
};

}  // namespace weir::fakes
