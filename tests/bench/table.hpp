/// The table that `deploy/dev bench` prints.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace weir::bench {

/// One line. Texts are as they are printed.
struct Figure {
  std::string what;
  std::string weir = {};   ///< what was measured
  std::string other = {};  ///< of what it is held against, in the same run; empty: nothing
  double value = 0;        ///< what the goal is about
  std::string shown = {};  ///< `value` as it is printed
  enum class Goal : unsigned char { none, at_least, at_most } goal = Goal::none;
  double limit = 0;
  std::string limit_text = {};
  std::string note = {};  ///< what was measured beside it, and what holds it back
};

/// What a measurement calls with each line as soon as it is known.
using Show = void (*)(const Figure&);

/// Prints the head, and a line with whether the goal was met or by how much it was not.
void print_head();
void print(const Figure& figure);

/// "1.23 M", "45.6 k"
std::string scaled(double value);
std::string fixed(double value, int digits);

/// The value below which this share of the values lies.
double quantile(std::vector<double> values, double share);
inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

}  // namespace weir::bench
