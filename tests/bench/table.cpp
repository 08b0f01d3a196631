#include "bench/table.hpp"

#include <cstdio>

#include <weir/format.hpp>

namespace weir::bench {
namespace {

void print_row(const std::string& what, const std::string& weir, const std::string& other, const std::string& shown,
               const std::string& goal, const std::string& verdict) {
  std::printf("%s\n",
              weir::format("{:<76} {:>13} {:>13} {:>9}  {:<13} {}", what, weir, other, shown, goal, verdict).c_str());
  std::fflush(stdout);
}

std::string verdict_of(const Figure& figure) {
  if (figure.goal == Figure::Goal::none) return "";
  const bool least = figure.goal == Figure::Goal::at_least;
  if (least ? figure.value >= figure.limit : figure.value <= figure.limit) return "met";
  return weir::format("missed by {:.0f} %", 100 * std::abs(figure.value - figure.limit) / figure.limit);
}

}  // namespace

void print_head() { print_row("figure", "weir", "beside it", "ratio", "goal", ""); }

void print(const Figure& figure) {
  const std::string sign = figure.goal == Figure::Goal::none       ? ""
                           : figure.goal == Figure::Goal::at_least ? ">= "
                                                                   : "<= ";
  print_row(figure.what, figure.weir, figure.other, figure.shown, sign + figure.limit_text, verdict_of(figure));
  if (!figure.note.empty()) std::printf("    %s\n", figure.note.c_str());
  std::fflush(stdout);
}

std::string scaled(double value) {
  if (value >= 1e6) return weir::format("{:.2f} M", value / 1e6);
  if (value >= 1e3) return weir::format("{:.1f} k", value / 1e3);
  return weir::format("{:.1f}", value);
}

std::string fixed(double value, int digits) { return weir::format("{:.{}f}", value, digits); }

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace weir::bench
