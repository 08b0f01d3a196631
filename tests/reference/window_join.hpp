/// The slow, obvious reference of window-join: what section 6 of the design says, without any thought of speed.
///
/// It keeps every sample of the sessions that are not over, and at each arrival works out from all of them again which
/// sessions there are, which fields have passed, when each tick closes and what its brackets are. It shares neither
/// code nor structure with the operator, so that both must have understood the same thing. Not in it: limits of memory
/// that no random stream reaches (65533 ticks or samples of one field, 100000 rows of one message).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <weir/transform.hpp>

namespace weir::reference {

/// What a sample says. A number has only x.
struct Value {
  double x = 0;
  std::optional<double> y = {}, z = {};
  std::optional<std::string> text = {};
};

struct Sample {
  std::string key;
  std::string field;
  Timestamp time = 0;
  Value value = {};
  Timestamp arrival = 0;  ///< never descends from one input to the next
};

/// One thing that comes in: a sample, or the news that arrival time has got this far.
struct Input {
  std::optional<Sample> sample;
  Timestamp reached = 0;  ///< without a sample
};

struct SessionSettings {
  std::string field;
  double on = 1;
  double off = 0;
};

struct JoinSettings {
  std::vector<std::string> fields;
  Duration every = second;
  Duration wait = 2 * second;
  Duration disorder = 0;
  std::optional<SessionSettings> session = {};
  Duration timeout = 30 * second;
  Duration max_ahead = 5 * second;
  Duration max_behind = 24 * 60 * minute;
  Duration forget = 24 * 60 * minute;
  std::size_t max_pending = 65536;
};

/// One end of a bracket.
struct Reading {
  Timestamp time = 0;
  Value value = {};
};

struct Bracket {
  std::optional<Reading> before = {};
  std::optional<Reading> after = {};
};

struct BracketRow {
  std::string key;
  Timestamp tick = 0;
  Timestamp arrival = 0;          ///< when the tick closed
  std::vector<Bracket> brackets;  ///< one per field, in the order of JoinSettings::fields
};

struct SessionEvent {
  std::string key;
  std::string event;   ///< start, end
  std::string reason;  ///< on, sample; off, timeout, lost
  Timestamp time = 0;
  Timestamp arrival = 0;
};

/// Everything that comes out, each in the order in which it does, and what can be asked in the end.
struct Joined {
  std::vector<BracketRow> rows;
  std::vector<SessionEvent> sessions;
  std::vector<Sample> late;
  std::vector<Sample> refused;
  std::map<std::string, std::uint64_t>
      counters;                              ///< late, stale_offs, other_fields, empty_sessions, early_closed_ticks
  std::map<std::string, KeySession> latest;  ///< session of each vehicle that is not over
  std::optional<Timestamp> due = {};         ///< arrival at which something happens next without a sample
  std::size_t merged = 0;                    ///< samples that bridged two sessions
  std::size_t divided = 0;                   ///< offs inside a session, before samples of it
};

Joined window_join(const std::vector<Input>& inputs, const JoinSettings& settings);

}  // namespace weir::reference
