/// window-join and completion against the slow, obvious reference, on random faulty streams, however they are cut into
/// batches and wherever the state is saved and loaded. RC_PARAMS says on how many: tests/README.md.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <weir/format.hpp>

#include <weir/completion.hpp>
#include "fakes/context.hpp"
#include "property/planned_join.hpp"
#include "reference/completion.hpp"

namespace weir::property {
namespace {

using Lines = std::vector<std::string>;

/// Everything that came out, as lines of text; doubles are written so that equal text means equal bits.
struct Outcome {
  Lines brackets, rows, sessions, late, refused, counters, latest;
  Timestamp due = end_of_time;
};

constexpr std::array counter_names{"late", "stale_offs", "other_fields", "empty_sessions", "early_closed_ticks"};

std::vector<RowColumn> columns_of(const Plan& plan) {
  std::vector<RowColumn> out;
  for (const ProjectedField& field : projection_of(plan)) {
    RowColumn column;
    column.field = field.name;
    column.kind = field.kind;
    column.fill = field.name == "charge" ? Fill::angle : field.kind == FieldKind::number ? Fill::linear : Fill::step;
    column.period = 4;
    column.max_gap = 15 * unit;
    column.max_age = 10 * unit;
    column.quality = true;
    out.push_back(column);
  }
  return out;
}

// --- The reference
// -------------------------------------------------------------------------------------------------------

std::string show(const reference::Value& value) {
  if (value.text) return *value.text;
  std::string out = weir::format("{}", value.x);
  if (value.y) out += weir::format("/{}", *value.y);
  if (value.z) out += weir::format("/{}", *value.z);
  return out;
}

std::string show(const std::optional<reference::Reading>& reading) {
  return reading ? weir::format("{}@{}", show(reading->value), reading->time) : "-";
}

std::string show(const reference::Sample& s) {
  return weir::format("{} {} {} {} arrival {}", s.key, s.field, s.time, show(s.value), s.arrival);
}

std::string show(const reference::BracketRow& row) {
  std::string out = weir::format("{} {} arrival {}", row.key, row.tick, row.arrival);
  for (const reference::Bracket& b : row.brackets) out += weir::format(" [{} {}]", show(b.before), show(b.after));
  return out;
}

std::string show(std::string_view key, const KeySession& session) {
  return weir::format("{} {} to {}{}", key, session.first, session.newest, session.ended ? " ended" : "");
}

Outcome expected(const Script& script, const Plan& plan) {
  const reference::Joined joined = reference::window_join(inputs_of(script), plan.join);
  Outcome out;
  for (const auto& row : joined.rows) out.brackets.push_back(show(row));
  for (const auto& row : reference::complete(joined.rows, plan.join.fields, columns_of(plan), false)) {
    std::string line = weir::format("{} {} arrival {}", row.key, row.tick, row.arrival);
    for (const reference::Cell& cell : row.cells) {
      line += cell.quality == Quality::null ? " -:0"
                                            : weir::format(" {}:{}", show(cell.value), static_cast<int>(cell.quality));
    }
    out.rows.push_back(line);
  }
  for (const auto& e : joined.sessions) {
    out.sessions.push_back(weir::format("{} {} {} {} arrival {}", e.key, e.event, e.reason, e.time, e.arrival));
  }
  for (const auto& s : joined.late) out.late.push_back(show(s));
  for (const auto& s : joined.refused) out.refused.push_back(show(s));
  for (const char* name : counter_names) out.counters.push_back(weir::format("{} {}", name, joined.counters.at(name)));
  for (const auto& [key, session] : joined.latest) out.latest.push_back(show(key, session));
  out.due = joined.due.value_or(end_of_time);
  return out;
}

// --- The operator
// --------------------------------------------------------------------------------------------------------

Port port_named(std::string_view name) {
  const auto& ports = window_join().spec.ports;
  return static_cast<Port>(std::ranges::find(ports, name, &PortSpec::name) - ports.begin()) + 1;
}

/// A value of a batch's row: x, y, z or a text. Columns that are beyond the batch's are absent.
reference::Value value_at(const Batch& batch, std::size_t row, std::size_t x, std::size_t y, std::size_t z) {
  reference::Value out;
  const Column& first = batch.columns[x];
  if (first.type() == Type::string || first.type() == Type::dictionary) {
    out.text = first.text(row);
    return out;
  }
  out.x = first.float64s()[row];
  if (y < batch.columns.size() && batch.columns[y].valid(row)) out.y = batch.columns[y].float64s()[row];
  if (z < batch.columns.size() && batch.columns[z].valid(row)) out.z = batch.columns[z].float64s()[row];
  return out;
}

constexpr std::size_t no_column = SIZE_MAX;

std::string show_sample(const Batch& batch, std::size_t row) {
  reference::Sample s;
  s.key = batch.columns[samples::key].text(row);
  s.field = batch.columns[samples::field].text(row);
  s.time = batch.columns[samples::time].int64s()[row];
  s.arrival = batch.arrival[row];
  const bool number = batch.columns[samples::x].valid(row);
  s.value = number ? value_at(batch, row, samples::x, samples::y, samples::z)
                   : value_at(batch, row, samples::text, no_column, no_column);
  return show(s);
}

std::string show_bracket_row(const Batch& batch, std::size_t row, const std::vector<ProjectedField>& projection) {
  reference::BracketRow out{std::string{batch.columns[brackets::key].text(row)},
                            batch.columns[brackets::tick].int64s()[row],
                            batch.arrival[row],
                            {}};
  const auto layout = brackets::layout(projection);
  for (std::size_t f = 0; f < projection.size(); ++f) {
    const brackets::Bracket& at = layout[f];
    const bool point = projection[f].kind == FieldKind::point;
    const auto reading = [&](std::size_t time, std::size_t x, std::size_t y,
                             std::size_t z) -> std::optional<reference::Reading> {
      if (!batch.columns[time].valid(row)) return {};
      return reference::Reading{batch.columns[time].int64s()[row],
                                value_at(batch, row, x, point ? y : no_column, point ? z : no_column)};
    };
    out.brackets.push_back({reading(at.before_time, at.before, at.before_y, at.before_z),
                            reading(at.after_time, at.after, at.after_y, at.after_z)});
  }
  return show(out);
}

std::string show_row(const Batch& batch, std::size_t row, const std::vector<RowColumn>& columns) {
  std::string line = weir::format("{} {} arrival {}", batch.columns[rows::key].text(row),
                                  batch.columns[rows::tick].int64s()[row], batch.arrival[row]);
  std::size_t at = rows::first_column;
  for (const RowColumn& column : columns) {
    const std::size_t width = column.kind == FieldKind::point ? 3 : 1;
    const std::string value =
        batch.columns[at].valid(row)
            ? show(value_at(batch, row, at, width == 3 ? at + 1 : no_column, width == 3 ? at + 2 : no_column))
            : "-";
    line += weir::format(" {}:{}", value, batch.columns[at + width].int64s()[row]);
    at += width + 1;
  }
  return line;
}

/// Runs the operator over the script, cut and restarted as the plan says.
class Run {
 public:
  Run(const Script& script, const Plan& plan)
      : plan_{plan}, projection_{projection_of(plan)}, context_{projection_}, completion_{columns_of(plan), false} {
    context_.forget_after = plan.join.forget;
    const Settings settings = settings_of(plan);
    const auto make = [&] {
      auto made = window_join().make_transform(settings, context_);
      schemas_ = made->bind_schema({samples::schema()}).value();
      return made;
    };
    std::unique_ptr<Transform> transform = make();
    rows_schema_ = completion_.bind_schema(*schemas_[0]).value();
    const auto batches = cut(inputs_of(script));
    for (std::size_t i = 0; i < batches.size(); ++i) {
      process(*transform, batches[i]);
      if (!plan.restarts[i % plan.restarts.size()]) continue;
      StateWriter state;
      transform->save(state);
      transform = make();
      StateReader reader{state.bytes()};
      const auto loaded = transform->load(reader);
      if (!loaded || !reader.ok() || !reader.at_end())
        throw std::runtime_error("state is not read back as it was written");
    }
    for (const char* name : counter_names)
      outcome_.counters.push_back(weir::format("{} {}", name, context_.counted(name)));
    for (const char* key : {"v0", "v1", "v2"}) {
      if (const auto session = transform->session(*context_.keys()->intern(key)))
        outcome_.latest.push_back(show(key, *session));
    }
    outcome_.due = transform->due().value_or(end_of_time);
  }

