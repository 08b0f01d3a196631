/// Prints the table of figures. Each line is measured in one run together with what it is compared to, as absolute
/// times say little on a shared machine.

#include <cstdio>

#include "bench/join.hpp"

int main() {
  using namespace weir::bench;
  std::printf("%-74s %14s %14s %8s  %s\n", "figure", "weir", "bare loop", "ratio", "goal");
  const JoinFigures join = measure_join(100'000, 4, true);
  std::printf("%-74s %12.1f M %12.1f M %8.2f  %s\n",
              "(c) samples/s per core: memory -> keyed-last-value -> window-join -> drop", join.per_core / 1e6,
              join.bare / 1e6, join.per_core / join.bare, ">= 15 M");
  std::printf("%-74s %14s %14s %8.2f  %s\n", "(c) two lanes, as a multiple of one", "", "", join.lanes_factor,
              ">= 1.8");
  std::printf("%-74s %12.1f B %14s %8s  %s\n", "(d) memory per (vehicle, field), waiting samples included",
              join.state_bytes, "", "", "<= 64 B beside waiting samples");
  return 0;
}
