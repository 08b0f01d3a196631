#include "core/checkpoint/recovery.hpp"

#include <algorithm>
#include <random>
#include <span>
#include <utility>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>
#include <weir/spelling.hpp>

#include "core/plan/fingerprint.hpp"

namespace weir {
namespace {

std::unexpected<Error> changed(Partition partition, std::string_view why) {
  return fail(Error::Kind::changed,
              weir::format("partition {0}: {1}; restore the stream, or run `weir progress reset --partition {0}`: the "
                           "lane then begins where the source's \"start\" says, with empty state",
                           partition, why));
}

/// The state of the snapshot that `least` names; where that is gone, why.
Result<void> load_state(Partition partition, const Progress& least, Snapshots& snapshots, LaneStart& start) {
  start.replay_until = least.place.position;
  if (least.snapshot.empty()) return {};
  auto snapshot = snapshots.read(least.snapshot);
  if (!snapshot && snapshot.error().kind == Error::Kind::changed) {
    start.lost = std::move(snapshot.error().message);
    return {};
  }
  if (!snapshot) return std::unexpected(snapshot.error());
  Progress& at = snapshot->at;
  if (at.place.position > start.replay_until) {
    return fail(Error::Kind::internal, weir::format("partition {}: snapshot {} is ahead of the commit at position {}",
                                                    partition, least.snapshot, start.replay_until));
  }
  start.after = at.place.position;
  start.at = std::move(at);
  start.state = std::move(snapshot->state);
  return {};
}

/// What was changed, why that matters, and what can be done: a line or two each.
Error other_pipeline(Partition partition, const Progress& kept, Position after, const std::string& fingerprint,
                     bool durable, bool any_behind) {
  std::string what;
  bool of_columns = false;
  const bool same = same_state(kept.fingerprint, fingerprint);  // but only some rows of a message were committed
  for (const Change& change : changes(kept.fingerprint, fingerprint)) {
    if (change.counts || same) what += (what.empty() ? "" : ", ") + change.words;
    of_columns |= change.of_columns;
  }
  if (what.empty()) what = "it was run by another build, which does not tell";
  const std::string from = after == 0 ? "no snapshot was kept, so " : "";
  std::string ways = "undo the change";
  if (any_behind) {
    ways +=
        "\n             or take two steps: run the old rules with all sinks of this file, let it drain (SIGTERM, or a "
        "reload), then make the change";
  } else if (durable || same) {
    ways += "\n             or run the old file once more, let it drain (SIGTERM, or a reload), then start this one";
  } else {
    ways += "\n             or give the old file a durable \"state\" store, run it, let it drain, then start this one";
  }
  ways += "\n             or `weir progress reset`, or another \"name\": all rows again, beside those that are there";
  if (of_columns) ways += weir::format("\n  next time  {}", fields_advice);
  const std::string why =
      same ? weir::format("of the message behind it {} rows are committed, and the others would be of another kind",
                          kept.place.emitted)
           : weir::format("{}messages {} to {} would be read again, but lead to another state", from, after + 1,
                          kept.place.position);
  return {Error::Kind::changed, weir::format("partition {}: the pipeline was changed since its commit at position {}\n"
                                             "  changed    {}\n"
                                             "  why not    {}\n"
                                             "  ways out   {}",
                                             partition, kept.place.position, what, why, ways)};
}

Position position_of(const Progress& progress) { return progress.place.position; }

/// One rule for all that was kept.
Result<void> same_pipeline(Partition partition, std::span<const Progress> kept, Position after,
                           const std::string& fingerprint, bool durable) {
  for (const Progress& progress : kept) {
    if (progress.place.position <= after && progress.place.emitted == 0) continue;
    // Only their number says which rows of a message a sink has, so all that makes them must be the same.
    const bool same = same_state(progress.fingerprint, fingerprint) &&
                      (progress.place.emitted == 0 || same_rows(progress.fingerprint, fingerprint));
    if (progress.fingerprint.empty() || same) continue;
    const bool any_behind =
        std::ranges::any_of(kept, [&](Position other) { return other < progress.place.position; }, position_of);
    return std::unexpected(other_pipeline(partition, progress, after, fingerprint, durable, any_behind));
  }
  return {};
}

/// What was committed, ascending; of sinks at the same position what the furthest has.
std::vector<Progress> kept_of(const std::vector<Progress>& stands) {
  std::vector<Progress> kept;
  for (const Progress& progress : stands) {
    if (progress.place.position == 0) continue;
    const auto same = std::ranges::find(kept, progress.place.position, position_of);
    if (same == kept.end()) {
      kept.push_back(progress);
    } else {
      same->place.emitted = std::max(same->place.emitted, progress.place.emitted);
      same->place.latest_tick = std::max(same->place.latest_tick, progress.place.latest_tick);
    }
  }
  std::ranges::sort(kept, {}, position_of);
  return kept;
}

}  // namespace

Result<Recovered> recover(Partition partition, std::vector<Progress> stands, Snapshots& snapshots,
                          const std::string& fingerprint, bool replays) {
  Progress least = stands.empty() ? Progress{} : std::ranges::min(stands, {}, position_of);
  LaneStart start;
  if (auto loaded = load_state(partition, least, snapshots, start); !loaded) return std::unexpected(loaded.error());
  const auto same =
      replays ? same_pipeline(partition, stands, start.after, fingerprint, snapshots.durable()) : Result<void>{};
  if (!same) return std::unexpected(same.error());
  start.at.resets = least.resets;
  start.kept = kept_of(stands);
  for (const Progress& progress : start.kept) {
    if (progress.place.position <= start.after)
      start.at.place.arrival = std::max(start.at.place.arrival, progress.place.arrival);
  }
  return Recovered{std::move(start), std::move(least), std::move(stands)};
}

void go_on_without_replay(LaneStart& start, bool reminds) {
  if (start.kept.empty()) return;
  // What led from the state to the commit is gone, so ticks that were written may come again, of other samples. Not
  // where all values of then come first, for a state of their own: it closes those ticks in silence.
  // Nor is the rest of a step of which a part was committed.
  const bool in_parts = std::ranges::any_of(start.kept, [](const Progress& kept) { return kept.place.emitted != 0; });
  const bool whole = !in_parts && (start.state.empty() ? reminds : start.after == start.committed());
  if (!whole) {
    for (const Progress& kept : start.kept) start.written = std::max(start.written, kept.place.latest_tick);
  }
  start.after = start.replay_until = start.committed();
  start.at = start.kept.back();
  if (reminds) start.reminded = start.at.place.arrival;
}

Error with_way_out(Partition partition, Error error) {
  const bool of_stream = error.kind == Error::Kind::changed && error.setting == "stream";
  return of_stream ? changed(partition, error.message).error() : error;
}

Result<void> same_stream_name(const StreamIdentity& found, Partition partition, const LaneStart& start) {
  for (const Progress& kept : start.kept) {
    if (found.stream.empty() || kept.stream.stream.empty() || kept.stream.stream == found.stream) continue;
    return fail(Error::Kind::invalid,
                weir::format("partition {}: what this pipeline has committed is of stream {}, but the file reads {}; "
                             "another job, a copy of this one too, needs a \"name\" of its own",
                             partition, kept.stream.stream, found.stream));
  }
  for (const Peer& rival : start.rivals) {
    if (found.stream.empty() || rival.stream != found.stream) continue;
    return fail(
        Error::Kind::invalid,
        weir::format("partition {}: pipeline {} has progress for the same table and stream {}: if it was renamed, "
                     "write \"renamed_from\": {} beside \"name\"; if both are to write that table, write "
                     "\"start\": \"stream\" in the sink",
                     partition, quoted(rival.pipeline), found.stream, quoted(rival.pipeline)));
  }
  return {};
}

Result<void> same_stream(Source& source, Partition partition, Position begins, const LaneStart& start) {
  const StreamIdentity found = source.identity();
  for (const Progress& kept : start.kept) {
    if (!kept.stream.stream.empty() && kept.stream != found) {
      return changed(partition, weir::format("stream {} is not the one that was read up to position {}: it "
                                             "was recreated at {}",
                                             found.stream, kept.place.position, format_rfc3339(found.created)));
    }
    if (kept.place.stamp == no_time) continue;
    const auto stamp = source.arrival_at(kept.place.position);
    if (!stamp) {
      if (stamp.error().kind != Error::Kind::changed) return std::unexpected(stamp.error());
      return changed(partition, stamp.error().message);
    }
    if (stamp->has_value() && **stamp != kept.place.stamp) {
      return changed(partition, weir::format("message {} of stream {} is of {}, but the one that was read was of {}: "
                                             "the server lost messages and gave their numbers to others",
                                             kept.place.position, found.stream, format_rfc3339(**stamp),
                                             format_rfc3339(kept.place.stamp)));
    }
  }
  if (start.kept.empty() || start.after != 0) return {};
  if (!start.blank.empty() && begins != 0) {
    return fail(Error::Kind::changed,
                weir::format("partition {}: sink {} can't begin at the first message of stream {}, which now begins "
                             "after {}; write \"start\": \"now\" there, and it begins where the other sinks stand",
                             partition, start.blank.front(), found.stream, begins));
  }
  // Where the count is known the replay will tell, unless there is none.
  const Progress& last = start.kept.back();
  if (last.place.consumed == 0 ? begins != 0 : begins >= last.place.position) {
    return changed(
        partition,
        weir::format("{} and the stream no longer reaches back to its first message, so the "
                     "state at position {} can't be made again{}",
                     start.lost.empty() ? "no snapshot was kept" : start.lost, last.place.position,
                     start.lost.empty() ? "; a durable \"state\" store keeps one, from the first \"every\" on" : ""));
  }
  return {};
}

std::uint32_t numbering(bool replayable, const LaneStart& start, const Progress& at) {
  if (!replayable) return std::random_device{}();
  // The state's numbers go on, if the same rows are made of what follows.
  const bool same_rows = without_requesters(start.at.fingerprint) == without_requesters(at.fingerprint);
  if (start.at.numbering != 0 && same_rows) return start.at.numbering;
  // Without a state they begin at the first message there is; with one of an older build nobody knows where they did.
  const Position begins = start.state.empty() ? at.place.position : 0;
  return static_cast<std::uint32_t>(checksum(weir::format("{} {} {} {} {}", without_requesters(at.fingerprint),
                                                          at.stream.stream, at.stream.created, begins, at.resets)));
}

std::uint32_t numbering_of(const Node& sink, std::uint32_t lane) {
  if (sink.columns.empty() || sink.write_empty) return lane;
  std::string text;
  for (const RowColumn& column : sink.columns) {
    text += weir::format("{}\n{} {} {} {}\n", column.field, static_cast<int>(column.fill),
                         static_cast<int>(column.kind), column.max_gap, column.max_age);
  }
  return lane ^ static_cast<std::uint32_t>(checksum(text));
}

Error other_count(Partition partition, const Progress& kept, std::uint64_t counted) {
  return changed(partition,
                 weir::format("{} messages lead to position {} of stream {}, but {} did when they were read: "
                              "some of them are gone, so the state there can't be made again",
                              counted, kept.place.position, kept.stream.stream, kept.place.consumed))
      .error();
}

}  // namespace weir
