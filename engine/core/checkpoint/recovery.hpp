/// Where a lane starts, from what its sinks and snapshots kept; and whether its stream still is the one they tell of.
#pragma once

#include <string>
#include <vector>

#include <weir/sink.hpp>
#include <weir/source.hpp>

#include "core/checkpoint/snapshot.hpp"
#include "core/plan/pipeline.hpp"

namespace weir {

/// How a lane starts, or starts again.
struct LaneStart {
  Position after = 0;            ///< the source is opened after this; 0: from its `start`
  Position replay_until = 0;     ///< steps up to here are known to every sink: replay them without output
  Timestamp reminded = no_time;  ///< and these, see Claims::reminds: their arrival goes back, what is committed doesn't
  Timestamp written =
      no_time;  ///< rows of ticks, and events, up to then are left out: they may have been written, of other messages
  std::vector<Position> borders;  ///< steps must end at each of these, ascending
  struct Emitted {
    std::size_t node = 0;  ///< of a sink
    Position behind = 0;
    std::uint64_t rows = 0;
  };
  std::vector<Emitted> emitted = {};    ///< rows behind a position that a sink has, see Place::emitted
  std::string state = {};               ///< for Lane::load(); empty: start empty
  std::string lost = {};                ///< why there is no state although a snapshot is named
  Progress at = {};                     ///< of `after`: arrival time, messages consumed, numbering
  std::vector<Progress> kept = {};      ///< what is committed, ascending: the stream must bear it out
  std::vector<Peer> rivals = {};        ///< other pipelines' progress for a table of this one, which has none
  std::vector<std::string> blank = {};  ///< sinks that begin at the first message, although the pipeline ran before

  /// What arrival time does not go back behind; no_time: nothing, or what the source reminds of comes first.
  Timestamp arrival() const { return reminded != no_time ? no_time : at.place.arrival; }

  /// The furthest position that a sink has.
  Position committed() const { return kept.empty() ? 0 : kept.back().place.position; }
};

/// What the sinks of a lane together say of it.
struct Recovered {
  LaneStart start;               ///< without the borders
  Progress least;                ///< the least advanced, with the snapshot that it names
  std::vector<Progress> stands;  ///< by sink: what it has
};

/// From what each sink has (see starts_of) to where the lane starts, with the state of the snapshot that the least
/// advanced one names. If that snapshot is gone, the lane starts where it would without one: at the first message.
/// changed: something behind it was committed by another pipeline, so that replaying it would not lead to the state
/// that the rows there came from. The snapshot's owner does not matter: an owner that committed behind it began with
/// it. `replays`: whether the source gives its messages again at all.
Result<Recovered> recover(Partition partition, std::vector<Progress> stands, Snapshots& snapshots,
                          const std::string& fingerprint, bool replays = true);

/// A source that can't give again what it once gave out goes on with new messages, under the next numbers. What it
/// `reminds` of has the arrival of then.
void go_on_without_replay(LaneStart& start, bool reminds);

/// An error of a lane's source with what to do about it, if its stream has changed.
Error with_way_out(Partition partition, Error error);

/// Whether what was committed is of a stream of this name at all, and what another pipeline has committed to a table of
/// this one is not. invalid: no.
Result<void> same_stream_name(const StreamIdentity& found, Partition partition, const LaneStart& start);

/// Compares an opened source with what was committed. `begins`: what opening it answered.
/// changed: the stream was recreated, lost its end, has another message at a committed position, or no longer reaches
/// back to where the lane must begin. Says which.
Result<void> same_stream(Source& source, Partition partition, Position begins, const LaneStart& start);

/// The numbering of an opened lane's rows, see Encoded: a function of all that the numbers depend on, so that equal ids
/// mean equal rows; drawn at random where a source can't give its messages again. `at`: where the lane stands then.
std::uint32_t numbering(bool replayable, const LaneStart& start, const Progress& at);
/// The same of the rows that a sink gets: which of them are empty, and so left out, depends on its `columns`, too.
std::uint32_t numbering_of(const Node& sink, std::uint32_t lane);

/// The error for a replay that came to the position of `kept` with another number of messages than were consumed live.
Error other_count(Partition partition, const Progress& kept, std::uint64_t counted);

}  // namespace weir
