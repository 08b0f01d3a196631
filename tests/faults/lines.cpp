#include "faults/lines.hpp"

#include <algorithm>
#include <cmath>

#include <weir/format.hpp>

namespace weir::faults {
namespace {

constexpr std::size_t most_differences = 12;
constexpr std::size_t geo_cells = 2;  // latitude and longitude come out of different series of functions
constexpr double geo_tolerance = 1e-9;

bool same(const Line& wanted, const Line& found) {
  if (wanted.text != found.text || wanted.cells.size() != found.cells.size()) return false;
  for (std::size_t c = 0; c < wanted.cells.size(); ++c) {
    const double a = wanted.cells[c], b = found.cells[c];
    if (std::isnan(a) != std::isnan(b)) return false;
    if (!std::isnan(a) && std::abs(a - b) > (c < geo_cells ? geo_tolerance : 0)) return false;
  }
  return true;
}

std::string told(const Line& line) {
  std::string out = weir::format("{} {} {} {}", line.key, line.time, line.word, line.text);
  for (const double cell : line.cells) out += weir::format(" {}", cell);
  return out;
}

}  // namespace

Comparison compare(std::string_view table, std::vector<Line> wanted, std::vector<Line> found,
                   std::vector<std::string>& differences) {
  Comparison out{.expected = wanted.size()};
  const auto differ = [&](std::uint64_t& counter, std::string_view what, const Line& line,
                          const Line* other = nullptr) {
    ++counter;
    if (differences.size() >= most_differences) return;
    differences.push_back(weir::format("{} {}: {}{}", table, what, told(line), other ? ", not " + told(*other) : ""));
  };
  std::ranges::sort(wanted, {}, &Line::id);
  std::ranges::stable_sort(found, {}, &Line::id);
  auto want = wanted.begin();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Line& line = found[i];
    while (want != wanted.end() && want->id() < line.id()) differ(out.lost, "lost", *want++);
    const bool again = i > 0 && found[i - 1].id() == line.id();
    if (again) {
      differ(out.duplicated, "duplicated", line);
    } else if (want == wanted.end() || want->id() != line.id()) {
      differ(out.foreign, "foreign", line);
    } else {
      if (!same(*want, line)) differ(out.changed, "changed", line, &*want);
      ++want;
    }
    const bool later = i > 0 && !again && found[i - 1].key == line.key && found[i - 1].time < line.time;
    if (later && found[i - 1].transaction > line.transaction) differ(out.misordered, "committed too early", line);
  }
  while (want != wanted.end()) differ(out.lost, "lost", *want++);
  return out;
}

}  // namespace weir::faults