  Outcome take() { return std::move(outcome_); }

 private:
  std::vector<BatchPtr> cut(const std::vector<reference::Input>& inputs) {
    std::vector<BatchPtr> out;
    std::size_t in = 0;
    while (in < inputs.size()) {
      const std::size_t length = plan_.cuts[out.size() % plan_.cuts.size()];
      fakes::SampleBatch batch{context_};
      Timestamp reached = no_time;
      std::size_t taken = 0;
      while (in < inputs.size() && taken < length && reached == no_time) {
        const reference::Input& input = inputs[in++];
        if (input.sample) {
          add(batch, *input.sample);
        } else {
          reached = input.reached;  // time moves on at the end of a batch only
        }
        ++taken;
      }
      out.push_back(batch.take(reached));
    }
    return out;
  }

  void process(Transform& transform, const BatchPtr& in) {
    fakes::FakeOutput out{context_};
    if (const auto done = transform.process(0, in, out); !done) throw std::runtime_error(done.error().message);
    for (const auto& [row, reason] : out.refused) outcome_.refused.push_back(show_sample(*in, row));
    Timestamp last = no_time;
    for (const auto& [port, batch] : out.emitted) {
      if (batch->columns.size() != schemas_[port]->columns.size())
        throw std::runtime_error("a batch has not its port's columns");
      for (std::size_t row = 0; row < batch->rows; ++row) {
        if (port == port_named("late")) {
          outcome_.late.push_back(show_sample(*batch, row));
        } else if (port == port_named("sessions")) {
          outcome_.sessions.push_back(weir::format("{} {} {} {} arrival {}", batch->columns[0].text(row),
                                                   batch->columns[1].text(row), batch->columns[2].text(row),
                                                   batch->columns[3].int64s()[row], batch->arrival[row]));
        } else {
          outcome_.brackets.push_back(show_bracket_row(*batch, row, projection_));
          if (batch->arrival[row] < last) throw std::runtime_error("arrival goes back in a batch");
          last = batch->arrival[row];
        }
      }
      if (port == 0 && batch->rows != 0) complete(batch);
    }
    if (const auto due = transform.due(); due && *due <= in->reached)
      throw std::runtime_error("something due was not done");
  }

