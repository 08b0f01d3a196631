/// The pipelines that `weir replay` runs, as texts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"
#include "cli/row_selection.hpp"
#include "core/config/text.hpp"

namespace weir::cli {

/// What is replayed, and how, as the command line says it.
struct Replayed {
  std::string recording;  ///< the file; empty: a stream
  std::string stream;
  std::string speed;         ///< of a recording
  std::string since, until;  ///< empty: all there is; of a stream `until` is given always
  bool flush = false;        ///< of a recording
  std::vector<std::string> sinks;
};

/// A pipeline that reads what is replayed instead of its source, and writes where the command line says. Nothing: what
/// is wrong with the command line has been said. Mistakes in the pipeline stay for the check.
std::optional<std::string> replay_of(const Replayed& replayed, const Document& pipeline, const Registry& registry,
                                     RowSelection& selection);

/// Where a recording is published to.
struct Republished {
  std::string stream;
  std::string url;         ///< empty: $NATS_URL
  std::string partitions;  ///< of the streams; empty: as many as there are
  std::string ids;         ///< what the messages' ids begin with
};

/// The pipeline that publishes a recording of so many partitions.
std::string republishing(const Replayed& replayed, const Republished& to, std::uint32_t partitions);

}  // namespace weir::cli
