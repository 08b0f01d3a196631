/// A recording gives a pipeline the same rows as what was recorded did, whatever the pipeline, the batches and commits
/// of the recorder, and the batches of the replay.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>

#include <weir/format.hpp>
#include <weir/json_rows.hpp>
#include <weir/recording.hpp>

#include "conformance/lane.hpp"
#include "fakes/context.hpp"
#include "fakes/settings.hpp"
#include "fakes/temporary_directory.hpp"
#include "property/faulty_stream.hpp"

namespace weir::property {
namespace {

using conformance::now;

/// What is random beside the stream.
struct Trial {
  std::vector<std::string> nodes;    ///< of the pipeline, one behind the other
  std::vector<std::size_t> cuts;     ///< messages of a pull, repeated
  std::vector<bool> commits;         ///< after which pull the recorder commits, repeated; and in the end
  std::vector<std::size_t> budgets;  ///< messages of a replay's pull, repeated
  std::vector<std::size_t> broken;   ///< every so many-th payload can't be decoded; 0: none
};

void showValue(const Trial& trial, std::ostream& os) {
  for (const std::string& node : trial.nodes) os << node << "\n";
}

rc::Gen<std::vector<std::size_t>> lengths() {
  return rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 20)));
}

/// A chain of transforms, each of them there or not.
rc::Gen<Trial> any_trial() {
  return rc::gen::apply(
      [](int which, int every, int wait, int bound, std::vector<std::size_t> cuts, std::vector<bool> commits,
         std::vector<std::size_t> budgets, std::size_t broken) {
        Trial trial{{}, std::move(cuts), std::move(commits), std::move(budgets), {broken}};
        std::string from = "signals";
        const auto add = [&](bool there, const std::string& id, const std::string& rest) {
          if (!there) return;
          trial.nodes.push_back(weir::format(R"({{ "id": "{}", "from": "{}", {} }})", id, from, rest));
          from = id;
        };
        add((which & 1) != 0, "low",
            weir::format(R"("transform": "filter", "where": "x < {} or text is not null")", bound));
        add((which & 2) != 0, "more", R"("transform": "map", "where": "field = 'speed'", "set": { "x": "x * 3 + 1" })");
        add((which & 4) != 0, "last", R"("transform": "keyed-last-value")");
        add((which & 8) != 0, "rows",
            weir::format(
                R"("transform": "window-join", "every": "{}ms", "wait": "{}ms", "session": {{ "field": "power", "on": 1, "off": 0, "timeout": "300ms" }})",
                every * 10, wait * 10));
        add(true, "out",
            (which & 8) != 0 ? R"("sink": "stdout", "columns": { "speed": {}, "charge": {} })" : R"("sink": "stdout")");
        return trial;
      },
      rc::gen::inRange(0, 16), rc::gen::element(1, 2, 5), rc::gen::inRange(0, 30), rc::gen::inRange(0, 12), lengths(),
      rc::gen::nonEmpty(rc::gen::arbitrary<std::vector<bool>>()), lengths(), rc::gen::inRange<std::size_t>(0, 9));
}

/// The script as messages of a stream.
std::shared_ptr<const Messages> messages_of(const Script& script, std::size_t broken) {
  struct Owner {
    Messages messages;
    std::vector<std::string> texts;
  };
  const auto owner = std::make_shared<Owner>();
  owner->texts.reserve(script.size() * 4);
  const auto keep = [&](std::string text) { return std::string_view{owner->texts.emplace_back(std::move(text))}; };
  for (const Event& event : script) {
    Message& message = owner->messages.items.emplace_back();
    message.sequence = owner->messages.items.size() * 2;  // a stream may have gaps
    message.arrival = now + event.arrival * unit;
    message.marker = event.field < 0;
    if (message.marker) continue;
    message.key = keep(weir::format("v{}", event.vehicle));
    message.field = keep(field_names()[static_cast<std::size_t>(event.field)]);
    message.subject = keep(weir::format("vehicle.{}.{}", message.key, message.field));
    message.payload = keep(broken != 0 && owner->messages.items.size() % broken == 0
                               ? std::string{"{ broken"}
                               : weir::format(R"({{"time":{},"value":{}}})", now + event.time * unit, event.value));
  }
  return {owner, &owner->messages};
}

