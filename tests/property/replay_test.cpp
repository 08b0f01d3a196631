/// Recordings give what was recorded, whatever the pipeline, the threads, the batches and the speed: rows and dead
/// letters of each sink and partition in the same order, byte for byte, and the same counts.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <limits>
#include <map>
#include <memory>
#include <set>

#include <weir/checksum.hpp>
#include <weir/format.hpp>
#include <weir/partition.hpp>
#include "recording/recording.hpp"

#include "core/config/text.hpp"
#include "core/runtime/chain.hpp"
#include "fakes/codecs.hpp"
#include "fakes/log.hpp"
#include "fakes/temporary_directory.hpp"
#include "property/faulty_stream.hpp"
#include "property/random_pipeline.hpp"
#include "property/replayed_run.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::property {
namespace {

constexpr Timestamp beginning = 1'800'000'000 * second;  // 2027

/// What is random beside the pipeline and the streams.
struct Trial {
  std::vector<std::size_t> frames;   ///< samples of a message, at most, if they arrive together; repeated
  std::vector<std::size_t> cuts;     ///< messages of a pull while it is recorded, repeated
  std::vector<bool> commits;         ///< after which pull the recorder commits, and so ends a block; repeated
  std::vector<std::size_t> budgets;  ///< messages of a replay's pull, repeated
  std::size_t broken = 0;            ///< every so many-th payload can't be decoded; 0: none
  std::size_t strange = 0;           ///< every so many-th message is of a key of another partition; 0: none
};

void showValue(const Trial& trial, std::ostream& os) {
  const auto list = [&](const char* name, const auto& all) {
    os << name;
    for (const auto one : all) os << ' ' << one;
    os << '\n';
  };
  list("samples of a message:", trial.frames);
  list("messages of a recorded pull:", trial.cuts);
  list("commits behind it:", trial.commits);
  list("messages of a replayed pull:", trial.budgets);
  os << "broken " << trial.broken << " strange " << trial.strange << '\n';
}

rc::Gen<std::vector<std::size_t>> lengths(std::size_t most) {
  return rc::gen::nonEmpty(rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, most)));
}

rc::Gen<Trial> any_trial() {
  return rc::gen::build<Trial>(rc::gen::set(&Trial::frames, lengths(4)), rc::gen::set(&Trial::cuts, lengths(30)),
                               rc::gen::set(&Trial::commits, rc::gen::nonEmpty<std::vector<bool>>()),
                               rc::gen::set(&Trial::budgets, lengths(30)),
                               rc::gen::set(&Trial::broken, rc::gen::element<std::size_t>(0, 0, 0, 2, 7)),
                               rc::gen::set(&Trial::strange, rc::gen::element<std::size_t>(0, 0, 0, 5, 11)));
}

/// A stream for each partition.
rc::Gen<std::vector<Script>> any_streams() {
  return rc::gen::exec([] {
    std::vector<Script> out;
    for (int left = *rc::gen::inRange(1, 5); left > 0; --left)
      out.push_back(*rc::gen::arbitrary<bool>() ? *fleet_script() : *colliding_script());
    return out;
  });
}

/// The name of a script's vehicle, in its partition or not.
std::string name_of(const std::string& vehicle, Partition partition, std::size_t partitions, bool strange) {
  for (int i = 0;; ++i) {
    std::string name = weir::format("{}{}", vehicle, static_cast<char>('a' + i % 26)) + std::string(i / 26, '+');
    const bool there = partition_of(name, static_cast<std::uint32_t>(partitions)) == partition;
    if (there != strange || (partitions == 1 && strange)) return name;
  }
}

std::string payload_of(const std::string& key, std::span<const reference::Input> inputs) {
  static const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
  std::vector<Sample> samples;
  for (const reference::Input& input : inputs) {
    const reference::Sample& said = *input.sample;
    Sample& sample = samples.emplace_back();
    sample.key = key;
    sample.field = said.field;
    sample.time = beginning + said.time;
    sample.kind = said.value.text ? Sample::Kind::text : said.value.y ? Sample::Kind::point : Sample::Kind::number;
    sample.x = said.value.x;
    sample.y = said.value.y.value_or(0);
    sample.z = said.value.z.value_or(std::numeric_limits<double>::quiet_NaN());
    if (said.value.text) sample.text = *said.value.text;
  }
  return codec->encode(samples, false, false).value();
}

