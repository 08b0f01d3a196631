/// Partitions against a real server: the mapping that weir prints, streams made for one number of them and no other, a
/// pipeline that routes, and a job whose vehicles publish as if there were no partitions.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <thread>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "fakes/codecs.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/postgres_server.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "integration/nats_source_suite.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
Operator weir_operator_sinks_nats();

namespace {

using fakes::NatsPeer;
using fakes::NatsSource;
using testing::HasSubstr;
using testing::Not;

/// What `weir nats mapping` prints of a pipeline.
std::string printed_mapping(const std::string& pipeline) {
  const fakes::TemporaryDirectory files;
  fakes::WeirProcess command{{"nats", "mapping", files.write("pipeline.json", pipeline)}, files.file("printed")};
  EXPECT_EQ(command.wait(), 0) << command.log();
  const std::string text = command.log();  // what lint has to say goes to the other channel, before
  return text.substr(std::min(text.find('#'), text.size()));
}

std::string reading(const std::string& subject, std::uint32_t partitions) {
  return weir::format(R"({{ "name": "test", "nodes": [
    {{ "id": "signals", "source": "nats", "stream": "T", "subject": "{}", "partitions": {} }},
    {{ "id": "out", "sink": "drop", "from": "signals" }} ] }})",
                      subject, partitions);
}

std::map<std::string, Setting> settings(const std::string& url, const std::string& stream, std::int64_t partitions,
                                        const std::string& subject = "vehicle.{key}.{field}") {
  return {{"url", url}, {"stream", stream}, {"partitions", partitions}, {"subject", subject}};
}

// --- The mapping
// ------------------------------------------------------------------------------------------------------

