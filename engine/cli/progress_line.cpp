#include "cli/progress_line.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include <weir/format.hpp>
#include <weir/rfc3339.hpp>

#include "core/observe/log.hpp"

namespace weir::cli {
namespace {

std::string behind(const Worker::Status& status) {
  std::uint64_t waiting = 0;
  for (const auto& lane : status.lanes) waiting += lane.waiting;
  return waiting == 0 ? "" : weir::format("  {} messages waiting", waiting);
}

}  // namespace

double Way::done(const std::vector<LaneRun::Status>& lanes) const {
  Timestamp least = end_of_time, most = no_time;
  for (const LaneRun::Status& lane : lanes) {
    most = std::max(most, lane.reached);
    if (lane.waiting > 0 && lane.reached != no_time) least = std::min(least, lane.reached);
  }
  const Timestamp at = least == end_of_time ? most : least;
  if (until == end_of_time || from == no_time || at == no_time || from >= until) return -1;
  return std::clamp(
      (static_cast<double>(at) - static_cast<double>(from)) / (static_cast<double>(until) - static_cast<double>(from)),
      0.0, 1.0);
}

std::string bar(double done, Timestamp until) {
  constexpr std::size_t columns = 20;
  if (done < 0) return {};
  const auto full = static_cast<std::size_t>(done * columns);
  return weir::format("[{}{}] {:3.0f} % to {}", std::string(full, '#'), std::string(columns - full, '-'), done * 100,
                      format_rfc3339(until));
}

ProgressLine::ProgressLine(bool quiet, bool for_programs, const Way& way)
    : terminal_{isatty(STDERR_FILENO) == 1}, quiet_{quiet || (terminal_ && for_programs)}, way_{way} {}

bool ProgressLine::is_due(Timestamp now) const {
  const Duration every = terminal_ ? second / 2 : 10 * second;
  return !quiet_ && (last_ == no_time || now - last_ >= every);
}

void ProgressLine::show(const Worker::Status& status, std::uint64_t samples, Timestamp now) {
  const double past = last_ == no_time ? 1.0 : static_cast<double>(now - last_) / static_cast<double>(second);
  const auto rate = [past](std::uint64_t value, std::uint64_t before) {
    return static_cast<double>(value - std::min(value, before)) / past;
  };
  if (way_.from == no_time) {
    for (const auto& lane : status.lanes) {
      if (lane.reached != no_time) way_.from = std::min(way_.from == no_time ? end_of_time : way_.from, lane.reached);
    }
  }
  std::string heading = bar(way_.done(status.lanes), way_.until);
  if (!heading.empty()) heading += "  ";
  const std::string text =
      heading + weir::format("{} samples ({:.0f}/s)  {} rows ({:.0f}/s){}{}", samples, rate(samples, samples_),
                             status.rows, rate(status.rows, rows_), behind(status),
                             status.conditions.empty() ? "" : "  ! " + status.conditions.front());
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
