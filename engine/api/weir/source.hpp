/// The contract of a source.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <weir/context.hpp>
#include <weir/message.hpp>
#include <weir/types.hpp>

namespace weir {

/// How much one pull may bring, and how long it may wait for the first message.
struct Budget {
  std::size_t messages = 4096;
  std::size_t bytes = 4u << 20;
  Duration wait = 100 * millisecond;
};

/// What a pull brought. Idle: nothing came in time. End: nothing will ever come again.
struct Pulled {
  enum class State : std::uint8_t { messages, idle, end };
  State state = State::idle;
  std::shared_ptr<const Messages> messages;  ///< not null and not empty with State::messages
};

/// What tells one stream from another of the same name; kept with the progress and compared when a lane starts again.
struct StreamIdentity {
  std::string stream;           ///< name
  Timestamp created = no_time;  ///< when the server says the stream was made
  bool operator==(const StreamIdentity&) const = default;
};

/// How far one partition of a set is done, and in which stream.
struct PartitionPlace {
  Partition partition = 0;
  Position position = 0;  ///< 0: nothing is done yet
  StreamIdentity stream = {};
};

/// What a partition's stream holds beyond a place.
struct Backlog {
  std::uint64_t messages = 0;  ///< markers among them
  Timestamp oldest = no_time;  ///< the stream's timestamp of the first of them; no_time: there is none
};

/// One partition of a stream of messages. One instance belongs to one lane.
///
/// Threads   open, arrival_at, pull, mark from one thread; committed() from another, possibly at the same time.
/// Errors    unreachable: the engine calls again with backoff, the source reconnects by itself; changed: the lane
/// stops.
class Source {
 public:
  virtual ~Source() = default;

  /// Whether what is there already is what this pipeline reads, asked before a worker shares partitions with others:
  /// one that never gets a partition to open would keep it from those who can. Of an instance that is asked nothing
  /// else: connects by itself and makes nothing. Errors as open()'s.
  virtual Result<void> check() { return {}; }

  /// Gets ready to give out what follows `after` (0: from `start` as the settings say). Called before pull(); again
  /// only after an error. Answers the position before the first message to come: `after`, or where `start` begins.
  /// changed: the stream no longer holds what follows `after`.
  virtual Result<Position> open(Position after) = 0;

  /// The arrival of the message at a position, as pull() gave or would give it out; after open(). Nothing if the
  /// message was deleted, or the source can't tell. changed: the stream ends before it.
  virtual Result<std::optional<Timestamp>> arrival_at(Position) { return std::nullopt; }

  /// Waits for messages. Sequences ascend, each once. Never blocks beyond budget.wait, and returns early when a stop is
  /// asked for.
  virtual Result<Pulled> pull(const Budget& budget, std::stop_token stop) = 0;

  /// Arrival time should move on to `due` or beyond. Writable: writes a marker into the stream, which comes back by
  /// pull(). Clocked: the next pull() brings a marker with the clock's time. May be called again when the marker did
  /// not come, or came too early. Never called otherwise.
  virtual Result<void> mark(Timestamp due) {
    (void)due;
    return {};
  }

  /// Everything up to this position is durable in all outputs: acknowledge it, if the source acknowledges.
  virtual void committed(Position) {}

  /// Identity of what open() found.
  virtual StreamIdentity identity() const { return {}; }
  /// Messages in the stream beyond the last one given out, as far as known; for the lag.
  virtual std::uint64_t waiting() const { return 0; }

  /// What the streams of any partitions of the set hold beyond these places, in their order, whoever reads them. Asked
  /// of an instance that is asked nothing else: it connects by itself, needs no open() and makes nothing. Of no places:
  /// only whether it can tell, without asking anybody. invalid: it can't. changed: a stream is not the one that the
  /// place is of.
  virtual Result<std::vector<Backlog>> backlogs(std::span<const PartitionPlace>) {
    return fail(Error::Kind::invalid, "this source does not know what lies in its stream");
  }
};

}  // namespace weir
