#include "reference/sessions.hpp"

namespace weir::reference {

// "A session is a run of a vehicle's samples without an event-time gap over `timeout` or an *off* between them."
std::vector<Session> sessions_of(std::list<Taken>& samples, Duration timeout) {
  std::vector<Session> out;
  for (Taken& taken : samples) {
    if (taken.gone) continue;
    const Timestamp time = taken.sample.time;
    const bool behind_gap = !out.empty() && time - out.back().last() > timeout;
    const bool behind_off = !out.empty() && out.back().by_off && time > out.back().last();
    if (out.empty() || behind_gap || behind_off) out.emplace_back();
    out.back().samples.push_back(&taken);
    out.back().by_off |= taken.off;
  }
  // What ends a session is its off, or the first arrival of what is behind the gap.
  for (Session& session : out) {
    for (const Taken& taken : samples) {
      const bool is_its_off = taken.off && taken.sample.time == session.last();
      const bool is_behind = !session.by_off && taken.sample.time > session.last();
      if (is_its_off || is_behind) session.ended = std::min(session.ended.value_or(end_of_time), taken.sample.arrival);
    }
  }
  return out;
}

/// "While it is not over, a sample within `timeout` of either end extends it, and one that bridges two runs merges
/// them." "An ended session takes its own samples (up to the boundary)".
bool belongs(Timestamp time, const std::vector<Session>& sessions, Duration timeout) {
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    const Session& session = sessions[i];
    const bool behind_its_off = session.by_off && time > session.last();
    const bool before_its_first_off = i > 0 && sessions[i - 1].by_off && time <= sessions[i - 1].last();
    const bool near = time >= session.first() - timeout && time <= session.last() + timeout;
    if (near && !behind_its_off && !before_its_first_off) return true;
  }
  return sessions.empty() || time > sessions.back().last();
}

}  // namespace weir::reference
