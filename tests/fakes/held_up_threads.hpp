/// Holds threads of this process up, each now and then and anywhere: what a busy machine does to them, but all the
/// time.
#pragma once

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <thread>

namespace weir::fakes {

/// As long as it lives, every thread but the one that made it and its own is stopped again and again for some hundred
/// microseconds.
///
/// Threads   one such object at a time.
class HeldUpThreads {
 public:
  HeldUpThreads() : spared_{::gettid()} {
    struct sigaction hold{};
    hold.sa_handler = [](int) {
      const timespec length{0, 300'000};
      const int before = errno;
      ::nanosleep(&length, nullptr);
      errno = before;
    };
    hold.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR2, &hold, &before_);
    holder_ = std::jthread{[this](const std::stop_token& stop) { hold_up(stop); }};
  }
  ~HeldUpThreads() {
    holder_ = {};
    const timespec until_all_came{0, 20'000'000};
    ::nanosleep(&until_all_came, nullptr);
    ::sigaction(SIGUSR2, &before_, nullptr);
  }
  HeldUpThreads(const HeldUpThreads&) = delete;
  HeldUpThreads& operator=(const HeldUpThreads&) = delete;

 private:
  void hold_up(const std::stop_token& stop) const {
    const timespec pause{0, 100'000};
    while (!stop.stop_requested()) {
      DIR* tasks = ::opendir("/proc/self/task");
      while (const dirent* task = tasks != nullptr ? ::readdir(tasks) : nullptr) {
        pid_t thread = 0;
        std::from_chars(task->d_name, task->d_name + std::strlen(task->d_name), thread);
        if (thread == 0 || thread == spared_ || thread == ::gettid()) continue;
        ::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR2);
        ::nanosleep(&pause, nullptr);
      }
      if (tasks != nullptr) ::closedir(tasks);
    }
  }

  pid_t spared_;
  struct sigaction before_{};
  std::jthread holder_;
};

}  // namespace weir::fakes
