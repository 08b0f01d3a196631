/// Prints the table of figures. Each line is measured in one run together with what it is compared to, as absolute
/// times say little on a shared machine.

#include <cstdio>

#include "bench/copy.hpp"
#include "bench/join.hpp"

int main() {
  using namespace weir::bench;
  std::printf("%-74s %14s %14s %8s  %s\n", "figure", "weir", "bare loop", "ratio", "goal");
  const CopyFigures copy = measure_copy(50'000, 4, 7);
  std::printf("%-74s %12.3f M %12.3f M %8.2f  %s\n", "(b) rows/s: timescale sink, against a bare binary COPY",
              copy.sink / 1e6, copy.bare / 1e6, copy.ratio, ">= 0.9");
  std::printf("%-74s %11.2f ms %14s %8s  %s\n", "(e) commit of one row, p99", copy.commit_p99 * 1e3, "", "",
              "<= 50 ms");
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
