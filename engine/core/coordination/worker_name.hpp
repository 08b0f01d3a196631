/// What a worker is called.
#pragma once

#include <string>
#include <string_view>

namespace weir {

/// The name by which a worker owns partitions. One that is killed and started again has the same, and so its
/// partitions, without waiting for their leases: the host's name and the first number that no other process of this
/// host has for this pipeline. The number is taken by a lock on a file, which ends with the process.
///
/// Threads   one.
class WorkerName {
 public:
  /// `wanted`: the name; empty: the host's. `folder`: where the files are made; if that can't be, the number is 1.
  explicit WorkerName(std::string_view pipeline, std::string wanted = {}, const std::string& folder = default_folder());
  ~WorkerName();
  WorkerName(const WorkerName&) = delete;
  WorkerName& operator=(const WorkerName&) = delete;

  const std::string& text() const { return text_; }

  /// $XDG_RUNTIME_DIR, else /tmp, and there a folder of this user's.
  static std::string default_folder();

 private:
  std::string text_;
  int file_ = -1;
};

}  // namespace weir
