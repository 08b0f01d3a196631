#include "faults/harness/report.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <weir/format.hpp>

#include "bench/table.hpp"

namespace weir::faults {
namespace {

void add_to(Comparison& sum, const Comparison& one) {
  sum.expected += one.expected;
  sum.lost += one.lost;
  sum.duplicated += one.duplicated;
  sum.changed += one.changed;
  sum.foreign += one.foreign;
  sum.misordered += one.misordered;
}

void print_line(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void print_recovery(const std::string& name, std::size_t times, const std::vector<double>& seconds) {
  print_line(
      weir::format("{:<20} {:>6} {:>11} s {:>7} s {:>7} s", name, times, bench::fixed(bench::quantile(seconds, 0.5), 2),
                   bench::fixed(bench::quantile(seconds, 0.99), 2), bench::fixed(bench::quantile(seconds, 1), 2)));
}

void print_comparison(const std::string& name, const Comparison& comparison) {
  print_line(weir::format("{:<20} {:>8} {:>8} {:>11} {:>8} {:>8} {:>11}", name, comparison.expected, comparison.lost,
                          comparison.duplicated, comparison.changed, comparison.foreign, comparison.misordered));
}

}  // namespace

void Report::add(const Outcome& outcome) {
  for (const auto& [name, times] : outcome.times) sum_.times[name] += times;
  for (const auto& [name, seconds] : outcome.recoveries) sum_.recoveries[name].append_range(seconds);
  for (const auto& [code, times] : outcome.exits) sum_.exits[code] += times;
  for (const auto& [deed, times] : outcome.deeds) sum_.deeds[deed] += times;
  add_to(sum_.verdict.rows, outcome.verdict.rows);
  add_to(sum_.verdict.twins, outcome.verdict.twins);
  add_to(sum_.verdict.copies, outcome.verdict.copies);
  add_to(sum_.verdict.sessions, outcome.verdict.sessions);
  add_to(sum_.verdict.letters, outcome.verdict.letters);
  sum_.verdict.messages += outcome.verdict.messages;
  sum_.verdict.acknowledged += outcome.verdict.acknowledged;
  sum_.verdict.gone += outcome.verdict.gone;
  sum_.verdict.unbalanced += outcome.verdict.unbalanced;
  sum_.verdict.outdated += outcome.verdict.outdated;
  sum_.verdict.named += outcome.verdict.named;
  sum_.verdict.unstored += outcome.verdict.unstored;
  if (!outcome.versions.empty()) sum_.versions = outcome.versions;
}

void Report::print(double seconds) const {
  print_line(weir::format("\n{:<20} {:>6} {:>13} {:>9} {:>9}", "fault", "times", "recovery p50", "p99", "max"));
  std::size_t all = 0;
  std::vector<double> together;
  for (const auto& [name, times] : sum_.times) {
    const auto found = sum_.recoveries.find(name);
    const std::vector<double> taken = found == sum_.recoveries.end() ? std::vector<double>{} : found->second;
    print_recovery(name, times, taken);
    all += times;
    together.append_range(taken);
  }
  print_recovery("all", all, together);
  print_line(weir::format("\n{:<20} {:>8} {:>8} {:>11} {:>8} {:>8} {:>11}", "compared", "expected", "lost",
                          "duplicated", "changed", "foreign", "misordered"));
  print_comparison("rows", sum_.verdict.rows);
  if (sum_.verdict.twins.expected > 0) print_comparison("in a second database", sum_.verdict.twins);
  print_comparison("copies", sum_.verdict.copies);
  print_comparison("sessions", sum_.verdict.sessions);
  print_comparison("dead letters", sum_.verdict.letters);
  print_line(weir::format("\n{} messages in the streams; {} were acknowledged, {} of these are not there",
                          sum_.verdict.messages, sum_.verdict.acknowledged, sum_.verdict.gone));
  print_line(weir::format("{} counts were not what went in or came out; {} current values were outdated",
                          sum_.verdict.unbalanced, sum_.verdict.outdated));
  print_line(weir::format("snapshots that progress named were looked for {} times; {} were not there",
                          sum_.verdict.named, sum_.verdict.unstored));
  for (const auto& [deed, times] : sum_.deeds) print_line(weir::format("workers that got {}: {}", deed, times));
  for (const auto& [code, times] : sum_.exits)
    print_line(weir::format("workers that ended with exit code {}: {}", code, times));
  print_line(weir::format("{}; {:.0f} s", sum_.versions, seconds));
}

void print_failure(const Play& play, const Outcome& outcome) {
  print_line(weir::format("\nseed {}: not as it should be", play.seed));
  if (!outcome.failure.empty()) print_line(outcome.failure);
  for (const std::string& line : outcome.verdict.differences) print_line("  " + line);
  const auto all =
      std::ranges::count_if(faults(), [&](const Fault& kind) { return kind.fits(play.nats_servers, play.databases); });
  std::string only;
  for (const Fault* kind : play.kinds)
    only += std::cmp_less(play.kinds.size(), all) ? weir::format(" --only {}", kind->name) : "";
  print_line(weir::format("again: deploy/dev faults --seed {} --kills {} --nats {} --databases {} --together {}{}",
                          play.seed, play.rounds, play.nats_servers, play.databases, play.together, only));
}

}  // namespace weir::faults
