#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <weir/operator.hpp>
#include <weir/rfc3339.hpp>

#include "clients/pace.hpp"
#include "sources/simulate/message_block.hpp"
#include "sources/simulate/uplink.hpp"

namespace {
using namespace weir;

constexpr Timestamp default_start = 1'767'225'600 * second;  // 2026-01-01T00:00:00Z
constexpr Duration longest_silence = 100 * millisecond;

struct Usual {
  fleet::Pace pace;
  const char* rate;
  const char* jitter;
};
constexpr std::array<Usual, fleet::sensor_count - 1> usual{{{{1, 0}, "1/s", "0"},
                                                            {{5, 0.1}, "5/s", "0.1"},
                                                            {{1, 0.1}, "1/s", "0.1"},
                                                            {{5, 0.1}, "5/s", "0.1"},
                                                            {{0.1, 0.1}, "0.1/s", "0.1"},
                                                            {{0.1, 0.1}, "0.1/s", "0.1"},
                                                            {{0.2, 0.1}, "0.2/s", "0.1"}}};

bool replayable(const Settings& s) { return s.has("start") || s.text("speed") == "max"; }

/// "vehicle.{key}.{field}" cut at its placeholders.
struct Subject {
  std::string before, between, after;
  bool field = false;

  explicit Subject(const std::string& text) {
    const auto key = text.find("{key}");
    const auto name = text.find("{field}");
    field = name != std::string::npos;
    before = text.substr(0, key);
    between = field ? text.substr(key + 5, name - key - 5) : text.substr(key + 5);
    if (field) after = text.substr(name + 7);
  }
};

double share(const Settings& settings, const char* name, double otherwise) {
  return settings.has(name) ? settings.number(name) : otherwise;
}

Duration length(const Settings& settings, const char* name, Duration otherwise) {
  return settings.has(name) ? settings.duration(name) : otherwise;
}

/// What the settings say, but for `start`.
fleet::Link link_of(const Settings& settings) {
  fleet::Link link;
  link.plan.seed = static_cast<std::uint64_t>(settings.integer("seed"));
  link.plan.vehicles = static_cast<std::uint32_t>(settings.integer("vehicles"));
  link.plan.drive = settings.duration("drive");
  link.plan.park = settings.duration("park");
  link.frame = settings.duration("frame");
  link.by_sensor = Subject{settings.text("subject")}.field;
  if (settings.has("link")) {
    link.plan.loss_every = length(settings.object("link"), "every", 10 * minute);
    link.plan.loss_for = length(settings.object("link"), "for", 30 * second);
  }
  for (std::size_t i = 0; i < usual.size(); ++i) {
    link.plan.sensors[i] = usual[i].pace;
    if (!settings.has("sensors") || !settings.object("sensors").has(fleet::sensor_names[i])) continue;
    const Settings& sensor = settings.object("sensors").object(fleet::sensor_names[i]);
    link.plan.sensors[i] = {share(sensor, "rate", usual[i].pace.rate), share(sensor, "jitter", usual[i].pace.jitter)};
  }
  if (settings.has("faults")) {
    const Settings& faults = settings.object("faults");
    link.faults = {.batch_missing = share(faults, "batch_missing", 0.01),
                   .batch_late = share(faults, "batch_late", 0.05),
                   .batch_repeated = share(faults, "batch_repeated", 0.01),
                   .sample_missing = share(faults, "sample_missing", 0.1),
                   .sample_late = share(faults, "sample_late", 0.3),
                   .sample_zeroed = share(faults, "sample_zeroed", 0.1)};
  }
  return link;
}

class Simulate final : public Source {
 public:
  Simulate(const Settings& settings, Context& context)
      : context_{context},
        link_{link_of(settings)},
        subject_{settings.text("subject")},
        pace_{*Pace::parse(settings.text("speed"))},
        linger_{settings.duration("linger")},
        replayable_{replayable(settings)} {
    if (settings.has("start")) start_ = *parse_rfc3339(settings.text("start"));
    if (settings.has("for")) length_ = settings.duration("for");
  }

