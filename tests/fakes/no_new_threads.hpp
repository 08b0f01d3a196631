/// A process that has no room for another thread, as one whose cgroup bounds them.
#pragma once

namespace weir::fakes {

/// As long as it lives, no thread of this process can be made: pthread_create() answers EAGAIN.
class NoNewThreads {
 public:
  /// Not in a sanitizer's build, whose own pthread_create() must not be replaced.
  static bool is_possible();

  NoNewThreads();
  ~NoNewThreads();
  NoNewThreads(const NoNewThreads&) = delete;
  NoNewThreads& operator=(const NoNewThreads&) = delete;
};

}  // namespace weir::fakes
