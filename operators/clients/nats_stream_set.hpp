/// The streams that the partitions of one source or sink lie in.
#pragma once

#include <optional>
#include <string>

#include <weir/settings.hpp>
#include <weir/types.hpp>

#include "clients/nats_jetstream.hpp"
#include "clients/nats_subject.hpp"

namespace weir::nats {

/// What is done with the streams of a set.
enum class StreamUse : std::uint8_t {
  once,            ///< they are written, or read by acknowledgement
  replayed,        ///< read again from the committed position after a crash, so only the oldest messages may go
  replayed_marked  ///< and marked: one that is there must take the markers too
};

/// As many streams as there are partitions, named by PartitionNames. Their number is agreed once, by whoever makes the
/// first of them, stands in the metadata ("weir.partitions") of each that weir makes, and never changes: another one
/// would bring a vehicle's messages to another partition, and its rows and state are of the first. Streams that
/// somebody else made don't tell a number; there must be exactly as many.
///
/// Threads   any; immutable.
class StreamSet {
 public:
  /// From the settings stream, partitions, and those that with_stream() declares. A stream that is made takes the
  /// markers always.
  StreamSet(const Settings& settings, const SubjectPattern& pattern, StreamUse use,
            std::optional<Duration> dedupe = std::nullopt);

  /// Makes the stream of partition `k` if it is absent, after the set's first one; else checks it. Error::changed if
  /// the set is one of another number, with what is there and what to do; nothing is made then. Any number of workers
  /// may do so at once, for any partitions.
  Result<StreamState> ensure(JetStream& jetstream, Partition k) const;
  /// Whether the set is one of this number, as far as it is there. Makes nothing; errors as ensure()'s.
  Result<void> check(JetStream& jetstream) const;

 private:
  PartitionNames names(Partition k) const;
  std::string name(Partition k) const;
  StreamConfig config(Partition k) const;
  Result<StreamState> make(JetStream& jetstream, Partition k) const;
  Result<StreamState> make_first(JetStream& jetstream) const;
  Result<void> nothing_else(JetStream& jetstream) const;
  /// Whether the stream of partition `k` that is there was made for this number of partitions.
  Result<void> agree(JetStream& jetstream, Partition k, const FoundStream& there) const;
  /// `there`: what shows it. `way`: how to go on with the set that is there. `number`: of that one; 0: not known.
  std::unexpected<Error> other_number(const std::string& there, const std::string& way, std::uint32_t number) const;

  std::string base_;
  std::uint32_t partitions_;
  SubjectPattern pattern_;
  StreamConfig like_;
  StreamUse use_;
};

}  // namespace weir::nats
