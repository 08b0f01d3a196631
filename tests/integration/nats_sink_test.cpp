#include <gtest/gtest.h>

#include <set>

#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/partition.hpp>

#include "clients/nats_publisher.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "integration/nats_sink_suite.hpp"

namespace weir {
namespace {

using fakes::NatsPeer;
using fakes::NatsSource;
using integration::NatsSink;
using integration::NatsSinkTest;
using integration::samples_of;

TEST_F(NatsSinkTest, endsWithoutHavingPublishedAnything) {
  NatsSink sink{settings()};
  sink.sink->open().value();
  EXPECT_TRUE(sink.sink->commit({}));
}

TEST_F(NatsSinkTest, storesEverySampleBeforeTheCommitReturnsAndOnceOnly) {
  NatsSink sink{settings()};
  sink.sink->open().value();
  const auto batch = samples_of(sink.context, 20'000);
  ASSERT_TRUE(sink.write(batch));
  ASSERT_TRUE(sink.sink->commit({}));
  NatsPeer peer{url()};
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 20'000);
  EXPECT_EQ(sink.context.counted("published"), 20'000);
  // The same rows again, as after a crash, then new ones.
  NatsSink again{settings()};
  again.sink->open().value();
  ASSERT_TRUE(again.write(samples_of(again.context, 100, 19'900), 19'900));
  ASSERT_TRUE(again.write(samples_of(again.context, 1, 20'000), 20'000));
  ASSERT_TRUE(again.sink->commit({}));
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 20'001);
  EXPECT_EQ(sink.context.counted("duplicates"), 0);
  EXPECT_EQ(again.context.counted("duplicates"), 100);
  EXPECT_EQ(again.context.counted("published"), 101);
  const auto got = stored(20'001);
  EXPECT_EQ(got[3], stream_ + ".v3.speed 3;");
  EXPECT_EQ(got[20'000], stream_ + ".v0.speed 20000;");
}

TEST_F(NatsSinkTest, framesConsecutiveSamplesOfOneVehicleInOneMessage) {
  const std::map<std::string, Setting> framed = {{"subject", stream_ + ".{key}"}, {"frame", std::int64_t{3}}};
  NatsSink sink{settings(framed)};
  sink.sink->open().value();
  ASSERT_TRUE(sink.write(samples_of(sink.context, 8, 0, 1, 4)));
  ASSERT_TRUE(sink.write(samples_of(sink.context, 2, 8, 2, 2), 8));
  ASSERT_TRUE(sink.sink->commit({}));
  EXPECT_EQ(stored(6, framed),
            (std::vector<std::string>{stream_ + ".v0 speed=0;speed=1;speed=2;", stream_ + ".v0 speed=3;",
                                      stream_ + ".v0 speed=4;speed=5;speed=6;", stream_ + ".v0 speed=7;",
                                      stream_ + ".v0 speed=8;", stream_ + ".v1 speed=9;"}));
}

TEST_F(NatsSinkTest, framesAreTheSameWhereverBatchesWereCut) {
  const std::map<std::string, Setting> framed = {{"subject", stream_ + ".{key}"}, {"frame", std::int64_t{3}}};
  NatsPeer peer{url()};
  const auto write = [&](std::vector<std::size_t> cuts, std::uint32_t numbering = 0) {
    NatsSink sink{settings(framed)};
    sink.sink->open().value();
    std::size_t first = 0;
    for (const std::size_t end : cuts) {
      auto encoded = sink.sink->encode(samples_of(sink.context, end - first, first, 1, 4));
      encoded.number = first;
      encoded.numbering = numbering;
      ASSERT_TRUE(sink.sink->write(encoded));
      ASSERT_TRUE(sink.sink->commit({}));
      first = end;
    }
  };
  write({4, 16, 40});
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 20);
  write({40});  // after a crash, in one piece
  write({12, 20, 24, 40});
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 20) << "nothing was stored twice";
  write({40}, 1);
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 40) << "another numbering's ids are others";
}

TEST_F(NatsSinkTest, rowsOfTwoPartitionsAreNeverTakenForRepetitions) {
  NatsSink sink{settings()};
  sink.sink->open().value();
  for (const Partition partition : {0u, 1u}) {
    auto encoded = sink.sink->encode(samples_of(sink.context, 10));
    encoded.partition = partition;
    ASSERT_TRUE(sink.sink->write(encoded));
    ASSERT_TRUE(sink.sink->commit({}));
  }
  NatsPeer peer{url()};
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 20);
  EXPECT_EQ(sink.context.counted("duplicates"), 0);
}

TEST_F(NatsSinkTest, rejectsWhatCanNotBePublishedAndNothingElse) {
  NatsSink sink{settings()};
  sink.sink->open().value();
  auto batch = std::make_shared<Batch>(*samples_of(sink.context, 3));
  Ids keys{{}, sink.context.keys()};
  for (const char* key : {"fine", "not.fine", "fine too"}) keys.ids.push_back(*sink.context.keys()->intern(key));
  batch->columns[samples::key] = Column::dictionary(keys);
  ASSERT_TRUE(sink.write(batch));
  const auto committed = sink.sink->commit({}).value();
  ASSERT_EQ(committed.rejected.size(), 2);
  EXPECT_EQ(committed.rejected[0].row, 1);
  EXPECT_EQ(committed.rejected[0].reason.code, "no_subject");
  EXPECT_EQ(stored(1), std::vector<std::string>{stream_ + ".fine.speed 0;"});
}

TEST_F(NatsSinkTest, spreadsPartitionsAsTheSourceExpectsThem) {
  const std::map<std::string, Setting> partitioned = {{"partitions", std::int64_t{4}}};
  NatsSink sink{settings(partitioned)};
  sink.sink->open().value();
  ASSERT_TRUE(sink.write(samples_of(sink.context, 400, 0, 400)));
  ASSERT_TRUE(sink.sink->commit({}));
  std::size_t total = 0;
  for (Partition k = 0; k < 4; ++k) {
    NatsSource source{weir_operator_sources_nats(), settings(partitioned), k};
    source.source->open(0).value();
    for (const auto& message : source.pull(source.source->waiting())) {
      EXPECT_EQ(message.refused, "");
      ++total;
    }
  }
  EXPECT_EQ(total, 400);
}

TEST_F(NatsSinkTest, writesRowsAsJsonObjects) {
  auto rows = settings({{"subject", stream_ + ".{key}"}});
  NatsSink sink{rows};
  auto schema = std::make_shared<Schema>(
      Schema{Shape::rows, {{"key", Type::dictionary}, {"tick", Type::timestamp}, {"speed", Type::float64}}});
  sink.sink->bind_schema(schema).value();
  sink.sink->open().value();
  auto batch = std::make_shared<Batch>();
  batch->schema = schema;
  batch->rows = 1;
  batch->columns = {Column::dictionary({{*sink.context.keys()->intern("a")}, sink.context.keys()}),
                    Column::timestamp({1'767'225'600 * second}), Column::float64({1.5})};
  batch->arrival = {0};
  ASSERT_TRUE(sink.write(batch));
  ASSERT_TRUE(sink.sink->commit({}));
  EXPECT_EQ(stored(1, {{"subject", stream_ + ".{key}"}}),
            std::vector<std::string>{stream_ + R"(.a {"key":"a","tick":"2026-01-01T00:00:00Z","speed":1.5})"});
  EXPECT_EQ(NatsSink{settings()}.sink->bind_schema(schema).error().setting, "subject");
}

TEST(NatsSinkRestart, losesNothingWhenTheServerIsKilled) {
  fakes::Servers servers{"nats"};
  NatsSink sink{{{"url", servers.nats()}, {"stream", std::string{"OUT"}}}};
  sink.sink->open().value();
  ASSERT_TRUE(sink.write(samples_of(sink.context, 1'000)));
  ASSERT_TRUE(sink.sink->commit({}));
  ASSERT_TRUE(sink.write(samples_of(sink.context, 1'000, 1'000), 1'000));
  servers.kill("nats");
  ASSERT_TRUE(sink.write(samples_of(sink.context, 1'000, 2'000), 2'000));
  servers.start("nats");
  // As the engine would: after an error it opens and gives the same rows again.
  const bool at_once = sink.sink->commit({}).has_value();
  if (!at_once) {
    sink.sink->open().value();
    ASSERT_TRUE(sink.write(samples_of(sink.context, 2'000, 1'000), 1'000));
    ASSERT_TRUE(sink.sink->commit({}));
  }
  NatsSource source{weir_operator_sources_nats(), {{"url", servers.nats()}, {"stream", std::string{"OUT"}}}};
  source.source->open(0).value();
  std::set<std::string> payloads;
  for (const auto& message : source.pull(4'000, 2 * second)) payloads.emplace(message.payload);
  EXPECT_EQ(payloads.size(), 3'000);
  EXPECT_EQ(sink.context.counted("published"), 3'000) << "at once: " << at_once;
}

/// Core NATS: rows are committed only if the server has taken them.
TEST(NatsCoreSink, doesNotCommitWhatTheServerRefuses) {
  fakes::Servers servers{"nats",
                         "authorization { users: [ { user: u, password: p, permissions: { publish: { deny: "
                         "\"secret.>\" } } } ] }\n"};
  const auto sink_to = [&](const char* subject) {
    return NatsSink{{{"url", servers.nats()},
                     {"user", std::string{"u"}},
                     {"password", std::string{"p"}},
                     {"subject", std::string{subject}}}};
  };
  auto open = sink_to("open.{key}");
  open.sink->open().value();
  ASSERT_TRUE(open.write(samples_of(open.context, 10)));
  EXPECT_TRUE(open.sink->commit({}));
  EXPECT_EQ(open.context.counted("published"), 10);
  auto secret = sink_to("secret.{key}");
  for (int i = 0; i < 3; ++i) {  // as the engine would, for ever
    secret.sink->open().value();
    ASSERT_TRUE(secret.write(samples_of(secret.context, 1)));
    const auto committed = secret.sink->commit({});
    ASSERT_FALSE(committed);
    EXPECT_EQ(committed.error().kind, Error::Kind::unreachable);
    for (const char* part : {"Permissions Violation", "secret.v0"})
      EXPECT_NE(committed.error().message.find(part), std::string::npos) << committed.error().message;
  }
  EXPECT_EQ(secret.context.counted("published"), 0);
}

TEST(NatsCoreSink, doesNotCommitWhatALostConnectionMayHaveLost) {
  fakes::Servers servers{"nats"};
  NatsSink sink{{{"url", servers.nats()}, {"subject", std::string{"a.{key}"}}}};
  sink.sink->open().value();
  ASSERT_TRUE(sink.write(samples_of(sink.context, 10)));
  servers.kill("nats");
  servers.start("nats");
  system_clock().wait(4 * second, {});  // connected again
  const auto committed = sink.sink->commit({});
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().kind, Error::Kind::unreachable);
  EXPECT_EQ(sink.context.counted("published"), 0);
  sink.sink->open().value();
  ASSERT_TRUE(sink.write(samples_of(sink.context, 10)));
  EXPECT_TRUE(sink.sink->commit({}));
  EXPECT_EQ(sink.context.counted("published"), 10);
}

TEST_F(NatsSinkTest, forgetsWhatWasWrittenWhenItIsOpenedAgain) {
  NatsSink sink{settings()};
  auto batch = std::make_shared<Batch>(*samples_of(sink.context, 2));
  Ids keys{{}, sink.context.keys()};
  for (const char* key : {"fine", "not.fine"}) keys.ids.push_back(*sink.context.keys()->intern(key));
  batch->columns[samples::key] = Column::dictionary(keys);
  for (int i = 0; i < 3; ++i) {
    sink.sink->open().value();
    ASSERT_TRUE(sink.write(batch));
  }
  EXPECT_EQ(sink.sink->commit({}).value().rejected.size(), 1);
  EXPECT_EQ(sink.context.counted("published"), 1);
}

TEST_F(NatsSinkTest, takesNothingForStoredThatItsStreamDidNotTake) {
  NatsSink sink{settings()};
  sink.sink->open().value();
  NatsPeer peer{url()};
  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), stream_.c_str(), nullptr, nullptr), NATS_OK);
  ASSERT_TRUE(sink.write(samples_of(sink.context, 100)));
  EXPECT_FALSE(sink.sink->commit({}));
  EXPECT_EQ(sink.context.counted("published"), 0);
  sink.sink->open().value();  // makes it again
  ASSERT_TRUE(sink.write(samples_of(sink.context, 100)));
  ASSERT_TRUE(sink.sink->commit({}));
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 100);
}

TEST_F(NatsSinkTest, wantsAStreamThatKnowsIdsLongEnough) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{stream_, stream_ + ".>"};
  stream.config.Duplicates = 10 * second;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  NatsSink sink{settings()};
  const auto opened = sink.sink->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  EXPECT_NE(opened.error().message.find("it knows ids for 10s only"), std::string::npos) << opened.error().message;
  EXPECT_TRUE((NatsSink{settings({{"deduplicate", false}})}.sink->open()));
  // No id need be known longer than messages are kept.
  stream.config.MaxAge = 10 * second;
  ASSERT_EQ(stream.update(peer), NATS_OK);
  EXPECT_TRUE(NatsSink{settings()}.sink->open());
}

TEST_F(NatsSinkTest, rejectsWhatIsTooLargeForTheStreamAndGoesOn) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{stream_, stream_ + ".>"};
  stream.config.MaxMsgSize = 200;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  const std::map<std::string, Setting> framed = {{"subject", stream_ + ".{key}"}, {"frame", std::int64_t{100}}};
  NatsSink sink{settings(framed)};
  sink.sink->open().value();
  ASSERT_TRUE(sink.write(samples_of(sink.context, 3, 0, 1, 100)));
  ASSERT_TRUE(sink.write(samples_of(sink.context, 40, 3, 1, 100), 3));
  ASSERT_TRUE(sink.write(samples_of(sink.context, 3, 43, 1, 100), 43));
  const auto committed = sink.sink->commit({});
  ASSERT_TRUE(committed) << committed.error().message;
  ASSERT_EQ(committed->rejected.size(), 40);
  EXPECT_EQ(committed->rejected[39].row, 39);
  EXPECT_EQ(committed->rejected[0].reason.code, "too_large_for_stream");
  EXPECT_EQ(sink.context.counted("published"), 2);
  EXPECT_EQ(peer.jetstream->state(stream_).value().messages, 2);
  ASSERT_TRUE(sink.write(samples_of(sink.context, 1, 46, 1, 100), 46));
  EXPECT_TRUE(sink.sink->commit({}).value().rejected.empty());
}

TEST_F(NatsSinkTest, rejectsWhatIsTooLargeForTheServerWithItsHeadersOnly) {
  const std::map<std::string, Setting> framed = {{"subject", stream_ + ".{key}"}, {"frame", std::int64_t{100'000}}};
  NatsSink sink{settings(framed)};
  sink.sink->open().value();
  // 17 bytes each, together 16 less than the server takes.
  constexpr std::size_t many = 61'680;
  constexpr std::size_t first = 34'808 * many;
  ASSERT_TRUE(sink.write(samples_of(sink.context, 1), first - 1));
  const auto written = sink.write(samples_of(sink.context, many, first, 1, many), first);
  ASSERT_TRUE(written) << written.error().message;
  ASSERT_TRUE(sink.write(samples_of(sink.context, 1), first + many));
  const auto committed = sink.sink->commit({});
  ASSERT_TRUE(committed) << committed.error().message;
  ASSERT_EQ(committed->rejected.size(), many);
  EXPECT_TRUE(committed->rejected[0].reason.text().starts_with("payload_too_large: payload too large: 10486"))
      << committed->rejected[0].reason.text();
  EXPECT_EQ(sink.context.counted("published"), 2);
  EXPECT_EQ(NatsPeer{url()}.jetstream->state(stream_).value().messages, 2);
}

TEST_F(NatsSinkTest, mayGoWhileTheServerStillAnswers) {
  NatsPeer peer{url()};
  for (int i = 0; i < 50; ++i) {
    auto publisher = nats::Publisher::open(*peer.connection, system_clock()).value();
    for (int n = 0; n < 500; ++n) publisher->publish("nobody.listens", "x", "").value();
    system_clock().wait(i * 10 * microsecond, {});
  }
}

TEST_F(NatsSinkTest, runsOfASourceThatCanNotReplayNeverCollide) {
  const fakes::TemporaryDirectory files;
  files.write("fleet.json", weir::format(R"({{ "name": "fleet", "nodes": [
    {{ "id": "vehicles", "source": "simulate", "speed": "10x", "vehicles": 20, "for": "10s" }},
    {{ "id": "out", "sink": "nats", "from": "vehicles", "url": "{}", "stream": "{}",
       "subject": "{}.{{key}}.{{field}}" }} ] }})",
                                         url(), stream_, stream_));
  NatsPeer peer{url()};
  fakes::WeirProcess run{{"run", files.file("fleet.json")}, files.file("log")};
  ASSERT_EQ(run.wait(30 * second), 0) << run.log();
  const auto once = peer.jetstream->state(stream_).value().messages;
  EXPECT_GT(once, 100);
  run.start();
  ASSERT_EQ(run.wait(30 * second), 0) << run.log();
  EXPECT_GT(peer.jetstream->state(stream_).value().messages, once + once / 2)
      << "the second run's messages were dropped";
}

}  // namespace
}  // namespace weir
