/// What workers have kept, seen while none of them runs: progress in the database, streams and snapshots at NATS.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "faults/harness/stage.hpp"

namespace weir::faults {

/// weir went on where it must not.
struct WentOn : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What a sink's progress says of a partition.
struct Kept {
  Partition partition = 0;
  std::string sink;
  Position position = 0;
  std::uint64_t consumed = 0;
  Position state = 0;  ///< where the snapshot stands that it names; 0 without one
};
std::vector<Kept> all_kept(const Stage& stage);

/// kill -9 of all workers; returns when nothing of theirs is at work in the database any more.
void kill_all(Stage& stage);
void start_all(Stage& stage);

/// Waits until some worker has said this more often than `before` times. If one of these has moved before that, it went
/// on where it must not, and that is an error. All workers may end meanwhile.
void wait_for_refusal(const Stage& stage, const std::vector<Kept>& kept, const std::string& text, std::size_t before);
/// How often any of them has said it.
std::size_t said(const Stage& stage, const std::string& text);

}  // namespace weir::faults
