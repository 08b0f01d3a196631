/// What the script of a case sends, as a lane gets it: samples as batches past the source, messages as it would pull
/// them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/runtime/lane.hpp"
#include "core/testing/cases.hpp"

namespace weir {

/// The value that a cell of a script means: `12`, `52.5/13.4`, `52.5/13.4/30`; anything else, or in quotes, is a text.
void read_value(const TableCell& cell, CaseSample& out);

/// The bytes that pairs of hexadecimal digits mean, with blanks anywhere; nothing if it is something else.
std::optional<std::string> bytes_of(std::string digits);

/// The messages of a recording that arrived from one instant on and before another. invalid, refused, changed: as
/// recording::Reader, and changed if any of it is damaged or its last commit is not whole; exhausted: they are too many
/// for a case.
Result<std::vector<CaseMessage>> recorded_messages(const std::string& path, Timestamp from, Timestamp until);

/// One thing that arrives: a sample, a message, or, of neither, time at the end of a step that has none.
struct Arrival {
  Timestamp at = 0;
  const CaseSample* sample = nullptr;
  const CaseMessage* message = nullptr;
  bool time_only() const { return sample == nullptr && message == nullptr; }
};

/// What a step lets arrive; the step must outlive it.
std::vector<Arrival> arrivals_of(const CaseStep& step);

/// Arrivals that may be fed together, at most `most`: time passes only behind the last, and messages are apart from
/// samples.
std::size_t length_of_feed(std::span<const Arrival> arrivals, std::size_t most);

/// The messages that a source gives out, behind position `first`; the arrivals must outlive them.
std::shared_ptr<const Messages> messages_of(std::span<const Arrival> arrivals, Position first, const Node& source);

/// The samples as a batch behind position `first`. Nothing if the pipeline's bound on keys or fields is reached.
BatchPtr samples_of(std::span<const Arrival> arrivals, Position first, const Lane& lane);

}  // namespace weir
