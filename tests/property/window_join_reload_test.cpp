/// window-join whose state is loaded under other settings and for other columns, as a reload may.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>
#include <utility>

#include "property/planned_join.hpp"

namespace weir::property {
namespace {

using Ticks = std::set<std::pair<std::string, Timestamp>>;

/// A window-join that goes on under other plans.
class Reloaded {
 public:
  explicit Reloaded(const Plan& plan) { make(plan); }

  void reload(const Plan& plan) {
    StateWriter state;
    transform_->save(state);
    make(plan);
    StateReader reader{state.bytes()};
    const auto loaded = transform_->load(reader);
    if (!loaded || !reader.ok() || !reader.at_end()) throw std::runtime_error("the state was not taken");
  }

  void feed(const std::vector<reference::Input>& inputs) {
    for (const reference::Input& input : inputs) {
      fakes::SampleBatch batch{context_};
      if (input.sample) add(batch, *input.sample);
      process(batch.take(input.reached));
    }
  }

  /// The rows since the last call, whose brackets say something.
  Ticks take() { return std::exchange(ticks_, {}); }
  std::uint64_t late() const { return context_.counted("late"); }

 private:
  void make(const Plan& plan) {
    every_ = plan.join.every;
    context_.projection_of_sinks = projection_of(plan);
    context_.forget_after = plan.join.forget;
    transform_ = window_join().make_transform(settings_of(plan), context_);
    if (!transform_->bind_schema({samples::schema()})) throw std::runtime_error("the plan was not taken");
  }

  void process(const BatchPtr& in) {
    fakes::FakeOutput out{context_};
    if (const auto done = transform_->process(0, in, out); !done) throw std::runtime_error(done.error().message);
    Timestamp arrival = no_time;
    for (const auto& [port, batch] : out.emitted) {
      if (port != 0) continue;
      for (std::size_t row = 0; row < batch->rows; ++row) {
        const Timestamp tick = batch->columns[brackets::tick].int64s()[row];
        if (tick % every_ != 0) throw std::runtime_error("a row is not of a tick");
        if (std::exchange(arrival, batch->arrival[row]) > arrival) throw std::runtime_error("arrival goes back");
        const auto says = [&](const Column& column) { return column.type() == Type::timestamp && column.valid(row); };
        if (std::count_if(batch->columns.begin(), batch->columns.end(), says) > 1)
          ticks_.emplace(batch->columns[brackets::key].text(row), tick);
      }
    }
  }

  Duration every_ = 0;
  fakes::FakeContext context_;
  std::unique_ptr<Transform> transform_;
  Ticks ticks_;
};

/// A plan that may lack some of the fields of the others; speed always takes part.
rc::Gen<Plan> plan_of_some_fields() {
  return rc::gen::map(rc::gen::pair(any_plan(), rc::gen::arbitrary<std::uint8_t>()), [](std::pair<Plan, unsigned> of) {
    auto& fields = of.first.join.fields;
    std::erase_if(fields, [&](const std::string& field) { return field != "speed" && (of.second /= 2) % 2 == 0; });
    return of.first;
  });
}

/// A drive over one tick at `tick`, sampled once a unit.
std::vector<reference::Input> drive_over(Timestamp tick, const Plan& plan) {
  std::vector<reference::Input> out;
  for (Timestamp time = tick - 5 * unit; time <= tick + 5 * unit; time += unit) {
    for (const char* key : {"v0", "v1", "v2"})
      out.push_back({reference::Sample{key, "speed", time, {1.0}, time}, time});
  }
  out.push_back({std::nullopt, tick + plan.join.wait + plan.join.disorder + 5 * unit});
  return out;
}

/// Whatever was loaded, the vehicles' next drives get their rows.
void reload_and_drive(const Script& script, const std::vector<Plan>& plans) {
  Reloaded join{plans.front()};
  const auto inputs = inputs_of(script);
  for (std::size_t part = 0; part < plans.size(); ++part) {
    if (part != 0) join.reload(plans[part]);
    const auto at = [&](std::size_t i) {
      return inputs.begin() + static_cast<std::ptrdiff_t>(inputs.size() * i / plans.size());
    };
    join.feed({at(part), at(part + 1)});
  }
  const Plan& last = plans.back();
  join.take();
  const std::uint64_t late = join.late();
  const Timestamp parked = (inputs.empty() ? 0 : inputs.back().reached) + 4000 * unit;
  const Timestamp tick = (parked / last.join.every + 1) * last.join.every;
  join.feed(drive_over(tick, last));
  const Ticks rows = join.take();
  RC_ASSERT(join.late() == late);
  for (const char* key : {"v0", "v1", "v2"}) RC_ASSERT(rows.contains({key, tick}));
}

RC_GTEST_PROP(WindowJoinReload, CollidingSamplesNeverMuteAVehicle, ()) {
  const auto plans = *rc::gen::container<std::vector<Plan>>(3, plan_of_some_fields());
  reload_and_drive(*colliding_script(), plans);
}

RC_GTEST_PROP(WindowJoinReload, AFaultyFleetGoesOn, ()) {
  const auto plans = *rc::gen::container<std::vector<Plan>>(2, plan_of_some_fields());
  reload_and_drive(*fleet_script(), plans);
}

Plan plan_of(Duration every, std::vector<std::string> fields) {
  Plan plan;
  plan.join.every = every;
  plan.join.fields = std::move(fields);
  plan.join.session = reference::SessionSettings{"power", 1, 0};
  return plan;
}

reference::Input sample(const char* field, Timestamp time, double x, Timestamp arrival) {
  return {reference::Sample{"v0", field, time, {x}, arrival}, arrival};
}

TEST(WindowJoinReload, AnOffBeforeTheLastSampleOfARemovedFieldEndsTheSession) {
  Reloaded join{plan_of(second, {"speed", "torque"})};
  join.feed({sample("speed", 8 * second, 1, 10 * second), sample("torque", 10 * second, 1, 10 * second)});
  join.reload(plan_of(second, {"speed"}));
  join.feed({sample("power", 9 * second, 0, 11 * second),
             sample("speed", 12 * second, 1, 12 * second),
             sample("speed", 13 * second, 1, 13 * second),
             {std::nullopt, 20 * second}});
  EXPECT_EQ(join.late(), 0u);
  EXPECT_EQ(join.take(), (Ticks{{"v0", 8 * second}, {"v0", 9 * second}, {"v0", 12 * second}, {"v0", 13 * second}}));
}

TEST(WindowJoinReload, TicksOfAnotherLengthGoOnWhereTheOldOnesEnded) {
  Reloaded join{plan_of(10 * second, {"speed"})};
  join.feed({sample("speed", 10 * second, 1, 10 * second), sample("speed", 20 * second, 1, 20 * second),
             sample("speed", 26 * second, 1, 26 * second)});
  EXPECT_EQ(join.take(), (Ticks{{"v0", 10 * second}, {"v0", 20 * second}}));
  join.reload(plan_of(3 * second, {"speed"}));
  join.feed({{std::nullopt, 28 * second}});
  EXPECT_EQ(join.take(), (Ticks{{"v0", 21 * second}, {"v0", 24 * second}}));
  join.reload(plan_of(7 * second, {"speed"}));
  join.feed({sample("speed", 29 * second, 1, 29 * second), {std::nullopt, 31 * second}});
  EXPECT_EQ(join.take(), (Ticks{{"v0", 28 * second}}));
}

}  // namespace
}  // namespace weir::property
