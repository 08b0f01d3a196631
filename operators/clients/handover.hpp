/// What a transactional sink was given for its next commit.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include <weir/sink.hpp>

namespace weir::sql {

/// Rows and dead letters since the last commit. The rows stay where the engine has them.
struct Handover {
  std::vector<const Encoded*> rows;
  std::vector<Sink::DeadLetter> dead;

  void add(const Encoded& part) {
    if (part.rows > 0) rows.push_back(&part);
  }
  void add(const Sink::DeadLetter& letter) { dead.push_back(letter); }

  bool empty() const { return rows.empty() && dead.empty(); }
  std::size_t row_count() const {
    std::size_t count = 0;
    for (const Encoded* part : rows) count += part->rows;
    return count;
  }

  /// Leaves out everything of these partitions: somebody else owns them.
  void leave_out(std::span<const Partition> refused) {
    std::erase_if(rows, [&](const Encoded* part) { return std::ranges::contains(refused, part->partition); });
    std::erase_if(dead, [&](const auto& letter) { return std::ranges::contains(refused, letter.partition); });
  }

  /// Everything; nothing is left.
  Handover take() { return std::exchange(*this, {}); }
};

}  // namespace weir::sql