/// Everything that can be a token of a subject, short, long, and in other letters.
std::set<std::string> odd_keys() {
  std::set<std::string> out{"0",   "-",       "_",   "~",           "$",        "#",      "p",      "{{wildcard(1)}}",
                            "%20", "a:b",     "A/B", "\"q\"",       "back\\no", "Zürich", "車両七", "🚚🚚",
                            "é",   "e\u0301", "$1",  "\x80\xff\xfe"};
  for (int i = 0; i < 2'000; ++i) out.insert("v" + std::to_string(i * 7919));
  for (const std::size_t length : {63, 64, 65, 255, 1000, 3000}) out.insert(std::string(length, 'x'));
  return out;
}

struct MappedSubject {
  std::string pattern;
  std::uint32_t partitions;
  std::string before, after;  ///< of the key

  friend void PrintTo(const MappedSubject& mapped, std::ostream* out) { *out << mapped.pattern; }
};
class NatsMapped : public testing::TestWithParam<MappedSubject> {};

TEST_P(NatsMapped, SendsEachKeyToThePartitionOfItsHash) {
  const auto& [pattern, partitions, before, after] = GetParam();
  const fakes::Servers servers{"nats", printed_mapping(reading(pattern, partitions))};
  std::vector<NatsSource> sources;
  for (Partition k = 0; k < partitions; ++k) {
    sources.emplace_back(weir_operator_sources_nats(), settings(servers.nats(), "T", partitions, pattern), k);
    sources.back().source->open(0).value();
  }
  NatsPeer peer{servers.nats()};
  std::map<Partition, std::set<std::string>> wanted;
  for (const std::string& key : odd_keys()) {
    peer.publish(weir::format("{}{}{}", before, key, after), key);
    wanted[partition_of(key, partitions)].insert(key);
  }
  peer.connection->flush(10 * second).value();
  for (Partition k = 0; k < partitions; ++k) {
    std::set<std::string> got;
    for (const Message& message : sources[k].pull(wanted[k].size())) {
      EXPECT_EQ(message.refused, "") << message.subject;
      EXPECT_EQ(message.key, message.payload);
      got.emplace(message.key);
    }
    EXPECT_EQ(got, wanted[k]) << k;
    EXPECT_EQ(peer.jetstream->state(weir::format("T-{}", k)).value().messages, wanted[k].size());
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, NatsMapped,
                         testing::Values(MappedSubject{"vehicle.{key}.{field}", 16, "vehicle.", ".speed"},
                                         MappedSubject{"fleet.{field}.*.{key}", 5, "fleet.speed.eu.", ""}));

// --- A set keeps its number
// -------------------------------------------------------------------------------------------

class NatsStreamSets : public integration::NatsSourceSuite {
 protected:
  NatsSource source(std::int64_t partitions, Partition k = 0) const { return make({{"partitions", partitions}}, k); }
  void make_set(std::uint32_t partitions) const {
    for (Partition k = 0; k < partitions; ++k) source(partitions, k).source->open(0).value();
  }
  /// Why partition k of so many can't be opened; also expects that nothing was made.
  std::string refused(std::int64_t partitions, Partition k) const {
    const auto before = streams();
    const auto opened = source(partitions, k).source->open(0);
    EXPECT_EQ(streams(), before);
    if (opened) return "it is opened";
    EXPECT_EQ(opened.error().kind, Error::Kind::changed);
    return opened.error().message;
  }
  /// Those of this test, each with the number of partitions that it was made for.
  std::map<std::string, std::uint32_t> streams() const {
    std::map<std::string, std::uint32_t> out;
    const NatsPeer peer{url()};
    for (int k = -1; k < 20; ++k) {
      const std::string name = k < 0 ? stream_ : weir::format("{}-{}", stream_, k);
      if (const auto there = peer.jetstream->find(name).value()) out[name] = there->partitions;
    }
    return out;
  }
  /// As somebody else makes it.
  void add(const std::string& name, const std::vector<std::string>& subjects) const {
    const NatsPeer peer{url()};
    nats::StreamConfig config;
    config.name = name;
    config.subjects = subjects;
    peer.jetstream->ensure(config).value();
  }
  void add_partition(Partition k) const {
    add(weir::format("{}-{}", stream_, k),
        {weir::format("p.{}.{}.*.*", k, stream_), weir::format("p.{}.clock.{}", k, stream_)});
  }
};

TEST_F(NatsStreamSets, HoldTheirNumberInTheStreams) {
  make_set(3);
  EXPECT_EQ(streams(),
            (std::map<std::string, std::uint32_t>{{stream_ + "-0", 3}, {stream_ + "-1", 3}, {stream_ + "-2", 3}}));
  make_set(3);
}

TEST_F(NatsStreamSets, RefuseAnotherNumber) {
  make_set(4);
  for (const std::uint32_t number : {16u, 3u}) {
    for (const Partition k : {0u, number - 1}) {
      EXPECT_THAT(
          refused(number, k),
          HasSubstr(weir::format("-{} was made for 4 partitions, but the pipeline says {}: ", k < 4 ? k : 0, number)));
    }
  }
  EXPECT_THAT(refused(16, 2), HasSubstr(R"(say "partitions": 4, or go over to a new set with another "stream" and )"
                                        R"("subject" (streams can't share one) and another pipeline "name")"));
  EXPECT_THAT(refused(1, 0), HasSubstr(stream_ + "-0 was made for 4 partitions, but the pipeline says 1: "));
  EXPECT_THAT(refused(1, 0), HasSubstr(R"(with another "stream" and another pipeline "name")"));
}

TEST_F(NatsStreamSets, RefuseManyWhereThereIsOne) {
  make_set(1);
  EXPECT_EQ(streams(), (std::map<std::string, std::uint32_t>{{stream_, 1}}));
  for (const Partition k : {0u, 9u})
    EXPECT_THAT(refused(16, k),
                HasSubstr("stream " + stream_ + " was made for 1 partition, but the pipeline says 16: "));
}

TEST_F(NatsStreamSets, RefuseManyWhereSomebodyElseHasMadeOne) {
  add(stream_, {stream_ + ".>"});
  for (const Partition k : {0u, 9u})
    EXPECT_THAT(refused(16, k), HasSubstr("there is a stream " + stream_ + ", but the pipeline says 16: "));
}

TEST_F(NatsStreamSets, CountStreamsThatSomebodyElseHasMade) {
  for (Partition k = 0; k < 3; ++k) add_partition(k);
  make_set(3);
  EXPECT_THAT(refused(2, 0), HasSubstr("there is a stream " + stream_ + "-2, and weir did not make " + stream_ + "-0"));
  EXPECT_THAT(refused(4, 0), HasSubstr("there is a stream " + stream_ + "-0, which weir did not make, and no " +
                                       stream_ + "-3, but the pipeline says 4: "));
  EXPECT_THAT(refused(4, 3), HasSubstr("make all of them, or "));
  EXPECT_THAT(refused(1, 0), HasSubstr("there is a stream " + stream_ + "-0, but the pipeline says 1: "));
}

TEST_F(NatsStreamSets, DoNotMindOthersThatAreOnlyCalledSo) {
  add(stream_ + "-0", {"else." + stream_});
  EXPECT_TRUE(source(1).source->open(0));
}

TEST_F(NatsStreamSets, AreStreamsThatOneMayReadAlone) {
  make_set(2);
  const auto alone = make({{"stream", stream_ + "-1"},
                           {"subject", "p.1." + stream_ + ".{key}.{field}"},
                           {"mode", std::string{"shared"}},
                           {"durable", std::string{"d"}}});
  EXPECT_TRUE(alone.source->open(0));
}

TEST_F(NatsStreamSets, RememberTheirNumberWithoutTheFirst) {
  make_set(4);
  const NatsPeer peer{url()};
  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), (stream_ + "-0").c_str(), nullptr, nullptr), NATS_OK);
  EXPECT_THAT(refused(16, 0), HasSubstr("-1 was made for 4 partitions"));
  EXPECT_TRUE(source(4).source->open(0));
}

