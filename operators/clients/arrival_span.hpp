/// Which messages are meant, by when they arrived: the settings `since` and `until`.
#pragma once

#include <vector>

#include <weir/rfc3339.hpp>
#include <weir/settings.hpp>
#include <weir/types.hpp>

namespace weir {

struct ArrivalSpan {
  Timestamp since = no_time;
  Timestamp until = end_of_time;  ///< the first instant that is not meant

  static ArrivalSpan of(const Settings& settings) {
    ArrivalSpan out;
    if (settings.has("since")) out.since = parse_rfc3339(settings.text("since")).value_or(no_time);
    if (settings.has("until")) out.until = parse_rfc3339(settings.text("until")).value_or(end_of_time);
    return out;
  }

  /// What is wrong with the settings.
  static std::vector<Error> problems(const Settings& settings) {
    std::vector<Error> out;
    for (const char* name : {"since", "until"}) {
      if (settings.has(name) && !parse_rfc3339(settings.text(name)))
        out.push_back({Error::Kind::invalid, "not an instant; write it as \"2026-01-31T00:00:00Z\"", name});
    }
    return out;
  }
};

}  // namespace weir
