/// What a worker is called.
#pragma once

#include <string>
#include <string_view>

namespace weir {

/// The name by which a worker owns partitions. One that is killed and started again has the same, and so its
/// partitions, without waiting for their leases: the host's name and the first number that no other process of this
/// user and network namespace has for this pipeline. The number is taken by binding an abstract socket, which needs no
/// file and ends with the process; containers that share a network, but no folder, get different numbers, too.
///
/// Threads   one.
class WorkerName {
 public:
  /// `wanted`: the name; empty: the host's.
  explicit WorkerName(std::string_view pipeline, std::string wanted = {});
  ~WorkerName();
  WorkerName(const WorkerName&) = delete;
  WorkerName& operator=(const WorkerName&) = delete;

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int socket_ = -1;
};

}  // namespace weir
