/// The contract of a sink.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weir/batch.hpp>
#include <weir/context.hpp>
#include <weir/ledger.hpp>
#include <weir/source.hpp>
#include <weir/types.hpp>

namespace weir {

/// Rows as they will be written: encoded in the lane, in parallel, then handed to the one writer.
struct Encoded {
  Partition partition = 0;
  Position last = 0;            ///< position of the batch they come from
  std::uint64_t number = 0;     ///< of its first row, counting the rows that the lane gave this sink in this numbering:
                                ///< pipeline/node/partition/numbering/number is a row's id, and never another row's
  std::uint32_t numbering = 0;  ///< the same after a crash if the source replays, else each run's own; another one in
                                ///< another epoch of the stream, and after a reset
  std::size_t rows = 0;
  std::string bytes;  ///< the sink's own format; may be empty if `batch` is enough
  BatchPtr batch;     ///< the rows themselves, for bisecting and for sinks that encode nothing
};

/// One partition's part of a commit: rows handed over by write() up to `next.position` become durable together with it.
struct LaneCommit {
  Partition partition = 0;
  Progress next;
};

/// What became of a commit.
struct Committed {
  /// Partitions whose fence or position no longer fits: somebody else owns them. Their rows are not written; the
  /// others' are.
  std::vector<Partition> refused = {};
  /// Rows that the system would not take for their data, each with its reason; the rest was committed.
  struct Rejected {
    BatchPtr batch;
    std::size_t row = 0;
    Reason reason;
    bool dead_lettered = false;  ///< the sink has put it to its own dead letters, in the same commit
  };
  std::vector<Rejected> rejected = {};
  /// Dead letters, of these rows or handed over by write_dead_letter(), that the sink left out for their number.
  std::size_t letters_left_out = 0;
};

/// Where rows end. One instance per worker and sink node, with one writer; rows of all lanes pass through it.
///
/// Threads   encode() from any lane, several at once; open, write, write_dead_letter, commit from the writer only.
/// Errors    commit(): unreachable means that the outcome is unknown or nothing was written; the engine acquires again
///           and either finds the position moved, or gives the same rows again.
class Sink {
 public:
  virtual ~Sink() = default;

  /// Decides whether it can take this schema; for a sink with `columns` this is the completed rows' one. Pure; lint
  /// calls it.
  virtual Result<void> bind_schema(const SchemaPtr& input) = 0;

  /// Connects, creates or checks what it writes to. Called once; again only after an error of write(),
  /// write_dead_letter() or commit(). Forgets what was written and not committed: those rows may be gone.
  virtual Result<void> open() = 0;

  /// The work that can be done in the lane. The default hands the batch on.
  virtual Encoded encode(const BatchPtr& rows) const {
    Encoded out;
    out.rows = rows->rows;
    out.batch = rows;
    return out;
  }

  /// Hands rows over for the next commit(). They must not become visible before it if the sink is transactional. `rows`
  /// stays where it is until that commit() has returned, so a pointer to it may be kept and nothing need be copied.
  virtual Result<void> write(const Encoded& rows) = 0;

  /// Makes everything written durable and, if transactional, the lanes' progress with it, atomically. A sink that is
  /// not transactional ignores the progress. Whatever the outcome, what was written before is forgotten
  /// then: after an error the engine opens, acquires, and gives the same rows again.
  virtual Result<Committed> commit(std::span<const LaneCommit> lanes) = 0;

  /// Where a transactional sink keeps progress and ownership, as long as itself; null: it is not transactional.
  virtual Ledger* ledger() { return nullptr; }

  /// Writes dead letters beside the rows, durable with the next commit; false if this sink has no such place (the
  /// engine then writes a file).
  struct DeadLetter {
    Partition partition = 0;
    Position position = 0;
    std::uint32_t ordinal = 0;  ///< among the dead letters of this position
    Timestamp arrival = no_time;
    std::string node;
    Reason reason;
    std::string subject, payload;
    std::string key = {};                   ///< of its message or row; empty: not known. Kept nowhere
    std::optional<std::uint64_t> row = {};  ///< of a row that a sink would not take: its number, see Encoded
  };
  virtual bool write_dead_letter(const DeadLetter&) { return false; }
};

}  // namespace weir
