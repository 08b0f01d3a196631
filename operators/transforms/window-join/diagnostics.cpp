#include "transforms/window-join/diagnostics.hpp"

#include <weir/format.hpp>
#include <weir/spelling.hpp>
#include <weir/units.hpp>

#include <algorithm>

namespace weir::window_join {

std::string Diagnostics::look(const Seen& seen, const Counts& counts, const Dictionary& known) {
  samples_ += seen.samples;
  others_ += counts.other_fields;
  empty_sessions_ += counts.empty_sessions;
  if (seen.rows != 0) sessions_told_ = true;
  if (first_ == no_time && seen.samples != 0) first_ = seen.reached;
  // Where no column is met at all, few samples tell.
  const bool none_fits = others_ == samples_ && samples_ >= few_samples;
  const bool enough = samples_ >= enough_samples;
  const auto bounded = [](Timestamp time) { return std::clamp(time, Rules::earliest, Rules::latest); };
  const Duration heard = bounded(seen.reached) - bounded(first_);
  if (!fields_told_ && ((none_fits && (enough || heard >= a_while)) || (enough && heard >= long_enough))) {
    fields_told_ = true;
    if (std::string said = missing_fields(known); !said.empty()) return said;
  }
  if (!sessions_told_ && empty_sessions_ >= enough_sessions) {
    sessions_told_ = true;
    return weir::format(
        "{} sessions without a row: none had a tick of {} between its first and its last sample; where a sensor pauses "
        "for longer than {}, raise \"session\": {{\"timeout\": …}}",
        empty_sessions_, format_duration(rules_.every), format_duration(rules_.timeout));
  }
  return {};
}

std::string Diagnostics::missing_fields(const Dictionary& known) const {
  constexpr std::size_t most = 12;
  std::vector<std::string> names, missing;
  for (std::uint32_t id = 0; id < known.size(); ++id) {
    const std::uint16_t slot = slots_.of(known.at(id));
    if (slot == Slots::none || has_met(slot)) names.emplace_back(known.at(id));
  }
  for (std::size_t slot = 1; slot < slots_.size(); ++slot) {
    if (!has_met(slot)) missing.emplace_back(slots_.name(slot));
  }
  if (missing.empty()) return {};
  std::ranges::sort(names);
  const bool more = names.size() > most;
  if (more) names.resize(most);
  return weir::format("no sample of {} so far; fields that came: {}{}", listed(missing), listed(names),
                      more ? ", …" : "");
}

}  // namespace weir::window_join