  void complete(const BatchPtr& batch) {
    const BatchPtr rows = completion_.complete(batch);
    for (std::size_t row = 0; row < rows->rows; ++row) outcome_.rows.push_back(show_row(*rows, row, columns_of(plan_)));
  }

  const Plan& plan_;
  std::vector<ProjectedField> projection_;
  fakes::FakeContext context_;
  Completion completion_;
  Schemas schemas_;
  SchemaPtr rows_schema_;
  Outcome outcome_;
};

void compare(const Script& script, const Plan& plan) {
  const Outcome want = expected(script, plan);
  const Outcome got = Run{script, plan}.take();
  RC_ASSERT(got.refused == want.refused);
  RC_ASSERT(got.counters == want.counters);
  RC_ASSERT(got.late == want.late);
  RC_ASSERT(got.brackets == want.brackets);
  RC_ASSERT(got.sessions == want.sessions);
  RC_ASSERT(got.rows == want.rows);
  RC_ASSERT(got.latest == want.latest);
  RC_ASSERT(got.due <= want.due);  // what is due earlier than need be costs a marker
}

/// Counts what there is in a stream, by a name for people.
void count(const std::vector<reference::Input>& inputs, const reference::Joined& joined,
           std::map<std::string, std::uint64_t>& out) {
  for (const auto& e : joined.sessions) ++out[e.event + " " + e.reason];
  for (const auto& [name, number] : joined.counters) out[name] += number;
  out["merged"] += joined.merged;
  out["divided"] += joined.divided;
  out["refused"] += joined.refused.size();
  for (const auto& s : joined.late) out["late off"] += s.field == "power" && s.value.x == 0;
  std::set<std::tuple<std::string, std::string, Timestamp>> seen;
  for (const reference::Input& input : inputs) {
    if (!input.sample) ++out["marker"];
    if (input.sample && !seen.emplace(input.sample->key, input.sample->field, input.sample->time).second)
      ++out["repeated time"];
  }
}

/// What the properties stand on: streams in which everything happens, and often.
TEST(WindowJoinStreams, HoldEverythingThatASessionCanMeet) {
  for (const auto& streams : {colliding_script(), fleet_script()}) {
    std::map<std::string, std::uint64_t> found;
    rc::Random random{1};
    for (int i = 0; i < 500; ++i) {
      const auto inputs = inputs_of(streams(random.split(), i % 100).value());
      count(inputs, reference::window_join(inputs, any_plan()(random.split(), i % 100).value().join), found);
    }
    for (const char* name : {"start on", "start sample", "end off", "end timeout", "end lost", "late", "late off",
                             "stale_offs", "other_fields", "empty_sessions", "early_closed_ticks", "merged", "divided",
                             "refused", "marker", "repeated time"}) {
      EXPECT_GE(found[name], 10u) << name;
    }
  }
}

RC_GTEST_PROP(WindowJoinProperty, CollidingSamplesGiveTheRowsOfTheReference, ()) {
  const Plan plan = *any_plan();
  compare(*colliding_script(), plan);
}

RC_GTEST_PROP(WindowJoinProperty, AFaultyFleetGivesTheRowsOfTheReference, ()) {
  const Plan plan = *any_plan();
  compare(*fleet_script(), plan);
}

}  // namespace
}  // namespace weir::property