std::vector<std::shared_ptr<const Messages>> cut(const std::shared_ptr<const Messages>& all,
                                                 const std::vector<std::size_t>& lengths) {
  std::vector<std::shared_ptr<const Messages>> out;
  const auto& items = all->items;
  for (std::size_t begin = 0, i = 0; begin < items.size(); ++i) {
    const std::size_t end = std::min(items.size(), begin + lengths[i % lengths.size()]);
    out.push_back(std::make_shared<Messages>(Messages{
        {items.begin() + static_cast<std::ptrdiff_t>(begin), items.begin() + static_cast<std::ptrdiff_t>(end)}, all}));
    begin = end;
  }
  return out;
}

/// All that came out of a lane.
struct Written {
  std::string rows, letters;
};

/// A lane that writes it down.
class WritingLane {
 public:
  explicit WritingLane(const std::vector<std::string>& nodes) : pipeline_{checked(nodes)} {
    EXPECT_TRUE(chain_.start(0));
    chain_.watch([this](PortRef from, const BatchPtr& batch) {
      if (from.node == pipeline_->source()) decoded_ = batch;
    });
  }

  /// Answers the batch that the source's readers were given.
  BatchPtr feed(std::shared_ptr<const Messages> messages) {
    ChainOutput out;
    const auto done = chain_.step(chain_.decode(std::move(messages)), false, out);
    EXPECT_TRUE(done) << done.error().message;
    for (const SinkBatch& part : out.batches) {
      for (std::size_t row = 0; row < part.batch->rows; ++row) {
        written.rows += weir::format("{} ", part.batch->arrival[row]);
        json::append_row(*part.batch, row, written.rows, json::Style::evidence);
        written.rows += '\n';
      }
    }
    for (const auto& letter : out.dead_letters)
      written.letters += weir::format("{} {} {} {}\n", letter.position, letter.ordinal, letter.reason, letter.payload);
    return std::exchange(decoded_, nullptr);
  }

  Written written;

 private:
  static std::shared_ptr<const Pipeline> checked(const std::vector<std::string>& nodes) {
    std::string all = R"({ "id": "signals", "source": "nats", "encoding": "json" })";
    for (const std::string& node : nodes) all += ", " + node;
    return conformance::checked(R"({ "name": "any", "limits": { "keys": 1000 }, "nodes": [ )" + all + " ] }");
  }

  std::shared_ptr<const Pipeline> pipeline_;
  Counters counters_;
  Chain chain_{*pipeline_, fakes::registry(), counters_, system_clock(), 0};
  BatchPtr decoded_;
};

/// Runs the lane and records what its source gives.
Written recorded(const std::string& path, const Trial& trial, const Script& script) {
  WritingLane run{trial.nodes};
  auto writer = recording::Writer::open(path, {1, "any", "tape"});
  RC_ASSERT(writer.has_value());
  const auto pulls = cut(messages_of(script, trial.broken.front()), trial.cuts);
  for (std::size_t i = 0; i < pulls.size(); ++i) {
    const BatchPtr batch = run.feed(pulls[i]);
    RC_ASSERT(writer->add(*batch).has_value());
    if (!trial.commits[i % trial.commits.size()] && i + 1 < pulls.size()) continue;
    const LaneCommit done{0, {.position = batch->origin.last, .arrival = batch->reached}};
    RC_ASSERT(writer->commit({&done, 1}).has_value());
  }
  return std::move(run.written);
}

Written replayed(const std::string& path, const Trial& trial) {
  WritingLane run{trial.nodes};
  const Operator& op = *fakes::registry().find(Role::source, "recording");
  fakes::FakeContext context;
  const auto source = op.make_source(fakes::settings_of(op, {{"path", path}}), context);
  RC_ASSERT(source->open(0).has_value());
  for (std::size_t i = 0;; ++i) {
    const auto pulled = source->pull({.messages = trial.budgets[i % trial.budgets.size()]}, {});
    RC_ASSERT(pulled.has_value());
    if (pulled->state == Pulled::State::end) return std::move(run.written);
    (void)run.feed(pulled->messages);
  }
}

void check_replay(const Script& script, const Trial& trial) {
  const fakes::TemporaryDirectory directory;
  const std::string path = directory.file("any.weir");
  const Written live = recorded(path, trial, script);
  const Written again = replayed(path, trial);
  RC_ASSERT(again.rows == live.rows);
  RC_ASSERT(again.letters == live.letters);
}

RC_GTEST_PROP(Replay, GivesTheRowsOfWhatWasRecorded, ()) { check_replay(*fleet_script(), *any_trial()); }

RC_GTEST_PROP(Replay, GivesThemWhereEverythingCollides, ()) { check_replay(*colliding_script(), *any_trial()); }

}  // namespace
}  // namespace weir::property
