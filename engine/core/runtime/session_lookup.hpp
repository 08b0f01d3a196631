/// What a lane's last snapshot tells of a key: the only place outside of its worker that knows.
#pragma once

#include <optional>
#include <string_view>

#include <weir/sink.hpp>
#include <weir/transform.hpp>

#include "core/plan/pipeline.hpp"

namespace weir {

/// A key's session at an instant that has gone by.
struct SeenSession {
  std::optional<KeySession> session;  ///< nothing: it had none
  Position position = 0;              ///< of the snapshot
  Timestamp arrival = no_time;        ///< that was reached there
};

/// Loads the snapshot that `line` names, as a lane would that starts there. Makes nothing but, if it was deleted, what
/// the store keeps values in.
/// invalid: there is none to look at, and why. changed: it is gone or not whole, or is of another pipeline.
Result<SeenSession> last_session(const Pipeline& pipeline, const Registry& registry, const ProgressLine& line,
                                 std::string_view key);

}  // namespace weir
