/// A look at a place of a running pipeline, as the text that goes over the wire.
#pragma once

#include <memory>
#include <string>

#include "console/tap_lines.hpp"
#include "core/coordination/worker.hpp"
#include "core/runtime/taps.hpp"

namespace weir {

/// Threads   one.
class TapStream {
 public:
  static constexpr Duration patience = 200 * millisecond;
  static constexpr Duration longest_silence = 5 * second;  ///< then an empty line says that the worker is there

  /// `clock` must outlive it. `first`: news that come before all; empty: none.
  TapStream(std::unique_ptr<Tap> tap, TapSelection selection, const Clock& clock, std::string first = {})
      : tap_{std::move(tap)},
        lines_{std::move(selection)},
        clock_{clock},
        first_{std::move(first)},
        spoke_{clock.steady()} {}

  /// Lines, or nothing if none has come within `patience`.
  std::string next();
  /// next() has nothing more.
  bool over() const { return over_; }

 private:
  std::unique_ptr<Tap> tap_;
  TapLines lines_;
  const Clock& clock_;
  std::string first_;
  Timestamp spoke_;
  bool over_ = false;
};

/// Which of the vehicles that are wanted are at other workers, as a sentence; empty: none, as far as can be told.
std::string elsewhere(const TapSelection& selection, const Pipeline& pipeline, const Worker::Status& status);

}  // namespace weir
