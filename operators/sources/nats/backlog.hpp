/// What a partition's stream holds beyond a place, asked without reading it.
#pragma once

#include <optional>
#include <string>

#include <weir/source.hpp>
#include <weir/types.hpp>

#include "clients/nats_jetstream.hpp"

namespace weir::nats {

/// Where a lane begins that has done nothing yet.
struct Beginning {
  bool only_new = false;               ///< behind all that is stored when it does
  std::optional<Timestamp> time = {};  ///< at the first message stored at or after it; else at the first there is
};

/// Beyond position 0 lies what a lane would read that begins now; nothing, if there is no stream yet. Messages that
/// were deleted out of the middle of the stream are counted as if they were there, as long as one behind them is.
/// changed: the stream is gone, was recreated, or ends before the place.
Result<Backlog> backlog_beyond(JetStream& jetstream, const std::string& stream, const PartitionPlace& place,
                               const Beginning& beginning);

}  // namespace weir::nats