/// The script as messages of a partition's stream: FlatBuffers, some with several samples.
std::shared_ptr<const Messages> messages_of(const Script& script, Partition partition, std::size_t partitions,
                                            const Trial& trial) {
  struct Owner {
    Messages messages;
    std::vector<std::string> texts;
  };
  const auto owner = std::make_shared<Owner>();
  owner->texts.reserve(script.size() * 3);
  const auto keep = [&](std::string text) { return std::string_view{owner->texts.emplace_back(std::move(text))}; };
  const auto inputs = inputs_of(script);
  auto& items = owner->messages.items;
  for (std::size_t begin = 0, end = 0; begin < inputs.size(); begin = end) {
    const std::size_t number = items.size() + 1;
    const auto goes_along = [&](const reference::Input& next) {
      return inputs[begin].sample && next.sample && next.reached == inputs[begin].reached &&
             next.sample->key == inputs[begin].sample->key;
    };
    end = begin + 1;
    const std::size_t most = trial.frames[number % trial.frames.size()];
    while (end < inputs.size() && end - begin < most && goes_along(inputs[end])) ++end;
    Message& message = items.emplace_back();
    message.sequence = number * 2;  // a stream may have gaps
    message.arrival = beginning + inputs[begin].reached;
    message.marker = !inputs[begin].sample;
    if (message.marker) continue;
    const bool strange = trial.strange != 0 && number % trial.strange == 0;
    message.key = keep(name_of(inputs[begin].sample->key, partition, partitions, strange));
    message.subject = keep(weir::format("vehicle.{}", message.key));
    message.payload = keep(trial.broken != 0 && number % trial.broken == 0
                               ? std::string{"broken"}
                               : payload_of(std::string{message.key}, std::span{inputs}.subspan(begin, end - begin)));
  }
  return {owner, &owner->messages};
}

std::vector<std::shared_ptr<const Messages>> cut_after(const std::shared_ptr<const Messages>& all,
                                                       const std::vector<std::size_t>& lengths) {
  std::vector<std::shared_ptr<const Messages>> out;
  const auto& items = all->items;
  for (std::size_t begin = 0, i = 0; begin < items.size(); ++i) {
    const std::size_t end = std::min(items.size(), begin + lengths[i % lengths.size()]);
    const auto from = items.begin();
    out.push_back(std::make_shared<Messages>(
        Messages{{from + static_cast<std::ptrdiff_t>(begin), from + static_cast<std::ptrdiff_t>(end)}, all}));
    begin = end;
  }
  return out;
}

std::shared_ptr<const Pipeline> checked(const std::string& text) {
  auto made = check_pipeline(text, "any.json", witnessed_registry(), {});
  if (!made.pipeline) RC_FAIL(text + "\n" + render(made.findings, Format::text));
  return std::make_shared<const Pipeline>(std::move(*made.pipeline));
}

/// Runs each partition's lane by itself, message by message where `trial` says so, and records what its source gives.
class LiveRun {
 public:
  LiveRun(const RandomPipeline& pipeline, std::size_t partitions, recording::Writer& writer)
      : partitions_{partitions},
        pipeline_{checked(pipeline.text(
            weir::format(R"({{ "id": "signals", "source": "nats", "stream": "S", "partitions": {} }})", partitions)))},
        writer_{writer} {}

  void lane(Partition partition, const Script& script, const Trial& trial) {
    Chain chain{*pipeline_, witnessed_registry(), counters_, system_clock(), partition};
    RC_ASSERT(chain.start(0).has_value());
    BatchPtr decoded;
    chain.watch([&](PortRef from, const BatchPtr& batch) {
      if (from.node == pipeline_->source() && from.port == 0) decoded = batch;
    });
    const auto pulls = cut_after(messages_of(script, partition, partitions_, trial), trial.cuts);
    for (std::size_t i = 0; i < pulls.size(); ++i) {
      ChainOutput out;
      const auto done = chain.step(chain.decode(pulls[i]), false, out);
      if (!done) RC_FAIL(done.error().message);
      for (const SinkBatch& part : out.batches)
        outcome_.add(pipeline_->nodes[part.node].id, partition, lines_of(*part.batch));
      for (const Sink::DeadLetter& letter : out.dead_letters) outcome_.add(letter);
      RC_ASSERT(writer_.add(*decoded).has_value());
      if (!trial.commits[i % trial.commits.size()] && i + 1 < pulls.size()) continue;
      const LaneCommit until{partition, {.place = {.position = decoded->origin.last, .arrival = decoded->reached}}};
      RC_ASSERT(writer_.commit({&until, 1}).has_value());
    }
  }

