#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/rfc3339.hpp>
#include <weir/units.hpp>

#include <algorithm>
#include <utility>

#include "transforms/window-join/diagnostics.hpp"
#include "transforms/window-join/join.hpp"

namespace {
using namespace weir;
using namespace weir::window_join;

/// What a time far behind may come of: it was counted in a larger unit than it was read in. Within 2 %, which is a
/// year, so that devices whose clock starts in 1970 are not suspected.
std::string unit_advice(Timestamp time, Timestamp arrival) {
  constexpr std::pair<Duration, const char*> parts[] = {
      {microsecond, "a thousandth"}, {millisecond, "a millionth"}, {second, "a billionth"}};
  for (const auto& [part, word] : parts) {
    const Timestamp wrong = arrival / part;
    if (time > 0 && std::abs(time - wrong) < wrong / 50)
      return weir::format(": {} is {} of the time since 1970; is \"time_unit\" right?", format_rfc3339(time), word);
  }
  return {};
}

class WindowJoin final : public Transform {
 public:
  WindowJoin(const Settings& settings, Context& context)
      : context_{context},
        rules_{settings, context},
        slots_{settings, rules_, context},
        join_{rules_, slots_, *context.keys()} {}

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    if (inputs.at(0)->shape != Shape::samples) return fail(Error::Kind::invalid, "window-join takes samples", "from");
    if (slots_.fields.empty()) {
      return fail(
          Error::Kind::invalid,
          "no sink behind this window-join names columns; give the sink \"columns\", or list the \"fields\" here",
          "fields");
    }
    const auto number = [](const ProjectedField& field) { return field.kind == FieldKind::number; };
    if (slots_.session != Slots::none && slots_.session <= slots_.fields.size() &&
        !number(slots_.fields[slots_.session - 1u])) {
      return fail(Error::Kind::invalid,
                  "the session's field must be a number, but the columns want it as something else", "session.field");
    }
    brackets_ = brackets::schema(slots_.fields);
    events_ = EventRows::schema();
    return Schemas{brackets_, inputs[0], events_};
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    join_.bound(out.room());
    if (!work_.under_way) {
      if (auto begun = begin(*in); !begun) return begun;
    }
    if (!take_all(*in, out) || !join_.reach(in->reached)) {
      emit(*in, join_.reached(), out);
      out.again();
      return {};
    }
    join_.refresh();
    emit(*in, in->reached, out);
    finish(*in, out);
    return {};
  }

  std::optional<Timestamp> due() const override { return join_.due(); }
  void save(StateWriter& state) const override { join_.save(state); }
  Result<void> load(StateReader& state) override {
    diagnostics_.restored();
    if (join_.load(state, context_.keys()->size())) return {};
    return fail(Error::Kind::changed, "the state of window-join is damaged");
  }
  Size size() const override { return {join_.vehicles(), join_.bytes()}; }
  std::optional<KeySession> session(std::uint32_t key) const override {
    return join_.latest(key).transform([](const Session& session) {
      return KeySession{session.first, session.last, session.ended != Session::Ended::no};
    });
  }

 private:
  Result<void> begin(const Batch& in) {
    work_ = {.under_way = true};
    if (in.origin.last != std::exchange(step_, in.origin.last)) join_.begin_step();
    if (in.rows == 0) return {};
    const SampleRows rows{in};
    if (rows.keys.dictionary != context_.keys())
      return fail(Error::Kind::internal, "keys of another lane reached window-join");
    find_slots(rows.fields);
    join_.expect(context_.keys()->size());
    runs_.find(rows);
    return {};
  }

  /// Goes on where the last call stopped. False: there is no more room before the end.
  bool take_all(const Batch& in, Output& out) {
    if (in.rows == 0) return true;
    const SampleRows rows{in};
    const std::size_t ahead = std::max<std::size_t>(2, runs_.in_rows(24));
    for (; work_.run < runs_.size(); ++work_.run) {
      prefetch(rows, work_.run, ahead);
      if (!join_.reach(rows.arrival[runs_.begin(work_.run)])) return false;
      const std::size_t end = runs_.end(work_.run);
      for (std::size_t row = std::max(work_.row, runs_.begin(work_.run)); row < end; work_.row = row) {
        if (join_.full()) return false;
        row = join_.take_usual(rows, slot_of_.data(), row, end);
        if (row < end) take(in, rows, row++, out);
      }
    }
    return true;
  }

  void prefetch(const SampleRows& rows, std::size_t run, std::size_t ahead) const {
    if (run + 3 * ahead >= runs_.size()) return;
    join_.prefetch_place(runs_.key(run + 3 * ahead));
    join_.prefetch_newest(runs_.key(run + 2 * ahead));
    if (rows.all_timed()) join_.prefetch_older(runs_.key(run + ahead), rows.time(runs_.begin(run + ahead)));
  }