TEST_F(NatsStreamSets, AreTheSameForASink) {
  make_set(2);
  fakes::NatsContext context;
  const auto open = [&](std::int64_t partitions) {
    auto sink = weir_operator_sinks_nats().make_sink(
        fakes::settings_of(weir_operator_sinks_nats(),
                           settings(url(), stream_, partitions, stream_ + ".{key}.{field}")),
        context);
    return sink->open();
  };
  EXPECT_TRUE(open(2));
  const auto before = streams();
  EXPECT_THAT(open(3).error().message, HasSubstr("was made for 2 partitions, but the pipeline says 3: "));
  EXPECT_EQ(open(1).error().setting, "partitions");
  EXPECT_EQ(streams(), before);
}

TEST_F(NatsStreamSets, AreMadeByManyWorkersAtOnce) {
  std::vector<std::string> failures(6);
  {
    std::vector<std::jthread> workers;
    for (std::size_t w = 0; w < failures.size(); ++w) {
      workers.emplace_back([&, w] {
        for (Partition k = 0; k < 16; ++k) {
          const auto opened = source(16, (k + static_cast<Partition>(w) * 5) % 16).source->open(0);
          if (!opened) failures[w] += opened.error().message + "\n";
        }
      });
    }
  }
  for (const std::string& failure : failures) EXPECT_EQ(failure, "");
  const auto made = streams();
  EXPECT_EQ(made.size(), 16u);
  for (const auto& [name, partitions] : made) EXPECT_EQ(partitions, 16u) << name;
}

