#include "bench/join.hpp"

#include <algorithm>
#include <barrier>
#include <ctime>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <weir/sample_rows.hpp>

#include "bench/run.hpp"
#include "core/plan/pipeline.hpp"
#include "core/runtime/chain.hpp"
#include "fakes/registry.hpp"

namespace weir::bench {
namespace {

constexpr std::size_t fields = 8;
constexpr int rounds_per_second = 5;
constexpr Duration round_length = second / rounds_per_second;
constexpr std::size_t batch_rows = 4096;
constexpr Timestamp start = 1'700'000'000 * second;

struct Spent {
  double processor = 0;  ///< of this thread: what a core does, however many others want it
  double wall = 0;       ///< with all that it waited for
};

Spent& operator+=(Spent& a, const Spent& b) {
  a.processor += b.processor;
  a.wall += b.wall;
  return a;
}

Spent spent_on(const auto& work) {
  const auto now = [](clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const Spent begin{now(CLOCK_THREAD_CPUTIME_ID), now(CLOCK_MONOTONIC)};
  work();
  return {now(CLOCK_THREAD_CPUTIME_ID) - begin.processor, now(CLOCK_MONOTONIC) - begin.wall};
}

std::vector<std::string> field_names() {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < fields; ++i) out.push_back("field" + std::to_string(i));
  return out;
}

/// The stream of one lane, a round of one frame per vehicle at a time.
class Fleet {
 public:
  Fleet(std::size_t vehicles, const Chain& chain)
      : keys_{chain.keys()}, fields_{chain.fields()}, order_(vehicles), phase_(vehicles) {
    for (const auto& name : field_names()) fields_->intern(name);
    for (std::size_t v = 0; v < vehicles; ++v) keys_->intern("vehicle" + std::to_string(v));
    std::iota(order_.begin(), order_.end(), 0u);
    for (auto& phase : phase_) phase = static_cast<Duration>(random_() % static_cast<unsigned>(round_length));
  }

  std::vector<BatchPtr> round() {
    std::ranges::shuffle(order_, random_);
    std::vector<BatchPtr> out;
    const Timestamp begin = start + rounds_ * round_length;
    for (std::size_t at = 0; at < order_.size();) {
      const std::size_t end = std::min(order_.size(), at + batch_rows / fields);
      out.push_back(batch(begin, at, end));
      at = end;
    }
    ++rounds_;
    return out;
  }

 private:
  BatchPtr batch(Timestamp begin, std::size_t from, std::size_t to) {
    const std::size_t rows = (to - from) * fields;
    std::vector<std::uint32_t> keys(rows), ids(rows);
    std::vector<Timestamp> times(rows), arrival(rows);
    std::vector<double> x(rows);
    for (std::size_t i = from, row = 0; i < to; ++i) {
      for (std::size_t field = 0; field < fields; ++field, ++row) {
        keys[row] = order_[i];
        ids[row] = static_cast<std::uint32_t>(field);
        times[row] = begin + phase_[order_[i]];
        x[row] = static_cast<double>(rounds_) + static_cast<double>(field);
        arrival[row] =
            begin + round_length + round_length * static_cast<Duration>(i) / static_cast<Duration>(order_.size());
      }
    }
    auto out = std::make_shared<Batch>();
    out->schema = samples::schema();
    out->rows = rows;
    out->columns.resize(out->schema->columns.size());
    out->columns[samples::key] = Column::dictionary({std::move(keys), keys_});
    out->columns[samples::field] = Column::dictionary({std::move(ids), fields_});
    out->columns[samples::time] = Column::timestamp(std::move(times));
    out->columns[samples::x] = Column::float64(std::move(x));
    out->reached = arrival.back();
    out->arrival = std::move(arrival);
    return out;
  }

  std::shared_ptr<Dictionary> keys_, fields_;
  std::mt19937_64 random_{42};
  std::vector<std::uint32_t> order_;
  std::vector<Duration> phase_;
  int rounds_ = 0;
};

constexpr std::string_view pipeline_text = R"({ "name": "join", "limits": { "keys": 1000000 }, "nodes": [
  { "id": "signals", "source": "nats", "stream": "TELEMETRY" },
  { "id": "last", "transform": "keyed-last-value", "from": "signals" },
  { "id": "rows", "transform": "window-join", "from": "last", "every": "1s", "wait": "2s" },
  { "id": "out", "sink": "drop", "from": "rows", "columns": { COLUMNS } } ] })";

Pipeline pipeline() {
  std::string text{pipeline_text}, columns;
  for (const auto& name : field_names()) columns += (columns.empty() ? "\"" : ", \"") + name + "\": {}";
  text.replace(text.find("COLUMNS"), std::string_view{"COLUMNS"}.size(), columns);
  CheckOptions options;
  options.to_run = true;
  auto checked = check_pipeline(text, "join", fakes::registry(), options);
  if (!checked.pipeline) give_up(render(checked.findings, Format::text));
  return *std::move(checked.pipeline);
}

/// What a lane runs, without its threads and without a stream.
class Lane {
 public:
  explicit Lane(const Pipeline& pipeline) : chain{pipeline, fakes::registry(), counters_, system_clock(), 0} {
    must(chain.start(0));
  }

