/// Where each sink of a lane begins: sinks come and go while a pipeline has progress.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/sink.hpp>

#include "core/plan/pipeline.hpp"

namespace weir {

/// What is known of one sink of a lane.
struct SinkPlace {
  std::string id;
  bool keeps = false;  ///< progress
  std::optional<SinkBegins> begins = {};
  Progress kept = {};  ///< of one that keeps progress
};

/// What a sink does next.
enum class SinkAction : std::uint8_t {
  resume,       ///< goes on from its own place
  begin_now,    ///< is new, and begins where the furthest stands; one that keeps progress does not say so yet
  begin_first,  ///< begins where the source does: at its first message
  lost          ///< had progress, which is gone
};

struct SinkStart {
  SinkAction action = SinkAction::begin_first;
  Progress at = {};  ///< what it has
  bool operator==(const SinkStart& other) const {
    return action == other.action && at.place.position == other.at.place.position && at.resets == other.at.resets;
  }
};

/// Decides for the sinks of one lane together; pure. A sink without progress of its own has what the furthest of those
/// has that name it in their progress: a commit waits until every other output is durable. `latest`: of the snapshot
/// that was named last, by whatever sinks there were; counts as one more sink's, unless it is of before a reset.
std::vector<SinkStart> starts_of(std::vector<SinkPlace> sinks, const Progress& latest = {});

/// A sink that has no progress, or one that says "renamed_from", and what lies beside it, see Sink::peers().
struct RenamedSink {
  const Node& node;
  bool has_progress = false;  ///< under Node::kept_id()
  std::vector<Peer> peers = {};
};
/// Why it can't begin: it was renamed, and does not say so; or both of its ids have progress. Empty: it can. Pure.
std::string rename_problem(const Pipeline& pipeline, const RenamedSink& sink);

/// What to write where an id is gone, and a new one may be the same node: a sink's that has progress, or a transform's.
std::string renamed_words(std::string_view id, std::string_view old, bool has_progress);

/// What a list as Progress::sinks says of a sink.
enum class SinkMention : std::uint8_t { none, awaited, known };
SinkMention mention_of(std::string_view id, std::string_view sinks);
/// Adds a sink to such a list.
void add_mention(std::string_view id, bool known, std::string& sinks);

}  // namespace weir
