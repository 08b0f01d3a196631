/// A pipeline that runs in this process, as `weir run` would run it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <weir/clock.hpp>

#include "core/coordination/worker.hpp"

namespace weir::bench {

/// Ends the program with a reason.
[[noreturn]] void give_up(const std::string& why);

template <typename T>
T must(Result<T> result) {
  if (!result) give_up(result.error().message);
  return *std::move(result);
}
inline void must(const Result<void>& result) {
  if (!result) give_up(result.error().message);
}

/// MB, of an entry of /proc/<pid>/status ("VmRSS:"); ends the program if there is no such process.
double megabytes(int pid, std::string_view entry);
/// Processor time of this process so far, all threads, in seconds.
double processor_seconds();
/// Steady time in seconds.
inline double now_seconds() { return static_cast<double>(system_clock().steady()) * 1e-9; }

/// Threads   one.
class Run {
 public:
  /// Checks the text and starts the pipeline; a mistake ends the program.
  explicit Run(const std::string& text, std::vector<std::pair<std::string, std::string>> overrides = {});
  ~Run();  ///< drains

  Worker::Status status() const;
  std::uint64_t counted(const std::string& node, const std::string& name) const;
  /// Every counter that is not 0, for notes.
  std::string counters() const;
  /// Waits until the pipeline is ready.
  void wait_ready() const;
  /// Of all lanes together: the sum of the positions of their last steps; 0 before there is one.
  Position stepped() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A file of the repository.
std::string text_of_file(const std::string& path);
/// `text` with every "${NAME…}" of these names replaced.
std::string with_variables(std::string text, const std::vector<std::pair<std::string, std::string>>& variables);

}  // namespace weir::bench
