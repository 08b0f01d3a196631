#include "bench/join.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fakes/context.hpp"

namespace weir {
Operator weir_operator_transforms_keyed_last_value();
Operator weir_operator_transforms_window_join();
}  // namespace weir

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

/// The stream of one lane, a round of one frame per vehicle at a time.
class Fleet {
 public:
  Fleet(std::size_t vehicles, fakes::FakeContext& context) : context_{context}, order_(vehicles), phase_(vehicles) {
    for (std::size_t i = 0; i < fields; ++i) context.fields()->intern("field" + std::to_string(i));
    for (std::size_t v = 0; v < vehicles; ++v) context.keys()->intern("vehicle" + std::to_string(v));
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
    out->columns[samples::key] = Column::dictionary({std::move(keys), context_.keys()});
    out->columns[samples::field] = Column::dictionary({std::move(ids), context_.fields()});
    out->columns[samples::time] = Column::timestamp(std::move(times));
    out->columns[samples::x] = Column::float64(std::move(x));
    out->reached = arrival.back();
    out->arrival = std::move(arrival);
    return out;
  }

  fakes::FakeContext& context_;
  std::mt19937_64 random_{42};
  std::vector<std::uint32_t> order_;
  std::vector<Duration> phase_;
  int rounds_ = 0;
};

std::vector<FieldDemand> demand() {
  std::vector<FieldDemand> out;
  for (std::size_t i = 0; i < fields; ++i) out.push_back({"field" + std::to_string(i), FieldKind::number});
  return out;
}

Settings join_settings() {
  Settings settings{"rows"};
  settings.set("every", std::int64_t{second});
  settings.set("wait", std::int64_t{2 * second});
  settings.set("disorder", std::int64_t{0});
  settings.set("max_ahead", std::int64_t{5 * second});
  settings.set("max_behind", std::int64_t{24 * 60 * minute});
  settings.set("max_pending", std::int64_t{65536});
  return settings;
}

/// The two operators, one after the other.
class Lane {
 public:
  explicit Lane(fakes::FakeContext& context)
      : last_{weir_operator_transforms_keyed_last_value().make_transform(Settings{"last"}, context)},
        join_{weir_operator_transforms_window_join().make_transform(join_settings(), context)},
        context_{context} {
    if (!last_->settle({samples::schema()}) || !join_->settle({samples::schema()})) std::abort();
  }

  void process(const BatchPtr& in) {
    fakes::FakeOutput passed{context_}, joined{context_};
    if (!last_->process(0, in, passed)) std::abort();
    for (const auto& [port, batch] : passed.emitted) {
      if (!join_->process(0, batch, joined)) std::abort();
    }
    for (const auto& [port, batch] : joined.emitted) rows += port == 0 ? batch->rows : 0;
  }

  std::size_t bytes() const { return last_->size().bytes + join_->size().bytes; }
  /// Bytes of what they know: more of it is more samples.
  std::size_t snapshot_bytes() const {
    StateWriter state;
    last_->save(state);
    join_->save(state);
    return state.bytes().size();
  }

  std::size_t rows = 0;

 private:
  std::unique_ptr<Transform> last_, join_;
  fakes::FakeContext& context_;
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
  std::size_t samples = 0, rows = 0;
};

OneLane run_lane(std::size_t vehicles, int seconds, bool with_bare) {
  fakes::FakeContext context{demand()};
  Fleet fleet{vehicles, context};
  Lane lane{context};
  Bare bare{with_bare ? vehicles : 0};
  OneLane out;
  const auto series = static_cast<double>(vehicles * fields);
  std::size_t first_snapshot = 0;
  const int warm_up = 3 * rounds_per_second;  // all vehicles and their fields known, first ticks closed
  for (int round = 0; round < warm_up + seconds * rounds_per_second; ++round) {
    const auto batches = fleet.round();
    const Spent in_lane = spent_on([&] {
      for (const auto& batch : batches) lane.process(batch);
    });
    const Spent in_bare = spent_on([&] {
      if (!with_bare) return;
      for (const auto& batch : batches) bare.process(*batch);
    });
    if (round == 0) {
      out.rest_bytes = static_cast<double>(lane.bytes()) / series;
      first_snapshot = lane.snapshot_bytes();
    }
    if (round < warm_up) continue;
    out.lane += in_lane;
    out.bare += in_bare;
    for (const auto& batch : batches) out.samples += batch->rows;
  }
  out.rows = lane.rows;
  out.waiting_bytes = static_cast<double>(lane.snapshot_bytes() - first_snapshot) / series;
  out.state_bytes = static_cast<double>(lane.bytes()) / series;
  return out;
}

}  // namespace

JoinFigures measure_join(std::size_t vehicles, int seconds, bool two_lanes) {
  const OneLane one = run_lane(vehicles, seconds, true);
  JoinFigures out;
  out.samples = one.samples;
  out.rows = one.rows;
  out.per_core = static_cast<double>(one.samples) / one.lane.processor;
  out.bare = static_cast<double>(one.samples) / one.bare.processor;
  out.rest_bytes = one.rest_bytes;
  out.waiting_bytes = one.waiting_bytes;
  out.state_bytes = one.state_bytes;
  if (!two_lanes) return out;
  OneLane left, right;
  std::thread other{[&] { right = run_lane(vehicles / 2, seconds, false); }};
  left = run_lane(vehicles / 2, seconds, false);
  other.join();
  // By the clock on the wall: lanes that wait for each other must not look like two that work.
  const auto pace = [](const OneLane& lane) { return static_cast<double>(lane.samples) / lane.lane.wall; };
  out.lanes_factor = (pace(left) + pace(right)) / pace(one);
  return out;
}

}  // namespace weir::bench
