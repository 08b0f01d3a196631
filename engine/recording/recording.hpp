/// Recordings: messages of a source in a file, exactly as they were received.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/batch.hpp>
#include <weir/message.hpp>
#include <weir/sink.hpp>
#include <weir/types.hpp>

/// Format   schemas/recording.fbs.
namespace weir::recording {

/// What the file says of itself.
struct Beginning {
  Timestamp made_at = no_time;  ///< tells this file from another one of its name
  std::string pipeline;         ///< that recorded
  std::string node;             ///< id of its sink
  std::string selection = {};   ///< whose messages it records, as a text; empty: everybody's
  std::string made_by = {};     ///< "weir 0.1.0"; the writer knows
};

/// Messages of one partition, as the head tells that stands before them.
struct Block {
  Partition partition = 0;
  Position first = 0, last = 0;  ///< sequences of the first and the last message
  std::uint32_t messages = 0;    ///< markers among them
  std::uint32_t markers = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t samples = 0;                                       ///< that they held when they were recorded
  std::vector<std::pair<std::string, std::uint64_t>> fields = {};  ///< and how many of each field
  Timestamp earliest = no_time, latest = no_time;                  ///< event times of the samples
  Timestamp begins = no_time;                                      ///< arrival of the first message
  Timestamp before = no_time, reached = no_time;                   ///< arrival time that was reached before and behind
  std::uint64_t at = 0, bytes = 0;                                 ///< place in the file, and how much of it
};

/// Bytes between whole frames, which a disk has changed: the messages there are lost.
struct Damage {
  std::uint64_t from = 0, to = 0;  ///< in the file
};

/// How far a partition's recording has come: every message up to there was recorded, or is not wanted.
struct Reached {
  Position position = 0;
  Timestamp arrival = no_time;
  StreamIdentity stream = {};  ///< whose positions these are
};

/// Reads a recording, also one that is being written: what is committed when it is opened.
///
/// Threads   read() and keys() from any, at the same time.
/// Errors    invalid: no recording, or of a later version. refused: the system can't read it. changed: a block's bytes
///           are not those that were written; says where.
class Reader {
 public:
  /// `only`: blocks of this partition; the others are passed over.
  static Result<Reader> open(const std::string& path, std::optional<Partition> only = {});
  ~Reader();
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;

  const Beginning& beginning() const;
  /// In the order of the file; those of one partition ascend.
  const std::vector<Block>& blocks() const;
  /// In the order of the file.
  const std::vector<Damage>& damages() const;
  /// What the commits say of each partition.
  const std::map<Partition, Reached>& reached() const;
  /// When the first message of all partitions arrived; no_time: there is none.
  Timestamp begins() const;
  /// Bytes behind the last commit that counts: being written, or of a crash.
  std::uint64_t unfinished() const;
  /// Whether a commit is or was among them: a power cut left less than all of it, or a disk has changed it.
  bool cut() const;

  /// The messages of a block, with the arrival that was decided on.
  Result<std::shared_ptr<const Messages>> read(const Block& block) const;
  /// hash_of() each key that has samples in a block, ascending.
  Result<std::vector<std::uint32_t>> keys(const Block& block) const;

 private:
  struct Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What of the messages is recorded.
struct Selection {
  /// Flags of a decoded batch's messages; 0: not this one. No flags: all.
  std::span<const std::uint8_t> keep = {};
  Timestamp since = no_time;
  Timestamp until = end_of_time;  ///< what arrives then or later is as if it had not come yet
  bool going_on = false;          ///< the recording of the partition goes on: its batches were added before by this one
};

/// Writes a recording. Nothing of it counts before commit().
///
/// Threads   one.
/// Errors    held: another process writes it. invalid: the file is something else, or the recording of another sink.
///           refused: the system takes no more. After an error of add() or commit() only opening it again helps.
class Writer {
 public:
  /// Makes the file, or goes on behind the last commit in it, and cuts off what a crash has left there; a last commit
  /// that is not whole it puts aside, to `<path>.cut`, or `.cut.2` and so on where there is one. `beginning` is of a
  /// new file, and must be that of an old one but for the time.
  static Result<Writer> open(const std::string& path, const Beginning& beginning);
  ~Writer();
  Writer(Writer&&) noexcept;
  Writer& operator=(Writer&&) noexcept;

  const std::map<Partition, Reached>& reached() const;
  /// What somebody should know of, as sentences, once: a last commit that open() put aside, messages that add() found
  /// missing. Empty: nothing.
  std::string take_notice();

  /// Takes the messages behind a decoded batch; answers how many. Those up to what was reached are passed over: the
  /// file has them. changed: the batch begins beyond what was reached, so that messages between would be missing. They
  /// may if another worker had the partition meanwhile, which is so if the recording of it goes on, and if not all of
  /// them may have arrived since `since`. changed, too, if the file begins behind messages that are now wanted, all of
  /// them being.
  Result<std::size_t> add(const Batch& decoded, const Selection& selection = {});
  /// Makes all that was added durable, and that the lanes have come this far. changed: a lane's stream is another one
  /// than before; nothing of what was added counts then.
  Result<void> commit(std::span<const LaneCommit> lanes);

 private:
  struct Impl;
  explicit Writer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::recording