  void take(const Batch& in, const SampleRows& rows, std::size_t row, Output& out) {
    const std::uint16_t slot = slot_of_[rows.fields.ids[row]];
    if (slot == Slots::none) {
      ++join_.counts.other_fields;
      return;
    }
    diagnostics_.met(slot);
    if (!rows.timed(row)) return out.refuse(in, row, "no_event_time");
    SampleValue value;
    if (const char* problem = read(rows, row, slots_.kind(slot), value); problem != nullptr)
      return out.refuse(in, row, {problem, details_of(rows, row, slots_.kind(slot))});
    const Timestamp time = rows.time(row);
    const Timestamp arrival = std::clamp(rows.arrival[row], Rules::earliest, Rules::latest);
    if (time > arrival + rules_.max_ahead) return out.refuse(in, row, {"ahead_of_arrival", "by more than max_ahead"});
    if (rules_.is_behind(time, arrival))
      return out.refuse(in, row, {"behind_arrival", "by more than max_behind" + unit_advice(time, arrival)});
    if (time < arrival - Rules::farthest) return out.refuse(in, row, {"behind_arrival", "by more than 146 years"});
    if (rows.message[row] != work_.message) join_.begin_message(rows.message[row]);
    work_.message = rows.message[row];
    switch (join_.take(rows.keys.ids[row], slot, time, value)) {
      case Join::Taken::kept:
        break;
      case Join::Taken::late:
        if (work_.late.empty()) work_.late.resize(in.rows);
        work_.late[row] = 1;
        ++join_.counts.late;
        break;
      case Join::Taken::crowded:
        out.refuse(in, row, {"too_many_gap_rows", "gaps of its message would make more than 100000 rows"});
        break;
    }
  }

  /// Finds the slots of the batch's field ids, which need not come from the lane's table.
  void find_slots(const Ids& fields) {
    if (fields.dictionary != known_) slot_of_.clear();
    known_ = fields.dictionary;
    while (slot_of_.size() < known_->size())
      slot_of_.push_back(slots_.of(known_->at(static_cast<std::uint32_t>(slot_of_.size()))));
  }

  /// What there is so far, which is all up to an arrival.
  void emit(const Batch& in, Timestamp reached, Output& out) {
    const BatchPtr rows = join_.rows.take(brackets_, context_.keys(), reached);
    work_.made += rows->rows;
    const bool last = reached == in.reached;
    if (rows->rows != 0 || last) out.emit(rows, 0);
    if (join_.events.size() != 0) out.emit(join_.events.take(events_, context_.keys(), reached), 2);
  }

  void finish(const Batch& in, Output& out) {
    const Counts counts = std::exchange(join_.counts, {});
    out.count(late_counter_, counts.late);
    out.count(stale_offs_counter_, counts.stale_offs);
    out.count(other_fields_counter_, counts.other_fields);
    out.count(early_closed_ticks_counter_, counts.early_closed_ticks);
    out.count(empty_sessions_counter_, counts.empty_sessions);
    const Diagnostics::Seen seen{in.rows, work_.made, in.reached};
    const std::string slip = known_ == nullptr ? "" : diagnostics_.look(seen, counts, *known_);
    if (!slip.empty()) context_.warn(slip);
    if (!work_.late.empty()) out.emit(in.select(work_.late), 1);
    work_.under_way = false;
  }

  Context& context_;
  const std::size_t late_counter_ = context_.counter("late");
  const std::size_t stale_offs_counter_ = context_.counter("stale_offs");
  const std::size_t other_fields_counter_ = context_.counter("other_fields");
  const std::size_t early_closed_ticks_counter_ = context_.counter("early_closed_ticks");
  const std::size_t empty_sessions_counter_ = context_.counter("empty_sessions");
  Rules rules_;
  Slots slots_;
  Join join_;
  Diagnostics diagnostics_{rules_, slots_};
  SchemaPtr brackets_, events_;
  static constexpr std::uint32_t no_message = UINT32_MAX;
  /// On the batch at hand.
  struct Work {
    bool under_way = false;
    std::size_t run = 0, row = 0;        ///< to be taken next
    std::size_t made = 0;                ///< rows
    std::uint32_t message = no_message;  ///< whose samples were last taken one by one
    std::vector<std::uint8_t> late = {};
  } work_;
  Position step_ = 0;  ///< where the step ends of which the last batch was
  std::shared_ptr<const Dictionary> known_;
  std::vector<std::uint16_t> slot_of_;  ///< by id in known_
  KeyRuns runs_;
};

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out;
  const auto invalid = [&](std::string why, std::string setting) {
    out.push_back({Error::Kind::invalid, std::move(why), std::move(setting)});
  };
  if (settings.has("session") && settings.object("session").number("on") == settings.object("session").number("off")) {
    invalid("\"on\" and \"off\" are the same value, so a session could never be told to start", "session.off");
  }
  if (settings.has("session")) {
    const Duration timeout = settings.object("session").duration("timeout"), every = settings.duration("every");
    if (timeout / every > Rules::most_ticks) {
      invalid("a gap of " + format_duration(timeout) + " has " + std::to_string(timeout / every) + " ticks of " +
                  format_duration(every) + ", and one sample behind it may make at most " +
                  std::to_string(Rules::most_ticks) + " rows; shorten the timeout or write fewer rows",
              "session.timeout");
    }
  }
  if (settings.has("fields")) {
    auto fields = settings.list("fields");
    std::ranges::sort(fields);
    const auto twice = std::ranges::adjacent_find(fields);
    if (twice != fields.end()) invalid("\"" + *twice + "\" is listed twice", "fields");
    if (fields.empty())
      invalid("list at least one field, or leave \"fields\" out to take those that the sinks name", "fields");
  }
  return out;
}

