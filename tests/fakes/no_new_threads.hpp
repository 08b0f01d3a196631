/// A process that has no room for another thread, as one whose cgroup bounds them.
#pragma once

namespace weir::fakes {

/// As long as it lives, no thread of this process can be made: pthread_create() answers EAGAIN.
class NoNewThreads {
 public:
  NoNewThreads();
  ~NoNewThreads();
  NoNewThreads(const NoNewThreads&) = delete;
  NoNewThreads& operator=(const NoNewThreads&) = delete;
};

}  // namespace weir::fakes
