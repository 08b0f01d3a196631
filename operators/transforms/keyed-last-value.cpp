#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/sample_rows.hpp>
#include <weir/units.hpp>

#include <algorithm>

#include "clients/nats_current.hpp"
#include "transforms/keyed-last-value/last_values.hpp"

namespace {
using namespace weir;
using last_value::LastValues;

class KeyedLastValue final : public Transform {
 public:
  KeyedLastValue(const Settings& settings, Context& context) : context_{context}, repeats_{context.counter("repeats")} {
    if (settings.has("publish")) publish_to(settings);
  }

  Result<Schemas> bind_schema(const Schemas& inputs) override {
    if (inputs.at(0)->shape != Shape::samples)
      return fail(Error::Kind::invalid, "keyed-last-value takes samples", "from");
    return inputs;
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (in->rows == 0) {
      out.emit(in);
      return {};
    }
    const SampleRows rows{*in};
    if (rows.keys.dictionary != context_.keys())
      return fail(Error::Kind::internal, "keys of another lane reached keyed-last-value");
    number_fields(rows.fields);
    last_.sweep(in->arrival[0], context_.forget());
    last_.expect(context_.keys()->size());

    // What was committed was offered before; offered again, it could bring back what was removed meanwhile.
    const bool publishes = current_ != nullptr && !out.silent();
    std::vector<std::uint8_t> keep;
    const auto leave_out = [&](std::size_t row) {
      if (keep.empty()) keep.assign(in->rows, 1);
      keep[row] = 0;
    };
    std::size_t repeats = 0;
    runs_.find(rows);
    const std::size_t ahead = std::max<std::size_t>(3, runs_.in_rows(32));
    for (std::size_t run = 0; run < runs_.size(); ++run) {
      if (run + 2 * ahead < runs_.size()) {
        last_.prefetch_place(runs_.key(run + 2 * ahead));
        last_.prefetch(runs_.key(run + ahead));
      }
      auto& key = last_.touch(runs_.key(run), in->arrival[runs_.begin(run)], context_.forget());
      for (std::size_t row = runs_.begin(run); row < runs_.end(run); ++row) {
        if (!rows.timed(row)) continue;
        const std::uint16_t field = numbers_[rows.fields.ids[row]];
        if (field == no_number) {
          out.refuse(*in, row, weir::format("too many fields: the limit is {}", samples::most_fields));
          leave_out(row);
          continue;
        }
        if (current_ != nullptr && rows.time(row) > in->arrival[row] + ahead_) {
          // Remembered, it would make all that is true until then an older sample.
          out.count(not_offered_.ahead, 1);
          continue;
        }
        const auto seen = rows.is_number(row) ? last_.see(key, field, rows.time(row), rows.x(row))
                                              : last_.see(key, field, rows.time(row), rows.value(row));
        if (publishes) publish(rows, row, seen, out);
        if (seen != LastValues::Seen::repeat) continue;
        ++repeats;
        leave_out(row);
      }
    }
    if (!changed_.empty()) current_->offer(std::exchange(changed_, {}));
    out.count(repeats_, repeats);
    out.emit(keep.empty() ? in : in->select(keep));
    return {};
  }

  void save(StateWriter& state) const override {
    state.put(names_.size());
    for (std::uint32_t i = 0; i < names_.size(); ++i) state.put_text(names_.at(i));
    last_.save(state);
  }

  Result<void> load(StateReader& state) override {
    const auto names = state.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < names && state.ok(); ++i) names_.intern(state.get_text());
    const auto ahead = current_ == nullptr ? std::nullopt : std::optional{ahead_};
    if (last_.load(state, context_.keys()->size(), ahead)) return {};
    return fail(Error::Kind::changed, "the state of keyed-last-value is damaged");
  }

  std::shared_ptr<WriteBehind> write_behind() const override { return current_; }

  Size size() const override { return {last_.keys(), last_.bytes() + (current_ == nullptr ? 0 : current_->bytes())}; }

