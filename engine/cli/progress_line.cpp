#include "cli/progress_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include <weir/format.hpp>

#include "core/log.hpp"

namespace weir::cli {
namespace {

std::string behind(const Worker::Status& status) {
  std::uint64_t waiting = 0;
  for (const auto& lane : status.lanes) waiting += lane.waiting;
  return waiting == 0 ? "" : weir::format("  {} messages waiting", waiting);
}

}  // namespace

ProgressLine::ProgressLine(bool quiet, bool for_programs)
    : terminal_{isatty(STDERR_FILENO) == 1}, quiet_{quiet || (terminal_ && for_programs)} {}

bool ProgressLine::is_due(Timestamp now) const {
  const Duration every = terminal_ ? second / 2 : 10 * second;
  return !quiet_ && (last_ == no_time || now - last_ >= every);
}

void ProgressLine::show(const Worker::Status& status, std::uint64_t samples, Timestamp now) {
  const double past = last_ == no_time ? 1.0 : static_cast<double>(now - last_) / static_cast<double>(second);
  const auto rate = [past](std::uint64_t value, std::uint64_t before) {
    return static_cast<double>(value - std::min(value, before)) / past;
  };
  const std::string text = weir::format("{} samples ({:.0f}/s)  {} rows ({:.0f}/s){}{}", samples,
                                        rate(samples, samples_), status.rows, rate(status.rows, rows_), behind(status),
                                        status.troubles.empty() ? "" : "  ! " + status.troubles.front());
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    shown_ = true;
  } else if (last_ != no_time) {
    log::info("{}", text);
  }
  last_ = now;
  samples_ = samples;
  rows_ = status.rows;
}

void ProgressLine::end() {
  if (shown_) std::fputs("\n", stderr);
  shown_ = false;
}

}  // namespace weir::cli
