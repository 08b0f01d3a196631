/// Prints the table of figures. Each line is measured in one run together with what it is held against, as absolute
/// times say little on a shared machine.
///
///   weir_bench [WORD…]     only the lines with one of these names: see the list below

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <string_view>

#include <weir/format.hpp>

#include "bench/copy.hpp"
#include "bench/current.hpp"
#include "bench/drain.hpp"
#include "bench/join.hpp"
#include "bench/latency.hpp"
#include "bench/memory.hpp"
#include "bench/overload.hpp"
#include "bench/replay.hpp"
#include "bench/restore.hpp"
#include "bench/sharing.hpp"
#include "bench/simulate.hpp"
#include "bench/sync.hpp"
#include "bench/table.hpp"

namespace weir::bench {
namespace {

using Goal = Figure::Goal;

void copy(Show show) {
  const CopyFigures copy = measure_copy(50'000, 4, 7);
  show({.what = "(b) rows/s: timescale sink, against a bare binary COPY",
        .weir = scaled(copy.sink),
        .other = scaled(copy.bare),
        .value = copy.ratio,
        .shown = fixed(copy.ratio, 2),
        .goal = Goal::at_least,
        .limit = 0.9,
        .limit_text = "0.9",
        .note = weir::format("a commit of one row takes {:.2f} ms, p99 {:.2f} ms", copy.commit_p50 * 1e3,
                             copy.commit_p99 * 1e3)});
}

void join(Show show) {
  const JoinFigures join = measure_join(100'000, 4);
  show({.what = "(c) samples/s per core: memory -> keyed-last-value -> window-join -> drop",
        .weir = scaled(join.per_core),
        .other = scaled(join.bare),
        .value = join.per_core,
        .shown = fixed(join.per_core / join.bare, 2),
        .goal = Goal::at_least,
        .limit = 15e6,
        .limit_text = "15 M"});
  show({.what = "(c) two lanes at once, as a multiple of one; beside it two bare loops",
        .weir = fixed(join.lanes_factor, 2),
        .other = fixed(join.bare_factor, 2),
        .value = join.lanes_factor,
        .shown = fixed(join.lanes_factor / join.bare_factor, 2),
        .goal = Goal::at_least,
        .limit = 1.8,
        .limit_text = "1.8"});
  show({.what = "(d) bytes of state per (vehicle, field)",
        .weir = fixed(join.rest_bytes, 1) + " B",
        .value = join.rest_bytes,
        .goal = Goal::at_most,
        .limit = 64,
        .limit_text = "64 B",
        .note = weir::format("{:.1f} B in all with samples that wait and the room for them; {:.1f} B are those samples",
                             join.state_bytes, join.waiting_bytes)});
}

struct Line {
  std::string_view name;
  void (*measure)(Show);
};
constexpr std::array lines{Line{"drain", measure_drain},
                           Line{"partitions", measure_partitions},
                           Line{"copy", copy},
                           Line{"join", join},
                           Line{"memory", measure_memory},
                           Line{"latency", measure_latency},
                           Line{"current", measure_current},
                           Line{"sharing", measure_sharing},
                           Line{"overload", measure_overload},
                           Line{"restore", measure_restore},
                           Line{"simulate", measure_simulate},
                           Line{"replay", measure_replay},
                           Line{"sync", measure_sync}};

constexpr unsigned longest_line = 150;  // seconds: who waits for what never comes should end, not hold the machine

bool wanted(std::string_view name, std::span<char*> words) {
  return words.empty() || std::ranges::any_of(words, [&](std::string_view word) { return word == name; });
}

int run(std::span<char*> words) {
  for (const std::string_view word : words) {
    if (std::ranges::contains(lines, word, &Line::name)) continue;
    std::string names;
    for (const Line& line : lines) names.append(" ").append(line.name);
    std::fprintf(stderr, "no figure is called \"%s\"; there are:%s\n", std::string{word}.c_str(), names.c_str());
    return 64;
  }
  spdlog::set_level(spdlog::level::warn);
  signal(SIGALRM, [](int) { _exit(1); });  // the default would not end the first process of a container
  print_head();
  for (const Line& line : lines) {
    if (!wanted(line.name, words)) continue;
    alarm(longest_line);
    line.measure(print);
  }
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) { return weir::bench::run({argv + 1, argv + argc}); }