  Result<Position> open(Position after) override;
  Result<Pulled> pull(const Budget& budget, std::stop_token stop) override;
  StreamIdentity identity() const override { return {"simulate", replayable_ ? link_.plan.start : no_time}; }

 private:
  /// What comes next in the stream.
  struct Next {
    enum class Kind : std::uint8_t { message, marker, end } kind = Kind::end;
    Timestamp arrival = no_time;
    const fleet::Sent* sent = nullptr;
  };

  Result<Next> next();
  void pass(const Next& next);
  void append(MessageBlock& block, const Next& next, std::string_view payload);
  void count();

  Context& context_;
  fleet::Link link_;
  Subject subject_;
  Pace pace_;
  Duration linger_;
  bool replayable_;
  std::optional<Timestamp> start_;
  std::optional<Duration> length_;

  std::optional<fleet::Uplink> uplink_;
  Position sequence_ = 0;
  Timestamp arrival_ = 0;    ///< of the last message or marker
  Timestamp last_sent_ = 0;  ///< arrival of the last message
  const std::size_t longest_subject_ = subject_.before.size() + subject_.between.size() + subject_.after.size() + 32;
  MessageBlocks blocks_;

  std::uint64_t published_ = 0, repeated_ = 0;
  fleet::Uplink::Counts counted_;
  const std::size_t published_counter_ = context_.counter("published");
  const std::size_t repeated_counter_ = context_.counter("repeated");
  const std::size_t missing_counter_ = context_.counter("missing");
  const std::size_t late_counter_ = context_.counter("late");
  const std::size_t zeroed_counter_ = context_.counter("zeroed");
};

Result<Position> Simulate::open(Position after) {
  const Timestamp usual_start = pace_.limited() ? context_.clock().now() : default_start;
  link_.plan.start = arrival_ = last_sent_ = start_.value_or(usual_start);
  if (length_) link_.end = link_.plan.start + *length_;
  uplink_.emplace(link_, *context_.codec(""));
  sequence_ = replayable_ ? 0 : after;
  while (sequence_ < after) {
    const auto passed = next();
    if (!passed) return std::unexpected(passed.error());
    if (passed->kind == Next::Kind::end) {
      return fail(Error::Kind::changed, "the simulation ends at message " + std::to_string(sequence_) +
                                            ", before message " + std::to_string(after));
    }
    pass(*passed);
  }
  published_ = repeated_ = 0;
  counted_ = uplink_->counts();
  pace_.begin(arrival_, context_.clock());
  return after;
}

/// The stream: the fleet's messages, markers where it is silent, and after the last message as many as `linger` takes.
Result<Simulate::Next> Simulate::next() {
  const auto sent = uplink_->peek();
  if (!sent) return std::unexpected(sent.error());
  const Timestamp until = *sent != nullptr ? (*sent)->at : last_sent_ + linger_;
  if (until - arrival_ > longest_silence) return Next{Next::Kind::marker, arrival_ + longest_silence};
  if (*sent != nullptr) return Next{Next::Kind::message, until, *sent};
  return until > arrival_ ? Next{Next::Kind::marker, until} : Next{};
}

void Simulate::pass(const Next& next) {
  ++sequence_;
  arrival_ = next.arrival;
  if (next.kind != Next::Kind::message) return;
  last_sent_ = next.arrival;
  (next.sent->again ? repeated_ : published_) += next.sent->samples;
  uplink_->take();
}

Result<Pulled> Simulate::pull(const Budget& budget, std::stop_token stop) {
  const auto block = blocks_.take(budget.bytes);
  auto& items = block->messages.items;
  Duration patience = budget.wait;
  bool ended = false;
  while (items.size() < budget.messages && block->bytes.size() < budget.bytes) {
    const auto coming = next();
    if (!coming) return std::unexpected(coming.error());
    ended = coming->kind == Next::Kind::end;
    if (ended) break;
    if (const Duration wait = pace_.ahead(coming->arrival, context_.clock()); wait > 0) {
      if (!items.empty() || patience <= 0) break;
      const Duration slice = std::min(wait, patience);
      patience -= slice;
      if (!context_.clock().wait(slice, stop)) break;
      continue;
    }
    Result<std::string_view> payload;
    if (coming->sent != nullptr) payload = uplink_->payload();
    if (!payload) return std::unexpected(payload.error());
    const std::size_t size = payload->size() + longest_subject_;
    if (!block->has_room(size)) {
      if (!items.empty()) break;
      block->bytes.reserve(size);
    }
    append(*block, *coming, *payload);
    pass(*coming);
  }
  count();
  if (items.empty()) return Pulled{ended ? Pulled::State::end : Pulled::State::idle, nullptr};
  return Pulled{Pulled::State::messages, std::shared_ptr<const Messages>{block, &block->messages}};
}

void Simulate::append(MessageBlock& block, const Next& next, std::string_view payload) {
  Message& message = block.messages.items.emplace_back();
  message.sequence = sequence_ + 1;
  message.arrival = next.arrival;
  message.marker = next.kind == Next::Kind::marker;
  if (message.marker) return;
  char number[16];
  const auto end = std::to_chars(number, number + sizeof number, next.sent->vehicle + 1).ptr;
  const std::size_t begin = block.bytes.size();
  block.add(subject_.before);
  message.key = block.add({number, end});
  block.add(subject_.between);
  if (subject_.field) message.field = block.add(fleet::sensor_names[static_cast<std::size_t>(next.sent->sensor)]);
  block.add(subject_.after);
  message.subject = std::string_view{block.bytes}.substr(begin);
  message.payload = block.add(payload);
}

void Simulate::count() {
  const fleet::Uplink::Counts counts = uplink_->counts();
  context_.count(published_counter_, std::exchange(published_, 0));
  context_.count(repeated_counter_, std::exchange(repeated_, 0));
  context_.count(missing_counter_, counts.missing - counted_.missing);
  context_.count(late_counter_, counts.late - counted_.late);
  context_.count(zeroed_counter_, counts.zeroed - counted_.zeroed);
  counted_ = counts;
}

std::vector<Error> check(const Settings& settings) {
  std::vector<Error> problems;
  const auto add = [&](const char* setting, std::string message) {
    problems.push_back({Error::Kind::invalid, std::move(message), setting});
  };
  if (!Pace::parse(settings.text("speed"))) add("speed", Pace::mistake);
  if (settings.has("start") && !parse_rfc3339(settings.text("start"))) {
    add("start", "not a time; write it as \"2026-01-01T00:00:00Z\"");
  }
  const std::string& subject = settings.text("subject");
  const auto key = subject.find("{key}");
  const auto field = subject.find("{field}");
  if (key == std::string::npos || (field != std::string::npos && field < key)) {
    add("subject",
        "write {key} where the vehicle's number stands, and {field} behind it for a message per sensor: "
        "\"vehicle.{key}.{field}\"");
  }
  return problems;
}

std::vector<Field> share_fields() {
  const auto field = [](const char* name, const char* doc, const char* fallback) {
    return Field{name, kind::number(), doc, false, fallback, 0.0, 1.0};
  };
  return {field("batch_missing", "messages that are never sent", "0.01"),
          field("batch_late", "messages sent after the vehicle's next", "0.05"),
          field("batch_repeated", "messages sent again within two seconds", "0.01"),
          field("sample_missing", "samples left out", "0.1"),
          field("sample_late", "samples sent with the next message, behind newer ones", "0.3"),
          field("sample_zeroed", "samples with the value 0", "0.1")};
}

std::vector<Field> sensor_fields() {
  std::vector<Field> fields;
  for (std::size_t i = 0; i < usual.size(); ++i) {
    const std::vector<Field> pace{
        {"rate", kind::rate(), "readings while driving; \"0/s\" for none", false, usual[i].rate, 0.0, 25'000.0},
        {"jitter", kind::number(), "share of the period by which the distance of two readings varies", false,
         usual[i].jitter, 0.0, 1.0}};
    fields.push_back({std::string{fleet::sensor_names[i]}, kind::object(pace), "how often it is read", false});
  }
  return fields;
}

const Spec spec =
    Spec::source("a fleet that drives through a city, the same for the same seed")
        .details(
            "Each vehicle drives, parks and drives again. Its fields are position (a point), speed (km/h), heading "
            "(degrees), torque (Nm), charge and fuel (%), temperature (of the brake fluid, °C), and power: 1 when a "
            "trip begins, 0 when it ends. What a vehicle does depends on the seed and its number alone, not on how "
            "many there are nor on the sensors. Arrival is the simulated time, whatever the speed; every 100 ms of "
            "silence a marker says how late it is. With `faults`, a clean run with the same seed has published = "
            "published + missing of the faulty one.")
        .field("vehicles", kind::integer(), "number of vehicles; their keys are 1, 2, 3…", "100")
        .between(1, 1e6)
        .field("seed", kind::integer(), "another seed, another fleet", "1")
        .optional("for", kind::duration(), "simulated length; without it there is no end")
        .between(1, 1e18)
        .optional("start", kind::text(),
                  "simulated time of the beginning; default: 2026-01-01T00:00:00Z at speed max, otherwise now")
        .field("speed", kind::text(), Pace::doc, "max")
        .field("subject", kind::text(), "{key} is the vehicle; with {field} a message holds samples of one sensor",
               "vehicle.{key}")
        .field("frame", kind::duration(),
               "a vehicle sends what it read this often; \"0s\": each sample by itself, at once", "1s")
        .field("drive", kind::duration(), "mean length of a trip; it varies by half", "20m")
        .between(double(second), 1e18)
        .field("park", kind::duration(), "mean length of a pause; \"0s\": trips do not end", "10m")
        .optional("sensors", kind::object(sensor_fields()), "sensors that are read otherwise than usual")
        .optional(
            "link",
            kind::object({{"every", kind::duration(), "mean time between two losses of a vehicle's link", false, "10m",
                           double(second)},
                          {"for", kind::duration(), "mean length of a loss", false, "30s"}}),
            "lets links fail: samples wait, then come at once, one sensor after the other; {} for the usual times")
        .optional("faults", kind::object(share_fields()),
                  "shares of what goes wrong; {} for the usual ones; power is spared the faults of samples")
        .field("linger", kind::duration(),
               "how long arrival time runs on after the last message, so that windows close", "10s")
        .counter("published", "samples in messages that were given out, repeats not counted")
        .counter("repeated", "samples in messages that were given out again")
        .counter("missing", "samples left out, alone or with their message")
        .counter("late", "samples put behind newer ones, alone or with their message")
        .counter("zeroed", "samples whose value was set to 0")
        .check(check)
        .claims([](const Settings& settings) {
          return Claims{
              .replayable = replayable(settings),
              .ordered = true,
              .finite = settings.has("for"),
              .because =
                  replayable(settings)
                      ? "the same seed makes the same stream again"
                      : "it starts again at the time of day; set \"start\", or \"speed\": \"max\", to have it replayed"};
        })
        .example(R"({ "id": "fleet", "source": "simulate", "vehicles": 100, "for": "60s" })")
        .example(
            R"({ "id": "fleet", "source": "simulate", "vehicles": 10, "for": "10s", "subject": "v.{key}.{field}", "frame": "0s",
                      "sensors": { "speed": { "rate": "10/s", "jitter": 0.3 } }, "link": {}, "faults": { "batch_missing": 0 } })");
}  // namespace

WEIR_OPERATOR(sources, simulate, Simulate, spec)
