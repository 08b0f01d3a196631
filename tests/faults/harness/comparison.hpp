/// Whether the tables, and a stream of rows, hold what the reference makes of an independent reading of the streams.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <weir/types.hpp>

#include "faults/harness/stage.hpp"
#include "faults/harness/traffic.hpp"
#include "faults/lines.hpp"

namespace weir::faults {

/// When so much time has gone by without anything stored, nothing is due any more: every deadline of the job is
/// shorter.
inline constexpr Duration settled_for = 1300 * millisecond;

/// What goes into a pipeline and comes out besides its rows, as it must be.
struct Balance {
  std::uint64_t messages = 0, samples = 0, repeats = 0, late = 0;
};

struct Verdict {
  Comparison rows, twins, copies, sessions, letters;  ///< twins: the rows in a second database
  std::uint64_t messages = 0, acknowledged = 0;
  std::uint64_t gone = 0;                 ///< acknowledged, but not in the stream, or something else is in its place
  std::uint64_t unbalanced = 0;           ///< counts that are not what went in or came out
  bool balanced = false;                  ///< whether the workers' own were looked at
  std::uint64_t outdated = 0;             ///< current values that are older than what is committed
  std::uint64_t named = 0, unstored = 0;  ///< looks at snapshots that progress named; whether one was not there
  std::vector<std::string> differences;   ///< the first ones, as a line each
  bool fine() const {
    return rows.fine() && twins.fine() && copies.fine() && sessions.fine() && letters.fine() && gone == 0 &&
           unbalanced + outdated + unstored == 0 && differences.empty();
  }
};

/// What should be there, by the streams alone.
class Expectation {
 public:
  /// Reads the streams up to these positions. `later`: what would be there if they went on so much longer, with nothing
  /// but time in them.
  Expectation(const Stage& stage, const std::vector<Acknowledged>& acknowledged,
              const std::vector<std::uint64_t>& positions, Duration later = 0);

  std::size_t rows() const { return rows_.size(); }

  /// Looks at the tables and the streams. `orderly`: the workers' counts must add up too.
  Verdict check(const Stage& stage, bool orderly) const;

 private:
  void read(const Stage& stage, Partition partition, std::uint64_t up_to);
  void check_counts(const Stage& stage, Verdict& out) const;
  void check_balance(const Stage& stage, Verdict& out) const;
  void check_current(const Stage& stage, Verdict& out) const;

  const Duration later_;
  std::vector<Line> rows_, sessions_, letters_;
  std::vector<std::vector<std::size_t>> contents_;  ///< by partition, of message 1, 2, …
  std::vector<std::uint64_t> consumed_;             ///< by partition: how many of these are there
  std::map<std::string, Timestamp> current_;        ///< by key: its newest sample of the field that is published
  Balance balance_;
  Verdict stored_;  ///< as far as the streams tell it
};

}  // namespace weir::faults