Spec spec() {
  constexpr auto hour = static_cast<double>(60 * minute);
  return Spec::transform(
             "joins the samples of a vehicle to one bracket per tick: what each field said before and after it")
      .field("every", kind::duration(), "distance of ticks, which are multiples of it since 1970-01-01T00:00:00Z")
      .between(10.0 * millisecond, hour)
      .field("wait", kind::duration(),
             "arrival time that a tick waits for slower fields, counted from the tick or from the vehicle's first "
             "sample beyond it",
             "2s")
      .between(0, hour)
      .field("disorder", kind::duration(),
             "how far the samples of one field may be out of order; fields wait that much longer for each other", "0s")
      .between(0, hour)
      .optional(
          "session",
          kind::object({{"field", kind::text(), "field that says that a vehicle is switched on or off", false},
                        {"on", kind::number(), "value that means on", false, "1"},
                        {"off", kind::number(), "value that means off: a session ends there", false, "0"},
                        {"timeout", kind::duration(), "a gap between event times longer than this ends a session too",
                         false, "30s", 1.0 * millisecond, 24 * hour}}),
          "what starts and ends a vehicle's sessions; without it, gaps of 30s. Rows are written only within one, so "
          "the timeout must be longer than its sensors pause")
      .optional("fields", kind::texts(),
                "fields that take part; default: those that the columns of the nodes behind name. Numbers named here "
                "may become columns later without a change of the state")
      .field("max_ahead", kind::duration(),
             "samples with an event time further ahead of their arrival go to the dead letters", "5s")
      .between(0, 24 * hour)
      .field(
          "max_behind", kind::duration(),
          "samples with an event time further behind their arrival go to the dead letters; \"none\": however old, as "
          "for a back-fill of history",
          "1d")
      .between(1.0 * millisecond, 366 * 24 * hour)
      .or_none()
      .field(
          "max_pending", kind::integer(),
          "samples of one vehicle that may wait; beyond, or beyond 65533 ticks or samples of one field, its oldest tick "
          "closes at once",
          "65536")
      .between(2, 16'777'216)
      .port("late", "samples at or before the vehicle's last closed tick, or of no session that is not over")
      .port("sessions",
            "starts and ends of sessions: key, event (start, end), reason (on, sample; off, timeout, lost), time")
      .counter("late", "samples that came too late for a tick; those inside an open session still serve later ones")
      .counter("stale_offs", "offs from before the open session, or while none was open: without effect")
      .counter("other_fields", "samples of fields that no column names")
      .counter("empty_sessions", "sessions that had no tick between their first and last sample, so no row")
      .counter("early_closed_ticks", "ticks closed, and sessions ended, early because of max_pending")
      .accepts({Shape::samples})
      .keyed_state()
      .version(3)
      .needs_whole_keys()
      .state([](const Settings& settings) {
        return "about 64 B per (vehicle, field) of a vehicle with 8 fields, 210 B once samples wait, room for 3 ticks "
               "included, and 32 B per further tick; at most " +
               std::to_string(settings.integer("max_pending")) +
               " waiting samples per vehicle, 65533 of one field or ticks; beyond, its oldest tick closes";
      })
      .details(
          "Each vehicle's ticks close by its own progress: when every field of its session has passed the tick, or "
          "`wait` after the later of the tick and the arrival of its first sample beyond. A vehicle that comes out of "
          "a tunnel with minutes of buffered samples is not late. Sessions are runs of samples without a gap or an "
          "off; ticks from a session's first to its last sample get a row, no others.")
      .details(
          "What comes out are brackets: per tick and field the sample before and the one after it, in the columns "
          "<field>.before_time, <field>.before, <field>.after_time and <field>.after. The \"columns\" of a sink, or of "
          "fill, complete them to rows. Transforms see samples before window-join, rows behind fill, and brackets in "
          "between.")
      .details(
          "Of a field, only the first and the last sample between two ticks are kept, as no other can be in a "
          "bracket; so a sensor's rate costs no memory. Numbers that are not finite go to the dead letters; so do "
          "samples of a message whose gaps, of more than 8 ticks each, would make more than 100000 rows together.")
      .example(
          R"({ "id": "rows", "transform": "window-join", "from": "signals", "every": "1s", "fields": ["speed", "charge"],
  "session": { "field": "power", "on": 1, "off": 0, "timeout": "30s" } })")
      .check(problems);
}

}  // namespace

WEIR_OPERATOR(transforms, window_join, WindowJoin, spec())