/// Workers that disagree begin at the same time: one number wins, and no stream of another is there.
TEST_F(NatsStreamSets, AreNeverOfTwoNumbers) {
  std::size_t won = 0;
  for (int round = 0; round < 10; ++round) {
    const std::string base = weir::format("{}{}", stream_, round);
    const std::vector<std::int64_t> numbers{4, 16, 1, 5};
    std::vector<std::size_t> opened(numbers.size());
    {
      std::vector<std::jthread> workers;
      for (std::size_t w = 0; w < numbers.size(); ++w) {
        workers.emplace_back([&, w] {
          for (Partition k = 0; k < numbers[w]; ++k) {
            NatsSource one{weir_operator_sources_nats(), settings(url(), base, numbers[w], base + ".{key}"),
                           static_cast<Partition>(numbers[w]) - 1 - k};
            const auto result = one.source->open(0);
            opened[w] += result ? 1 : 0;
          }
        });
      }
    }
    const NatsPeer peer{url()};
    std::set<std::uint32_t> seen;
    for (int k = -1; k < 16; ++k) {
      const auto there = peer.jetstream->find(k < 0 ? base : weir::format("{}-{}", base, k)).value();
      if (there) seen.insert(there->partitions);
    }
    ASSERT_LE(seen.size(), 1u) << testing::PrintToString(seen);
    won += seen.size();
    for (std::size_t w = 0; w < numbers.size(); ++w) {
      const bool winner = seen.contains(static_cast<std::uint32_t>(numbers[w]));
      EXPECT_EQ(opened[w] > 0, winner) << numbers[w];
    }
  }
  EXPECT_GT(won, 0u) << "nobody ever makes a set";
}

// --- Whole pipelines
// --------------------------------------------------------------------------------------------------

void pause(Duration length) { system_clock().wait(length, {}); }

class PartitionedJob : public testing::Test {
 protected:
  /// Vehicles publish every second from half a second on; rows at the full seconds between.
  static constexpr int vehicles = 40, seconds = 10, partitions = 4;

  static std::string text(const std::string& nats, const std::string& database, int many = partitions,
                          const std::string& name = "job") {
    return weir::format(R"({{
  "name": "{3}", "limits": {{ "keys": 100 }},
  "nodes": [
    {{ "id": "signals", "source": "nats", "url": "{0}", "stream": "TELEMETRY", "partitions": {1}, "encoding": "json" }},
    {{ "id": "last", "transform": "keyed-last-value", "from": "signals" }},
    {{ "id": "rows", "transform": "window-join", "from": "last", "every": "1s", "wait": "200ms" }},
    {{ "id": "db", "sink": "timescale", "from": "rows", "url": "{2}", "table": "vehicle_second", "lease": "2s",
       "columns": {{ "speed": {{}} }} }} ] }})",
                        nats, many, database, name);
  }

  static void drive(const std::string& url) {
    NatsPeer peer{url};
    const Timestamp start = system_clock().now() / second * second - minute;
    for (int s = 0; s < seconds; ++s) {
      for (int v = 0; v < vehicles; ++v) {
        peer.publish(weir::format("vehicle.v{}.speed", v),
                     weir::format(R"({{"time":{},"value":{}}})", start + s * second + second / 2, v + 10 * s));
      }
    }
    peer.connection->flush(10 * second).value();
  }

  fakes::PostgresServer database_{true};
  fakes::TemporaryDirectory files_;
};