  void process(const BatchPtr& in) {
    ChainOutput out;
    must(chain.step(in, false, out));
    for (const SinkBatch& part : out.batches) rows += part.batch->rows;
  }

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& [node, size] : chain.sizes()) sum += size.bytes;
    return sum;
  }

 private:
  Counters counters_;

 public:
  Chain chain;
  std::size_t rows = 0;
};

/// What a program without an engine would do: arrays by number, every sample in order, nothing ever missing.
class Bare {
 public:
  explicit Bare(std::size_t vehicles)
      : last_(vehicles * fields), before_(vehicles * fields), after_(vehicles * fields), state_(vehicles) {}

  void process(const Batch& in) {
    const auto& keys = in.columns[samples::key].ids().ids;
    const auto& ids = in.columns[samples::field].ids().ids;
    const auto times = in.columns[samples::time].int64s();
    const auto x = in.columns[samples::x].float64s();
    out_.clear();
    for (std::size_t row = 0; row < in.rows; ++row) {
      State& state = state_[keys[row]];
      const std::size_t slot = std::size_t{keys[row]} * fields + ids[row];
      if (state.tick == 0) state.tick = (times[row] / second + 1) * second;
      if (times[row] >= state.tick && last_[slot].time < state.tick) {
        before_[slot] = last_[slot];
        after_[slot] = {times[row], x[row]};
        if (++state.passed == fields) write(keys[row], state);
      }
      last_[slot] = {times[row], x[row]};
    }
    rows += out_.size() / (1 + 4 * fields);
  }

  std::size_t rows = 0;

 private:
  struct Reading {
    Timestamp time = 0;
    double x = 0;
  };
  struct State {
    Timestamp tick = 0;
    std::size_t passed = 0;
  };

  void write(std::uint32_t key, State& state) {
    out_.push_back(static_cast<double>(state.tick));
    for (std::size_t slot = std::size_t{key} * fields; slot < (std::size_t{key} + 1) * fields; ++slot) {
      out_.insert(out_.end(), {static_cast<double>(before_[slot].time), before_[slot].x,
                               static_cast<double>(after_[slot].time), after_[slot].x});
    }
    state = {state.tick + second, 0};
  }

  std::vector<Reading> last_, before_, after_;
  std::vector<State> state_;
  std::vector<double> out_;
};

struct OneLane {
  Spent lane, bare;
  double rest_bytes = 0, waiting_bytes = 0, state_bytes = 0;
  std::size_t samples = 0;
};

/// Lanes that work at the same time begin every round together, and a round lasts until the last has done its part:
/// what prepares the round must not look like room for the others.
OneLane run_lane(const Pipeline& pipeline, std::size_t vehicles, int seconds, std::barrier<>& round_of_all) {
  Lane lane{pipeline};
  Fleet fleet{vehicles, lane.chain};
  Bare bare{vehicles};
  OneLane out;
  const auto series = static_cast<double>(vehicles * fields);
  std::size_t first_snapshot = 0;
  const int warm_up = 3 * rounds_per_second;  // all vehicles and their fields known, first ticks closed
  for (int round = 0; round < warm_up + seconds * rounds_per_second; ++round) {
    const auto batches = fleet.round();
    const auto timed = [&](auto process) {
      round_of_all.arrive_and_wait();
      return spent_on([&] {
        for (const auto& batch : batches) process(batch);
        round_of_all.arrive_and_wait();
      });
    };
    const Spent in_lane = timed([&](const BatchPtr& batch) { lane.process(batch); });
    const Spent in_bare = timed([&](const BatchPtr& batch) { bare.process(*batch); });
    if (round == 0) {
      out.rest_bytes = static_cast<double>(lane.bytes()) / series;
      first_snapshot = lane.chain.save().size();
    }
    if (round < warm_up) continue;
    out.lane += in_lane;
    out.bare += in_bare;
    for (const auto& batch : batches) out.samples += batch->rows;
  }
  if (lane.rows == 0 || bare.rows == 0) give_up("no rows came of the samples");
  out.waiting_bytes = static_cast<double>(lane.chain.save().size() - first_snapshot) / series;
  out.state_bytes = static_cast<double>(lane.bytes()) / series;
  return out;
}

}  // namespace

JoinFigures measure_join(std::size_t vehicles, int seconds) {
  const Pipeline joined = pipeline();
  std::barrier alone{1};
  const OneLane one = run_lane(joined, vehicles, seconds, alone);
  std::barrier both{2};
  OneLane left, right;
  std::thread other{[&] { right = run_lane(joined, vehicles / 2, seconds, both); }};
  left = run_lane(joined, vehicles / 2, seconds, both);
  other.join();
  const auto samples = static_cast<double>(one.samples);
  const auto samples_of_both = static_cast<double>(left.samples + right.samples);
  return {.per_core = samples / one.lane.processor,
          .bare = samples / one.bare.processor,
          .lanes_factor = samples_of_both / left.lane.wall / (samples / one.lane.wall),
          .bare_factor = samples_of_both / left.bare.wall / (samples / one.bare.wall),
          .state_bytes = one.state_bytes,
          .rest_bytes = one.rest_bytes,
          .waiting_bytes = one.waiting_bytes};
}

}  // namespace weir::bench