 private:
  /// Translates the batch's field ids: they need not come from the lane's table, and state must outlive any other.
  void number_fields(const Ids& fields) {
    if (fields.dictionary != numbered_) numbers_.clear();
    numbered_ = fields.dictionary;
    for (auto id = static_cast<std::uint32_t>(numbers_.size()); id < numbered_->size(); ++id) {
      const auto number = names_.intern(numbered_->at(id));
      numbers_.push_back(static_cast<std::uint16_t>(number.value_or(no_number)));
    }
  }

  void publish_to(const Settings& settings) {
    ahead_ = settings.duration("publish_ahead");
    not_offered_ = {context_.counter("older"), context_.counter("ahead"), context_.counter("unpublishable")};
    auto config = nats::publish_config(settings, context_);
    config.names = [this](std::uint64_t id) {
      return std::pair{context_.keys()->at(static_cast<std::uint32_t>(id >> 16)),
                       names_.at(static_cast<std::uint32_t>(id & 0xffff))};
    };
    current_ = std::make_shared<nats::CurrentValues>(std::move(config), context_.clock());
  }

  /// Offers what is newer to the bucket; what is not offered is counted.
  void publish(const SampleRows& rows, std::size_t row, LastValues::Seen seen, Output& counted) {
    using enum SampleValue::Kind;
    if (seen == LastValues::Seen::repeat) return;
    if (seen == LastValues::Seen::older) return counted.count(not_offered_.older, 1);
    const SampleValue value = rows.value(row);
    if (value.kind == nothing) return counted.count(not_offered_.without_value, 1);
    auto& out = changed_.emplace_back();
    out.id = std::uint64_t{rows.keys.ids[row]} << 16 | numbers_[rows.fields.ids[row]];
    out.time = rows.time(row);
    out.kind = value.kind == point  ? Sample::Kind::point
               : value.kind == text ? Sample::Kind::text
                                    : Sample::Kind::number;
    out.x = value.x;
    out.y = value.y;
    out.z = value.z;
    out.text = value.text;
  }

  Context& context_;
  std::size_t repeats_;
  LastValues last_;
  static constexpr std::uint16_t no_number = UINT16_MAX;  ///< of a field beyond the bound
  Dictionary names_{samples::most_fields};
  std::shared_ptr<const Dictionary> numbered_;
  std::vector<std::uint16_t> numbers_;  ///< by id in `numbered_`
  KeyRuns runs_;
  Duration ahead_ = 0;
  struct {
    std::size_t older, ahead, without_value;
  } not_offered_ = {};  ///< counters
  std::vector<nats::Current> changed_;
  std::shared_ptr<nats::CurrentValues> current_;  ///< ends first: its thread reads names_
};

Spec spec() {
  auto out = nats::with_publish(Spec::transform(
      "passes every sample on, in order, except exact repeats; remembers the newest of each key and field"));
  out.counter("repeats", "samples that said again, word for word, what the newest one of their key and field said")
      .accepts({Shape::samples})
      .keyed_state()
      .state([](const Settings& settings) {
        const std::string held = "≤ 32 B per (vehicle, field) that holds a number";
        return settings.has("publish") ? held + ", and some 350 B for each that is published" : held;
      })
      .claims([](const Settings& settings) {
        Claims claims;
        if (settings.has("publish")) {
          claims.idempotent = true;
          claims.because = "the newest values are written to bucket " + settings.text("publish") + " every " +
                           format_duration(settings.duration("publish_every")) + "; an older one never replaces them";
        }
        return claims;
      })
      .details(
          "A repeat has the same key, field, time and value as the newest sample; devices and networks send it when "
          "they are not sure. Older samples pass: window-join reorders. A key without a sample for limits.forget is "
          "forgotten. What is published is the newest value only, and never over a newer one, from any number of "
          "workers; where the source gives again what was not committed, a commit waits for it, and what was "
          "committed before is not published again.")
      .example(R"({ "id": "last", "transform": "keyed-last-value", "from": "signals" })")
      .example(R"({ "id": "last", "transform": "keyed-last-value", "from": "signals", "publish": "fleet-now" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(transforms, keyed_last_value, KeyedLastValue, spec())
