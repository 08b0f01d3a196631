/// Where dead letters go when no sink keeps them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <weir/clock.hpp>
#include <weir/dead_letter.hpp>
#include <weir/sink.hpp>

namespace weir {

/// Keeps dead letters.
/// Threads   one.
class DeadLetterBox {
 public:
  virtual ~DeadLetterBox() = default;
  /// A lane goes on behind this position: letters from beyond it may be here already, and may be given again.
  virtual void resume(Partition partition, Position committed) = 0;
  /// What led to this position is not given again.
  virtual void committed(Partition partition, Position position) = 0;
  /// Durable when it returns. A letter that is here already, because it was kept and the commit then failed, or because
  /// a worker died before its commit, is not kept twice. After an error none of these is kept.
  /// Answers the indexes of those that it left out for their number.
  virtual Result<std::vector<std::size_t>> keep(const std::vector<Sink::DeadLetter>& letters) = 0;
};

/// One JSON object per line: pipeline, node, reason, detail, partition, position, ordinal (or row), arrival, subject,
/// and payload as base64. The file is opened at the first letter, appended to, and synchronised at every keep(). Half a
/// line at its end, which a crash has left, is cut off; several processes may write it. After a lane was resumed no
/// more than the last 64 MB are read, however long the file is: a letter that a crash left further back may be kept
/// twice.
///
/// A file that was written to on an earlier day (UTC) becomes "<path>.<that day>", and of these goes what is older than
/// the retention: at the first committed(), and once an hour. What weir did not write stays as it is.
/// Letters of rejected rows are kept as far as the bounds go. `clock` must outlive it.
std::unique_ptr<DeadLetterBox> dead_letter_file(std::string path, std::string pipeline, const DeadLetterBounds& bounds,
                                                const Clock& clock);

}  // namespace weir