  Outcome finish() {
    outcome_.add(counters_, *pipeline_);
    return std::move(outcome_);
  }

 private:
  std::size_t partitions_;
  std::shared_ptr<const Pipeline> pipeline_;
  recording::Writer& writer_;
  Counters counters_;
  Outcome outcome_;
};

Outcome record(const std::string& path, const RandomPipeline& pipeline, const std::vector<Script>& streams,
               const Trial& trial) {
  auto writer = recording::Writer::open(path, {1, "any", "tape"});
  RC_ASSERT(writer.has_value());
  LiveRun live{pipeline, streams.size(), *writer};
  for (std::size_t partition = 0; partition < streams.size(); ++partition)
    live.lane(static_cast<Partition>(partition), streams[partition], trial);
  return live.finish();
}

/// What the property stands on: pipelines of every transform, with every setting that can be drawn.
TEST(RandomPipelines, AreOfEveryTransformAndItsSettings) {
  const Registry& registry = witnessed_registry();
  std::set<std::string> drawn;
  std::size_t unions = 0;
  rc::Random random{1};
  for (int i = 0; i < 1000; ++i) {
    const RandomPipeline pipeline = any_pipeline(registry)(random.split(), 0).value();
    for (const RandomPipeline::Link& link : pipeline.links) {
      const Document node = read_text(link.transform, "node");
      const std::string name = node.root.find("transform")->text;
      for (const Member& member : node.root.members) drawn.insert(name + "." + member.key);
      unions += node.root.find("from")->items.size() > 1;
    }
  }
  EXPECT_GT(unions, 100);
  for (const auto name : registry.names(Role::transform)) {
    for (const Field& field : registry.find(Role::transform, name)->spec.fields) {
      // Where and how current values are written beside is not replayed.
      const bool beside = name == "keyed-last-value";
      EXPECT_TRUE(beside || drawn.contains(weir::format("{}.{}", name, field.name))) << name << " " << field.name;
    }
    EXPECT_TRUE(drawn.contains(weir::format("{}.transform", name))) << name;
  }
}

/// Every message that a recording gives, by partition.
std::map<Partition, std::string> messages_in(const std::string& path) {
  const auto file = recording::Reader::open(path);
  RC_ASSERT(file.has_value());
  std::map<Partition, std::string> out;
  for (const recording::Block& block : file->blocks()) {
    const auto messages = file->read(block);
    RC_ASSERT(messages.has_value());
    for (const Message& message : (*messages)->items) {
      out[block.partition] +=
          weir::format("{} {} {} {} {} {} {} {}\n", message.sequence, message.arrival, message.marker, message.subject,
                       message.key, message.field, message.refused, checksum(message.payload));
    }
  }
  return out;
}

RC_GTEST_PROP(Replay, GivesWhatTheRecordedRunDid, ()) {
  const fakes::Log log;
  const auto streams = *any_streams();
  const RandomPipeline pipeline = *any_pipeline(witnessed_registry());
  const Trial trial = *any_trial();
  const fakes::TemporaryDirectory directory;
  const std::string path = directory.file("any.weir");
  const Outcome live = record(path, pipeline, streams, trial);
  const std::array speeds{"max", "60x", "1x", "1000x"};
  const int copied = *rc::gen::element(0, 0, 0, 1, 2, 4);  // threads of a replay that is recorded too
  for (const int threads : {1, 2, 4}) {
    const ReplayRun run{path, streams.size(), threads, trial.budgets,
                        speeds.at(*rc::gen::inRange<std::size_t>(0, speeds.size()))};
    const std::string copy = directory.file(weir::format("copy{}.weir", threads));
    const std::string tape =
        threads == copied
            ? weir::format(R"(, {{ "id": "tape", "sink": "recording", "from": "signals", "path": "{}" }})", copy)
            : "";
    Outcome again = replay(*checked(pipeline.text(source_node(run) + tape)), run);
    std::erase_if(again.counters, [](const auto& one) { return one.first.starts_with("tape "); });
    if (again.hash() != live.hash())
      RC_FAIL(weir::format("{} threads, {}: {}", threads, run.speed, live.difference(again)));
    if (!tape.empty()) RC_ASSERT(messages_in(copy) == messages_in(path));
  }
}

}  // namespace
}  // namespace weir::property
