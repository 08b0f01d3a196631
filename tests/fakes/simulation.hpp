/// source/simulate with everything around it, read sample by sample.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <weir/units.hpp>

#include "fakes/codecs.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
Operator weir_operator_sources_simulate();
}  // namespace weir

namespace weir::fakes {

using Changes = std::map<std::string, Setting>;
constexpr Timestamp new_year = 1'767'225'600 * second;

inline Settings settings_with(const Changes& changes) {
  Settings settings{"fleet"};
  for (const Field& field : weir_operator_sources_simulate().spec.fields) {
    if (field.fallback.empty()) continue;
    if (field.kind.tag == Kind::Tag::text) settings.set(field.name, field.fallback);
    if (field.kind.tag == Kind::Tag::integer) settings.set(field.name, std::int64_t{std::stoll(field.fallback)});
    if (field.kind.tag == Kind::Tag::duration) settings.set(field.name, *parse_duration(field.fallback));
  }
  for (const auto& [name, value] : changes) settings.set(name, value);
  return settings;
}

inline Setting object(const Changes& values) {
  auto settings = std::make_shared<Settings>();
  for (const auto& [name, value] : values) settings->set(name, value);
  return std::shared_ptr<const Settings>{std::move(settings)};
}

/// A sample as the lane sees it.
struct Seen {
  std::string key, field;
  Timestamp time = 0, arrival = 0;
  double x = 0, y = 0;
  auto operator<=>(const Seen&) const = default;
};

/// What was read of a simulation.
struct Story {
  /// Samples of one field of one vehicle, as (time, x).
  std::vector<std::pair<Timestamp, double>> of(std::string_view key, std::string_view field) const {
    std::vector<std::pair<Timestamp, double>> out;
    for (const Seen& s : seen) {
      if (s.key == key && s.field == field) out.emplace_back(s.time, s.x);
    }
    return out;
  }
  /// All samples without their arrival, in no order.
  std::multiset<Seen> samples() const {
    std::multiset<Seen> out;
    for (Seen s : seen) {
      s.arrival = 0;
      out.insert(s);
    }
    return out;
  }

  std::vector<std::string> lines;
  std::vector<Seen> seen;
  std::map<std::string, std::uint64_t> counted;
  std::size_t markers = 0;
  Position last = 0;
  Timestamp arrival = no_time;
};

class Simulation : public Story {
 public:
  explicit Simulation(const Changes& changes, const Operator& codec = weir_operator_codecs_flatbuffers())
      : settings{settings_with(changes)}, context{{}, clock}, codec_{fakes::make_codec(codec)} {
    context.the_codec = codec_.get();
    source = weir_operator_sources_simulate().make_source(settings, context);
  }

  Simulation& open(Position after = 0) {
    const auto opened = source->open(after);
    EXPECT_TRUE(opened) << opened.error().message;
    last = *opened;
    return *this;
  }

  /// Reads to the end, or until there are that many messages more.
  Simulation& read(std::size_t most = SIZE_MAX, Budget budget = {}) {
    while (lines.size() < most) {
      budget.messages = std::min(budget.messages, most - lines.size());
      const auto pulled = source->pull(budget, {});
      if (!pulled) ADD_FAILURE() << pulled.error().message;
      if (!pulled || pulled->state == Pulled::State::end) break;
      if (pulled->state == Pulled::State::messages) keep(*pulled->messages);
    }
    for (const CounterSpec& counter : weir_operator_sources_simulate().spec.counters) {
      counted[counter.name] = context.counted(counter.name);
    }
    return *this;
  }

  void keep(const Messages& messages) {
    for (const Message& message : messages.items) {
      EXPECT_EQ(message.sequence, last + 1);
      EXPECT_GE(message.arrival, arrival);
      last = message.sequence;
      arrival = message.arrival;
      lines.push_back(std::to_string(message.sequence) + ' ' + std::to_string(message.arrival) + ' ' +
                      std::string{message.subject} + ' ' + std::string{message.payload});
      if (message.marker) {
        ++markers;
        continue;
      }
      Collector out{seen, message};
      const auto decoded = codec_->decode(message, out);
      EXPECT_TRUE(decoded) << decoded.error().text();
    }
  }

  WaitingClock clock;
  Settings settings;
  fakes::FakeContext context;
  std::unique_ptr<Source> source;

 private:
  struct Collector final : SampleSink {
    Collector(std::vector<Seen>& out, const Message& from) : seen{out}, message{from} {}
    void add(const Sample& sample) override {
      seen.push_back(
          {std::string{sample.key}, std::string{sample.field}, *sample.time, message.arrival, sample.x, sample.y});
    }
    void refuse(Reason reason) override { ADD_FAILURE() << reason.text(); }
    std::vector<Seen>& seen;
    const Message& message;
  };

  std::unique_ptr<Codec> codec_;
};

inline Setting text(const char* value) { return std::string{value}; }
inline Changes small(Changes changes = {}) {
  changes.try_emplace("vehicles", std::int64_t{5});
  changes.try_emplace("for", Duration{30 * second});
  return changes;
}
inline const Changes trips{{"drive", Duration{20 * second}}, {"park", Duration{15 * second}}};

inline Changes with(Changes changes, const Changes& more) {
  for (const auto& [name, value] : more) changes.insert_or_assign(name, value);
  return changes;
}

}  // namespace weir::fakes
