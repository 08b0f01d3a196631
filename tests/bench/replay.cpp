#include "bench/replay.hpp"

#include <sys/resource.h>

#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include <weir/format.hpp>

#include "bench/run.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"

namespace weir::bench {
namespace {

constexpr int repetitions = 3;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

/// Processor time of all children that have ended.
double spent() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
}

struct Replayed {
  double samples = 0;
  double per_core = 0, per_second = 0;
};

/// Runs weir to its end.
std::string run(const std::vector<std::string>& arguments, const std::string& log) {
  fakes::WeirProcess weir{arguments, log};
  if (weir.wait(300 * second) != 0) give_up(weir.log());
  return weir.log();
}

Replayed replay(const std::string& tape, const std::string& pipeline, const std::string& log) {
  std::filesystem::remove(log);
  const double processor = spent(), begin = now_seconds();
  const std::string said = run({"replay", tape, pipeline, "-q"}, log);
  const double took = now_seconds() - begin, used = spent() - processor;
  std::smatch found;
  if (!std::regex_search(said, found, std::regex{" messages with ([0-9]+) samples in"})) give_up(said);
  const double samples = std::stod(found[1]);
  return {samples, samples / used, samples / took};
}

}  // namespace

void measure_replay(Show show) {
  const fakes::TemporaryDirectory directory;
  const std::string tape = directory.file("tape.weir"), log = directory.file("log");
  const std::string fleet = directory.write("fleet.json", weir::format(R"({{ "name": "fleet", "nodes": [
    {{ "id": "signals", "source": "simulate", "vehicles": 10000, "for": "60s" }},
    {{ "id": "tape", "sink": "recording", "from": "signals", "path": "{}" }} ] }})",
                                                                       tape));
  const std::string bare = directory.write("bare.json", R"({ "name": "bare", "nodes": [
    { "id": "signals", "source": "simulate" }, { "id": "out", "sink": "drop", "from": "signals" } ] })");
  run({"run", fleet, "-q"}, log);
  std::vector<double> per_core, per_second, read;
  double samples = 0;
  for (int i = 0; i < repetitions; ++i) {
    const Replayed joined = replay(tape, WEIR_SOURCE_DIR "/pipelines/fleet.json", log);
    per_core.push_back(joined.per_core);
    per_second.push_back(joined.per_second);
    samples = joined.samples;
    read.push_back(replay(tape, bare, log).per_core);
  }
  show({.what = "(k) samples/s per core: recording -> pipelines/fleet.json -> drop, against reading and decoding alone",
        .weir = scaled(median(per_core)),
        .other = scaled(median(read)),
        .value = median(per_core),
        .shown = fixed(median(per_core) / median(read), 2),
        .goal = Figure::Goal::at_least,
        .limit = 5e6,
        .limit_text = "5 M",
        .note = weir::format("{} samples in frames of a second, {:.1f} B each in the file; {}/s by the clock",
                             scaled(samples), static_cast<double>(std::filesystem::file_size(tape)) / samples,
                             scaled(median(per_second)))});
}

}  // namespace weir::bench