TEST_F(PartitionedJob, WritesEveryRowOnceAndRefusesAnotherNumber) {
  const fakes::Servers nats{"nats", printed_mapping(text("nats://localhost", database_.url()))};
  files_.write("job.json", text(nats.nats(), database_.url()));
  fakes::WeirProcess job{{"run", files_.file("job.json")}, files_.file("log")};
  ASSERT_TRUE(job.says_of_each(partitions, "starts")) << job.log();
  drive(nats.nats());
  const std::string wanted = std::to_string(vehicles * (seconds - 1));
  const auto rows = [&] { return database_.ask("SELECT count(*) FROM vehicle_second"); };
  for (int i = 0; i < 1'000 && rows() != wanted; ++i) pause(20 * millisecond);
  EXPECT_EQ(rows(), wanted) << job.log();
  EXPECT_EQ(database_.ask("SELECT count(DISTINCT (key, time)) FROM vehicle_second"), wanted);
  // Halfway between two samples, so their mean: 5 + v, 15 + v, …
  EXPECT_EQ(database_.ask("SELECT count(*) FROM (SELECT speed - substr(key, 2)::int - 10 * "
                          "(row_number() OVER (PARTITION BY key ORDER BY time) - 1) AS x FROM vehicle_second) AS a "
                          "WHERE abs(x - 5) > 1e-9"),
            "0");
  EXPECT_EQ(database_.ask("SELECT count(*) FROM weir_progress WHERE position > 0"), std::to_string(partitions));
  ASSERT_EQ(job.end(SIGTERM), 0) << job.log();

  const NatsPeer peer{nats.nats()};
  for (const int many : {8, 1}) {
    const std::string name = weir::format("other{}", many);
    fakes::WeirProcess other{{"run", files_.write(name, text(nats.nats(), database_.url(), many, name))},
                             files_.file(name + ".log")};
    EXPECT_EQ(other.wait(), 70) << other.log();
    EXPECT_THAT(other.log(), HasSubstr(weir::format(" was made for 4 partitions, but the pipeline says {}: ", many)));
  }
  EXPECT_FALSE(peer.jetstream->find("TELEMETRY").value());
  EXPECT_FALSE(peer.jetstream->find("TELEMETRY-4").value());
}

/// pipelines/route.json, killed on its way.
TEST(NatsRoute, StoresEachMessageOnceInItsPartitionAndInOrder) {
  const fakes::Servers nats{"nats"};
  const fakes::TemporaryDirectory files;
  files.write("env", "NATS_URL=" + nats.nats() + "\n");
  NatsPeer peer{nats.nats()};
  fakes::WeirProcess route{{"run", std::string{WEIR_SOURCE_DIR} + "/pipelines/route.json", "-e", files.file("env"),
                            "-s", "state.every=1s", "-s", "state.lease=2s"},
                           files.file("log")};
  ASSERT_TRUE(route.says("partition 0: starts")) << route.log();

  const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
  std::map<std::string, std::vector<std::string>> sent;
  const auto publish = [&](int first, int count) {
    for (int i = first; i < first + count; ++i) {
      const std::string key = "v" + std::to_string(i % 97);
      std::vector<Sample> samples;
      for (int n = 0; n <= i % 3; ++n)
        samples.push_back({.field = n == 0 ? "speed" : n == 1 ? "charge" : "torque", .time = i * second, .x = 1.0 * n});
      sent[key].push_back(codec->encode(samples, true, false).value());
      peer.publish("vehicle." + key + ".telemetry", sent[key].back());
    }
    peer.connection->flush(10 * second).value();
  };
  const auto routed = [&] {
    std::uint64_t sum = 0;
    for (int k = 0; k < 16; ++k) sum += peer.jetstream->state(weir::format("TELEMETRY-{}", k)).value().messages;
    return sum;
  };
  publish(0, 3'000);
  for (int i = 0; i < 500 && routed() < 3'000; ++i) pause(20 * millisecond);
  EXPECT_EQ(routed(), 3'000u) << route.log();
  pause(1500 * millisecond);  // a snapshot
  // Killed with messages on their way whose storing no snapshot knows of, and more to come.
  publish(3'000, 10'000);
  for (int i = 0; i < 5'000 && routed() < 8'000; ++i) pause(2 * millisecond);
  route.end(SIGKILL);
  EXPECT_GE(routed(), 8'000u) << route.log();
  publish(13'000, 10'000);
  route.start();
  for (int i = 0; i < 1'000 && routed() < 23'000; ++i) pause(20 * millisecond);
  EXPECT_EQ(route.end(SIGTERM), 0) << route.log();
  EXPECT_EQ(routed(), 23'000u);

  std::map<std::string, std::vector<std::string>> got;
  for (Partition k = 0; k < 16; ++k) {
    NatsSource partition{weir_operator_sources_nats(),
                         settings(nats.nats(), "TELEMETRY", 16, "vehicle.{key}.telemetry"), k};
    partition.source->open(0).value();
    for (const Message& message : partition.pull(partition.source->waiting())) {
      EXPECT_EQ(message.refused, "");
      got[std::string{message.key}].emplace_back(message.payload);
    }
  }
  EXPECT_EQ(got.size(), sent.size());
  for (const auto& [key, payloads] : sent) EXPECT_EQ(got[key], payloads) << key << ": others, or in another order";
}

}  // namespace
}  // namespace weir
