/// source/nats that reads partition streams: each message once, from any position, in a stream that is still the same.
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/partition.hpp>
#include <weir/rfc3339.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "integration/nats_source_suite.hpp"

namespace weir {
namespace {

using fakes::NatsPeer;
using fakes::NatsSource;

class NatsPartitionSource : public integration::NatsSourceSuite {};

void expect_run(const std::vector<Message>& got, Position first, std::size_t count) {
  ASSERT_EQ(got.size(), count);
  Timestamp arrival = no_time;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(got[i].sequence, first + i);
    ASSERT_EQ(got[i].payload, std::to_string(first + i - 1));
    ASSERT_GE(got[i].arrival, arrival);
    arrival = got[i].arrival;
  }
}

/// Lets time pass on an idle stream until the source says that it can't.
Result<void> mark_until_refused(NatsSource& source) {
  const Timestamp due = system_clock().now();
  const Timestamp end = system_clock().steady() + 10 * second;
  Result<void> marked;
  while (marked && system_clock().steady() < end) {
    marked = source.source->mark(due);
    (void)source.source->pull({.wait = 50 * millisecond}, {});
  }
  return marked;
}

TEST_F(NatsPartitionSource, readsAStreamFromItsStartAndFromAnyPosition) {
  auto source = make();
  EXPECT_EQ(source.source->open(0).value(), 0);
  NatsPeer peer{url()};
  publish(peer, 20'000);
  const auto got = source.pull(20'000);
  expect_run(got, 1, 20'000);
  EXPECT_EQ(got[3].key, "v3");
  EXPECT_EQ(got[3].field, "speed");
  EXPECT_EQ(got[3].subject, stream_ + ".v3.speed");
  EXPECT_EQ(source.source->waiting(), 0);
  EXPECT_EQ(source.context->counted("received"), 20'000);

  auto again = make();
  EXPECT_EQ(again.source->open(15'000).value(), 15'000);
  EXPECT_EQ(again.source->identity(), source.source->identity());
  EXPECT_EQ(again.source->identity().stream, stream_);
  expect_run(again.pull(5'000), 15'001, 5'000);
}

TEST_F(NatsPartitionSource, startsAtNewMessagesOrAtATime) {
  NatsPeer peer{url()};
  auto first = make();
  first.source->open(0).value();
  publish(peer, 100);
  ASSERT_EQ(first.pull(100).size(), 100);
  auto fresh = make({{"start", std::string{"new"}}});
  EXPECT_EQ(fresh.source->open(0).value(), 100);
  publish(peer, 10, 100);
  expect_run(fresh.pull(10), 101, 10);
  auto timed = make({{"start", std::string{"time"}}, {"since", std::string{"2020-01-01T00:00:00Z"}}});
  EXPECT_EQ(timed.source->open(0).value(), 0);
  auto later = make({{"start", std::string{"time"}}, {"since", std::string{"2100-01-01T00:00:00Z"}}});
  EXPECT_EQ(later.source->open(0).value(), 110);
}

TEST_F(NatsPartitionSource, startsAtAnyInstantToTheNanosecond) {
  NatsPeer peer{url()};
  make().source->open(0).value();
  // Early in a second: nanoseconds with leading zeros, of which some writers of times lose some.
  const Timestamp instant = (system_clock().now() / second + 2) * second + 5 * millisecond;
  publish(peer, 10);
  peer.wait_for(stream_, 10);
  while (system_clock().now() < instant) system_clock().wait(millisecond, {});
  publish(peer, 10, 10);
  peer.wait_for(stream_, 20);
  const auto before_first = [&](Timestamp since) {
    auto source = make({{"start", std::string{"time"}}, {"since", format_rfc3339(since)}});
    return source.source->open(0).value();
  };
  EXPECT_EQ(before_first(instant), 10);
  const Timestamp stored = peer.jetstream->time_of(stream_, 15).value().value();
  EXPECT_EQ(before_first(stored), 14);
  EXPECT_EQ(before_first(stored + 1), 15);
  auto shared = make({{"mode", std::string{"shared"}},
                      {"durable", std::string{"since"}},
                      {"start", std::string{"time"}},
                      {"since", format_rfc3339(instant)}});
  shared.source->open(0).value();
  EXPECT_EQ(shared.pull(20, second).size(), 10);
}

TEST_F(NatsPartitionSource, tellsWhenAMessageWasStored) {
  NatsPeer peer{url()};
  auto first = make();
  first.source->open(0).value();
  publish(peer, 10);
  const auto got = first.pull(10);
  ASSERT_EQ(got.size(), 10);
  ASSERT_EQ(js_DeleteMsg(peer.jetstream->handle(), stream_.c_str(), 5, nullptr, nullptr), NATS_OK);
  auto again = make({{"start", std::string{"new"}}});
  EXPECT_EQ(again.source->open(10).value(), 10);
  EXPECT_EQ(again.source->arrival_at(10).value(), got[9].arrival);
  EXPECT_EQ(again.source->arrival_at(1).value(), got[0].arrival);
  EXPECT_EQ(again.source->arrival_at(5).value(), std::nullopt);
  EXPECT_EQ(again.source->arrival_at(11).error().kind, Error::Kind::changed);
}

TEST_F(NatsPartitionSource, markersMoveArrivalOnAnIdleStream) {
  auto source = make();
  source.source->open(0).value();
  const Timestamp due = system_clock().now() + 100 * millisecond;
  Timestamp reached = no_time;
  bool marker = false;
  const Timestamp end = system_clock().steady() + 10 * second;
  while (reached < due && system_clock().steady() < end) {
    source.source->mark(due).value();
    const auto pulled = source.source->pull({.wait = 10 * millisecond}, {}).value();
    if (pulled.state != Pulled::State::messages) continue;
    for (const auto& message : pulled.messages->items) {
      EXPECT_TRUE(message.refused.empty());
      marker |= message.marker;
      reached = message.arrival;
    }
  }
  EXPECT_TRUE(marker);
  EXPECT_GE(reached, due);
  // What follows the marker carries its arrival, also for a worker that starts behind it.
  auto again = make();
  again.source->open(1).value();
  NatsPeer peer{url()};
  publish(peer, 1);
  const auto got = again.pull(1);
  ASSERT_EQ(got.size(), 1);
  EXPECT_GE(got[0].arrival, due);
}

TEST_F(NatsPartitionSource, refusesSubjectsThatDoNotFit) {
  auto source = make({{"subject", stream_ + ".{key}.>"}});
  source.source->open(0).value();
  auto strict = make({{"subject", stream_ + ".{key}.speed"}});
  strict.source->open(0).value();
  NatsPeer peer{url()};
  peer.publish(stream_ + ".a.b.c", "1");
  peer.publish(stream_ + ".a.speed", "2");
  peer.connection->flush(second).value();
  const auto loose = source.pull(2);
  ASSERT_EQ(loose.size(), 2);
  EXPECT_EQ(loose[0].key, "a");
  EXPECT_EQ(loose[0].refused, "");
  const auto got = strict.pull(2);
  ASSERT_EQ(got.size(), 2);
  EXPECT_NE(got[0].refused, "");
  EXPECT_EQ(got[0].payload, "1");
  EXPECT_EQ(got[1].refused, "");
}

TEST_F(NatsPartitionSource, namesWhatDiffersInAStreamThatIsThere) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{stream_, stream_ + ".x.*"};
  stream.config.Retention = js_WorkQueuePolicy;
  stream.config.Storage = js_MemoryStorage;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  auto source = make({{"storage", std::string{"file"}}, {"max_age", std::int64_t{3600 * second}}});
  const auto opened = source.source->open(0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  for (const char* part :
       {"does not take namesWhatDiffersInAStreamThatIsThere.*.*,p.0.clock.namesWhatDiffersInAStreamThatIsThere",
        "nats stream edit namesWhatDiffersInAStreamThatIsThere --subjects='namesWhatDiffersInAStreamThatIsThere.x.*,",
        "retention is workqueue", "storage is memory, the pipeline says file",
        "max_age is 0s, the pipeline says 3600s"}) {
    EXPECT_NE(opened.error().message.find(part), std::string::npos) << part << " in: " << opened.error().message;
  }
  auto absent = make({{"stream", std::string{"ABSENT"}}, {"create", false}});
  EXPECT_NE(absent.source->open(0).error().message.find("there is no stream ABSENT"), std::string::npos);
}

TEST_F(NatsPartitionSource, refusesAStreamThatLosesMessagesFromItsMiddle) {
  NatsPeer peer{url()};
  const std::pair<void (*)(jsStreamConfig&), const char*> settings[] = {
      {[](jsStreamConfig& config) { config.MaxMsgsPerSubject = 5; }, "--max-msgs-per-subject=-1"},
      {[](jsStreamConfig& config) { config.AllowMsgTTL = true; }, "without allow_msg_ttl"},
      {[](jsStreamConfig& config) { config.AllowRollup = true; }, "--no-allow-rollup"},
  };
  for (const auto& [set, advice] : settings) {
    fakes::ForeignStream stream{stream_, stream_ + ".*.*"};
    set(stream.config);
    ASSERT_EQ(stream.add(peer), NATS_OK);
    for (const bool ends : {false, true}) {
      const auto opened = (ends ? make({{"until", std::string{"2100-01-01T00:00:00Z"}}}) : make()).source->open(0);
      ASSERT_TRUE(!opened && opened.error().kind == Error::Kind::changed) << advice;
      EXPECT_NE(opened.error().message.find(advice), std::string::npos) << opened.error().message;
    }
    peer.jetstream->remove(stream_);
  }
}

TEST_F(NatsPartitionSource, namesTheStreamThatHasItsSubjectsAlready) {
  auto first = make();
  first.source->open(0).value();
  auto second_stream = make({{"stream", std::string{"SECOND"}}});
  const auto opened = second_stream.source->open(0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed) << "waiting would not help";
  EXPECT_NE(opened.error().message.find("stream " + stream_ + " has them"), std::string::npos)
      << opened.error().message;
}

TEST_F(NatsPartitionSource, believesAHoleWhenTheServerConfirmsIt) {
  auto source = make();
  source.source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 100);
  peer.wait_for(stream_, 100);
  for (const std::uint64_t sequence : {50, 51, 70}) {
    ASSERT_EQ(js_DeleteMsg(peer.jetstream->handle(), stream_.c_str(), sequence, nullptr, nullptr), NATS_OK);
  }
  const auto got = source.pull(97);
  ASSERT_EQ(got.size(), 97);
  EXPECT_EQ(got[48].sequence, 49);
  EXPECT_EQ(got[49].sequence, 52);
  EXPECT_EQ(source.context->counted("deleted"), 3);
  EXPECT_EQ(source.context->counted("restarts"), 0);
}

TEST_F(NatsPartitionSource, stopsWhenTheStreamIsCutOffBeforeItHasRead) {
  make().source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 100);
  peer.wait_for(stream_, 100);
  auto source = make();
  ASSERT_EQ(source.source->open(5).value(), 5);
  jsOptions options;
  jsOptions_Init(&options);
  options.Stream.Purge.Keep = 10;
  ASSERT_EQ(js_PurgeStream(peer.jetstream->handle(), stream_.c_str(), &options, nullptr), NATS_OK);
  EXPECT_EQ(source.pull(1).size(), 0);
  EXPECT_EQ(source.last_error.kind, Error::Kind::changed);
  EXPECT_NE(source.last_error.message.find("begins at 91, but the lane must read from 6 on: 85 messages in between"),
            std::string::npos)
      << source.last_error.message;
}

TEST_F(NatsPartitionSource, waitsUntilTheConsumersOfKilledWorkersAreGone) {
  NatsPeer peer{url()};
  const std::string subjects = weir::format(R"(["{0}.*.*","p.0.clock.{0}"])", stream_);
  const auto made =
      peer.connection
          ->request("$JS.API.STREAM.CREATE." + stream_,
                    weir::format(R"({{"name":"{}","subjects":{},"max_consumers":1}})", stream_, subjects), second)
          .value();
  ASSERT_EQ(made.find("error"), std::string::npos) << made;
  auto killed = std::make_unique<NatsSource>(make());
  killed->source->open(0).value();
  auto next = make();
  const auto refused = next.source->open(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::unreachable) << refused.error().message;
  EXPECT_NE(refused.error().message.find("maximum consumers limit"), std::string::npos) << refused.error().message;
  killed.reset();
  EXPECT_TRUE(next.source->open(0));
}

TEST_F(NatsPartitionSource, survivesTheLossOfItsConsumer) {
  auto source = make();
  source.source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 1000);
  expect_run(source.pull(1000), 1, 1000);
  jsConsumerNamesList* names = nullptr;
  ASSERT_EQ(js_ConsumerNames(&names, peer.jetstream->handle(), stream_.c_str(), nullptr, nullptr), NATS_OK);
  ASSERT_EQ(names->Count, 1);
  ASSERT_EQ(js_DeleteConsumer(peer.jetstream->handle(), stream_.c_str(), names->List[0], nullptr, nullptr), NATS_OK);
  jsConsumerNamesList_Destroy(names);
  publish(peer, 1000, 1000);
  expect_run(source.pull(1000), 1001, 1000);
  EXPECT_EQ(source.context->counted("restarts"), 1);
}

TEST_F(NatsPartitionSource, stopsWhenTheStreamIsNotTheSameAnyMore) {
  auto source = make();
  source.source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 10);
  EXPECT_EQ(source.pull(10).size(), 10);
  auto beyond = make();
  const auto opened = beyond.source->open(11);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  EXPECT_NE(opened.error().message.find("ends at 10, but it was read up to 11"), std::string::npos)
      << opened.error().message;

  ASSERT_EQ(js_PurgeStream(peer.jetstream->handle(), stream_.c_str(), nullptr, nullptr), NATS_OK);
  publish(peer, 1);
  EXPECT_EQ(source.pull(1).size(), 1);
  auto behind = make();
  EXPECT_EQ(behind.source->open(4).error().kind, Error::Kind::changed);
  auto at_the_end = make();
  EXPECT_EQ(at_the_end.source->open(10).value(), 10);

  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), stream_.c_str(), nullptr, nullptr), NATS_OK);
  make().source->open(0).value();
  EXPECT_EQ(source.pull(1, 15 * second).size(), 0);
  EXPECT_EQ(source.last_error.kind, Error::Kind::changed);
  EXPECT_NE(source.last_error.message.find("recreated"), std::string::npos) << source.last_error.message;
}

TEST_F(NatsPartitionSource, tellsWhyTheStreamTakesNoMarkers) {
  auto source = make();
  source.source->open(0).value();
  NatsPeer peer{url()};
  const std::string made = peer.connection->request("$JS.API.STREAM.INFO." + stream_, {}, second).value();
  const auto begin = made.find("\"config\":") + 9;
  std::string config = made.substr(begin, made.find(",\"created\"", begin) - begin);
  config.replace(config.find("\"sealed\":false"), 14, "\"sealed\":true");
  const auto sealed = peer.connection->request("$JS.API.STREAM.UPDATE." + stream_, config, second).value();
  ASSERT_NE(sealed.find("\"sealed\":true"), std::string::npos) << sealed;
  const auto marked = mark_until_refused(source);
  ASSERT_FALSE(marked);
  EXPECT_EQ(marked.error().kind, Error::Kind::unreachable);
  EXPECT_NE(marked.error().message.find("stream " + stream_ + " does not store the markers"), std::string::npos)
      << marked.error().message;
  EXPECT_NE(marked.error().message.find("sealed"), std::string::npos) << marked.error().message;
}

TEST(NatsMarkers, thatMayNotBeWrittenAreTrouble) {
  fakes::Servers servers{"nats",
                         "authorization { users: [ { user: u, password: p, permissions: { publish: { deny: "
                         "\"p.0.clock.>\" } } } ] }\n"};
  NatsSource source{weir_operator_sources_nats(),
                    {{"url", servers.nats()},
                     {"stream", std::string{"T"}},
                     {"user", std::string{"u"}},
                     {"password", std::string{"p"}}}};
  source.source->open(0).value();
  const auto marked = mark_until_refused(source);
  ASSERT_FALSE(marked);
  for (const char* part : {"p.0.clock.T", "Permissions Violation", "stream T"})
    EXPECT_NE(marked.error().message.find(part), std::string::npos) << part << " in: " << marked.error().message;
}

TEST_F(NatsPartitionSource, keepsHeadersAndLargePayloads) {
  auto source = make();
  source.source->open(0).value();
  NatsPeer peer{url()};
  natsMsg* message = nullptr;
  const std::string subject = stream_ + ".a.b";
  const std::string large(1'000'000, 'x');
  ASSERT_EQ(natsMsg_Create(&message, subject.c_str(), nullptr, large.data(), static_cast<int>(large.size())), NATS_OK);
  ASSERT_EQ(natsMsgHeader_Set(message, "trace", "7"), NATS_OK);
  peer.publish(subject, "");
  ASSERT_EQ(natsConnection_PublishMsg(peer.connection->handle(), message), NATS_OK);
  natsMsg_Destroy(message);
  peer.publish(subject, "plain");
  const auto got = source.pull(3);
  ASSERT_EQ(got.size(), 3);
  EXPECT_EQ(got[0].payload, "");
  EXPECT_TRUE(got[0].headers.empty());
  EXPECT_EQ(got[1].payload.size(), large.size());
  ASSERT_EQ(got[1].headers.size(), 1);
  EXPECT_EQ(got[1].headers[0].first, "trace");
  EXPECT_EQ(got[1].headers[0].second, "7");
  EXPECT_TRUE(got[2].headers.empty());
}

TEST(NatsRestart, goesOnAfterTheServerWasKilled) {
  fakes::Servers servers{"nats"};
  NatsSource source{weir_operator_sources_nats(), {{"url", servers.nats()}, {"stream", std::string{"TELEMETRY"}}}};
  source.source->open(0).value();
  {
    NatsPeer peer{servers.nats()};
    peer.publish_many(5'000);
    peer.jetstream->state("TELEMETRY").value();
  }
  const auto begun = source.pull(1'000);
  const auto seen = begun.size();
  expect_run(begun, 1, seen);
  servers.kill("nats");
  const auto meanwhile = source.pull(5'000, second);
  EXPECT_EQ(source.last_error.kind, Error::Kind::unreachable);
  servers.start("nats");
  NatsPeer peer{servers.nats()};
  peer.publish_many(5'000, 5'000);
  const auto rest = source.pull(10'000 - seen - meanwhile.size());
  expect_run(rest, seen + meanwhile.size() + 1, 10'000 - seen - meanwhile.size());
  EXPECT_GE(source.context->counted("reconnects"), 1);
}

TEST(NatsPartitions, agreeWithTheServersMapping) {
  fakes::Servers servers{"nats",
                         "mappings = { \"vehicle.*.>\": \"p.{{partition(7,1)}}.vehicle.{{wildcard(1)}}.>\" }\n"};
  const std::map<std::string, Setting> settings = {
      {"url", servers.nats()}, {"stream", std::string{"T"}}, {"partitions", std::int64_t{7}}};
  std::vector<NatsSource> sources;
  for (Partition k = 0; k < 7; ++k) {
    sources.emplace_back(weir_operator_sources_nats(), settings, k);
    sources.back().source->open(0).value();
  }
  NatsPeer peer{servers.nats()};
  peer.publish_many(2'000, 0, "", 2'000);
  std::size_t total = 0;
  for (Partition k = 0; k < 7; ++k) {
    for (const auto& message : sources[k].pull(2'000, 500 * millisecond)) {
      EXPECT_EQ(partition_of(message.key, 7), k);
      EXPECT_EQ(message.refused, "");
      EXPECT_EQ(message.subject, "vehicle." + std::string{message.key} + ".speed");
      ++total;
    }
  }
  EXPECT_EQ(total, 2'000);
  const Partition wrong = (partition_of("stray", 7) + 1) % 7;
  peer.publish("p." + std::to_string(wrong) + ".vehicle.stray.speed", "1");
  const auto stray = sources[wrong].pull(1);
  ASSERT_EQ(stray.size(), 1);
  EXPECT_NE(stray[0].refused.find("partition"), std::string::npos);
}

}  // namespace
}  // namespace weir
