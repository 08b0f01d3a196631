#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <deque>
#include <map>
#include <set>
#include <thread>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_subject.hpp"
#include "fakes/codecs.hpp"
#include "fakes/context.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/proxy.hpp"
#include "fakes/servers.hpp"
#include "integration/nats_suite.hpp"

namespace weir {
Operator weir_operator_sources_jetstream_kv();
Operator weir_operator_sinks_jetstream_kv();
Operator weir_operator_codecs_json();

namespace {

using fakes::NatsPeer;
using fakes::NatsSource;
using testing::HasSubstr;
using testing::StartsWith;

/// Workers that write current values into one bucket.
class JetStreamKvTest : public integration::NatsSuite {
 protected:
  struct Worker {
    Worker(const std::string& url, const std::string& bucket, Duration forget = 60 * minute) {
      context.the_codec = codec.get();
      context.forget_after = forget;
      const auto op = weir_operator_sinks_jetstream_kv();
      sink = op.make_sink(fakes::settings_of(op, {{"url", url}, {"bucket", bucket}}), context);
      sink->bind_schema(samples::schema()).value();
    }
    Worker& opened() {
      sink->open().value();
      return *this;
    }
    Result<void> write(fakes::SampleBatch& batch) {
      Encoded& rows = written.emplace_back(sink->encode(batch.take()));
      return sink->write(rows);
    }
    Worker& number(std::string_view key, std::string_view field, Timestamp time, double x) {
      fakes::SampleBatch batch{context};
      write(batch.number(key, field, time, x, 100 * second)).value();
      return *this;
    }
    Result<Committed> commit() {
      auto out = sink->commit({});
      written.clear();
      return out;
    }
    std::uint64_t counted(std::string_view name) const { return context.counted(name); }

    std::unique_ptr<Codec> codec =
        fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
    fakes::FakeContext context;
    std::deque<Encoded> written;
    std::unique_ptr<Sink> sink;
  };

  Worker worker() { return Worker{url(), bucket_}; }
  static std::string value(Timestamp time, double x) {
    return weir::format(R"({{"time":{},"value":{}}})", time, fakes::text_of(x));
  }
  /// What the bucket has.
  std::string there(const std::string& key, const std::string& url_of = url()) {
    NatsPeer peer{url_of};
    const auto found = nats::Bucket{*peer.jetstream, bucket_}.get(key).value();
    return found ? found->bytes : "nothing";
  }

  const std::string bucket_ = name();
};

TEST_F(JetStreamKvTest, has_written_everything_when_a_commit_returns) {
  Worker one = worker();
  one.opened();
  ASSERT_TRUE(one.commit()) << "of nothing";
  for (int i = 0; i < 5000; ++i) one.number(weir::format("v{}", i % 1000), "speed", i, i);
  ASSERT_TRUE(one.commit());
  NatsPeer peer{url()};
  EXPECT_EQ((nats::Bucket{*peer.jetstream, bucket_}.names("").value().size()), 1000u);
  for (const int i : {0, 499, 999}) EXPECT_EQ(there(weir::format("v{}.speed", i)), value(4000 + i, 4000 + i));
  EXPECT_EQ(one.counted("published"), 1000u);
  EXPECT_EQ(one.counted("coalesced"), 4000u);
}

TEST_F(JetStreamKvTest, fails_while_the_bucket_takes_none_and_goes_on_after) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  stream.config.MaxBytes = 10;
  stream.config.Discard = js_DiscardNew;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  Worker one = worker();
  one.opened().number("v1", "speed", 1, 1);
  const auto failed = one.commit();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Error::Kind::unreachable);
  EXPECT_THAT(failed.error().message, HasSubstr("maximum bytes exceeded"));
  stream.config.MaxBytes = 1'000'000;
  ASSERT_EQ(stream.update(peer), NATS_OK);
  one.opened();
  ASSERT_TRUE(one.commit()) << "the rows are to be given again";
  EXPECT_EQ(there("v1.speed"), "nothing");
  ASSERT_TRUE(one.number("v1", "speed", 1, 1).commit());
  EXPECT_EQ(there("v1.speed"), value(1, 1));
}

/// What was refused for a while meets a newer value when it is published again.
TEST_F(JetStreamKvTest, keeps_its_condition_when_it_publishes_again) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  stream.config.MaxBytes = 10;
  stream.config.Discard = js_DiscardNew;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  Worker one = worker();
  one.opened().number("v1", "f", 5, 5);
  const std::jthread late{[&] {
    system_clock().wait(2 * second, {});
    stream.config.MaxBytes = 1'000'000;
    EXPECT_EQ(stream.update(peer), NATS_OK);
    EXPECT_TRUE((nats::Bucket{*peer.jetstream, bucket_}.put("v1.f", value(9, 9))));
  }};
  const auto done = one.commit();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(there("v1.f"), value(9, 9));
  EXPECT_EQ(one.counted("published") + one.counted("superseded"), 1u);
}

/// For the server, with the headers only, or for the bucket.
TEST_F(JetStreamKvTest, rejects_a_value_that_is_too_large_and_writes_the_others) {
  NatsPeer peer{url()};
  constexpr std::size_t around = std::string_view{R"({"time":1000000000,"value":""})"}.size();
  const std::size_t most = peer.connection->max_payload();
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  for (const std::size_t size : {most + 1, most, most - 5, std::size_t{1'000}}) {
    SCOPED_TRACE(size);
    stream.config.MaxMsgSize = size < 10'000 ? 900 : -1;
    ASSERT_EQ(size == most + 1 ? stream.add(peer) : stream.update(peer), NATS_OK);
    Worker one = worker();
    one.opened();
    fakes::SampleBatch batch{one.context};
    const std::string text(size - around, 'x');
    batch.add({.key = "v1", .field = "f", .time = second, .text = text, .kind = Sample::Kind::text}, second);
    ASSERT_TRUE(one.write(batch.number("v2", "f", second, static_cast<double>(size), second)));
    const auto done = one.commit();
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_EQ(done->rejected.size(), 1u);
    EXPECT_EQ(done->rejected[0].row, 0u);
    EXPECT_THAT(done->rejected[0].reason.code, HasSubstr("too_large"));
    EXPECT_EQ(there("v2.f"), value(second, static_cast<double>(size)));
    EXPECT_EQ(there("v1.f"), "nothing");
  }
}

/// The server would hang up on a longer one, again and again.
TEST_F(JetStreamKvTest, writes_a_value_with_the_longest_name) {
  Worker one = worker();
  const std::string key(nats::longest_subject - nats::bucket_subject(bucket_, ".f").size(), 'k');
  one.opened().number(key, "f", 1, 3).number(key + "k", "f", 1, 3);
  const auto done = one.commit();
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->rejected.size(), 1u);
  EXPECT_EQ(done->rejected[0].reason.code, "key_too_long");
  EXPECT_EQ(there(key + ".f"), value(1, 3));
}

/// A removal leaves its mark in the bucket, with a revision.
TEST_F(JetStreamKvTest, writes_a_value_again_that_was_removed_before) {
  NatsPeer peer{url()};
  nats::ensure_bucket(*peer.jetstream, {.name = bucket_}).value();
  nats::Bucket bucket{*peer.jetstream, bucket_};
  const auto mark = [&](const char* key, const char* operation) {
    natsMsg* message = nullptr;
    ASSERT_EQ(natsMsg_Create(&message, nats::bucket_subject(bucket_, key).c_str(), nullptr, nullptr, 0), NATS_OK);
    ASSERT_EQ(natsMsgHeader_Set(message, "KV-Operation", operation), NATS_OK);
    if (operation == std::string_view{"PURGE"}) {
      ASSERT_EQ(natsMsgHeader_Set(message, "Nats-Rollup", "sub"), NATS_OK);
    }
    EXPECT_EQ(js_PublishMsg(nullptr, peer.jetstream->handle(), message, nullptr, nullptr), NATS_OK);
    natsMsg_Destroy(message);
  };
  bucket.put("v1.f0", "1").value();
  mark("v1.f0", "DEL");
  bucket.put("v1.f1", "1").value();
  mark("v1.f1", "PURGE");
  EXPECT_EQ(there("v1.f0"), "nothing");
  Worker one = worker();
  one.opened().number("v2", "f0", second, 2);
  ASSERT_TRUE(one.commit()) << "it has followed the bucket to its end before it knows of the others";
  ASSERT_TRUE(one.number("v1", "f0", second, 2).number("v1", "f1", second, 2).commit());
  EXPECT_EQ(there("v1.f0"), value(second, 2));
  EXPECT_EQ(there("v1.f1"), value(second, 2));
  // And those that it has written itself.
  mark("v1.f0", "DEL");
  ASSERT_TRUE(one.number("v1", "f0", 2 * second, 3).commit());
  EXPECT_EQ(there("v1.f0"), value(2 * second, 3));
}

TEST_F(JetStreamKvTest, never_puts_an_older_value_over_a_newer) {
  Worker one = worker(), two = worker();
  one.opened().number("v1", "f", 5, 5).number("v1", "f", 3, 3);
  two.opened();
  ASSERT_TRUE(one.commit());
  EXPECT_EQ(there("v1.f"), value(5, 5));
  ASSERT_TRUE(two.number("v1", "f", 4, 4).number("v2", "f", 1, 1).commit());
  EXPECT_EQ(there("v1.f"), value(5, 5));
  EXPECT_EQ(there("v2.f"), value(1, 1));
  ASSERT_TRUE(two.number("v1", "f", 6, 6).commit());
  EXPECT_EQ(there("v1.f"), value(6, 6));
  // It stood still meanwhile, and knows of nothing.
  ASSERT_TRUE(one.number("v1", "f", 5, 7).commit());
  EXPECT_EQ(there("v1.f"), value(6, 6));
  EXPECT_EQ(one.counted("published"), 1u);
  EXPECT_EQ(one.counted("coalesced"), 1u);
  EXPECT_EQ(one.counted("superseded"), 1u);
  EXPECT_EQ(two.counted("published"), 2u);
  EXPECT_EQ(two.counted("superseded"), 1u);
}

/// As in the rows that are made of the same stream: whoever wrote the first, and however long ago.
TEST_F(JetStreamKvTest, keeps_the_later_of_two_values_of_the_same_time) {
  std::uint64_t published = 0;
  for (const double x : {1, 2, 2}) {
    Worker one = worker();
    ASSERT_TRUE(one.opened().number("v1", "f", 5, x).commit());
    EXPECT_EQ(there("v1.f"), value(5, x));
    published += one.counted("published");
  }
  EXPECT_EQ(published, 2u) << "the third was there";
}

TEST_F(JetStreamKvTest, agrees_on_the_newest_when_workers_race) {
  constexpr int rounds = 60, vehicles = 20;
  Worker one = worker(), two = worker();
  // The same vehicles at both, the newest of each now here, now there.
  const auto race = [&](Worker& racer, int odd) {
    racer.opened();
    for (int i = 1; i <= rounds; ++i) {
      for (int v = 0; v < vehicles; ++v) {
        const int newest = i * 2 + (v + odd) % 2;
        racer.number("v" + std::to_string(v), "f", newest, newest);
      }
      EXPECT_TRUE(racer.commit());
    }
  };
  {
    std::jthread other{[&] { race(two, 1); }};
    race(one, 0);
  }
  for (int v = 0; v < vehicles; ++v)
    EXPECT_EQ(there(weir::format("v{}.f", v)), value(rounds * 2 + 1, rounds * 2 + 1)) << v;
  std::uint64_t counted = 0;
  for (const Worker* racer : {&one, &two}) {
    for (const char* what : {"published", "superseded", "coalesced"}) counted += racer->counted(what);
  }
  EXPECT_EQ(counted, 2u * vehicles * rounds) << "values got lost uncounted";
}

TEST_F(JetStreamKvTest, recreates_a_bucket_that_was_deleted) {
  NatsPeer peer{url()};
  Worker one = worker();
  ASSERT_TRUE(one.opened().number("v1", "f", 5, 5).commit());
  peer.jetstream->remove(nats::bucket_stream(bucket_));
  ASSERT_FALSE(one.number("v1", "f", 6, 6).commit()) << "it was written nowhere";
  ASSERT_TRUE(one.opened().number("v1", "f", 4, 4).commit());
  EXPECT_EQ(there("v1.f"), value(4, 4)) << "what the former bucket had is gone";
}

TEST_F(JetStreamKvTest, fails_while_the_server_is_down_and_writes_after) {
  fakes::Servers mortal{"nats"};
  Worker one{mortal.nats(), bucket_};
  ASSERT_TRUE(one.opened().number("v1", "f", 5, 5).commit());
  mortal.kill("nats");
  const auto failed = one.number("v1", "f", 6, 6).number("v2", "f", 1, 1).commit();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Error::Kind::unreachable);
  EXPECT_FALSE(one.sink->open());
  EXPECT_FALSE(one.commit()) << "it is not open";
  mortal.start("nats");
  one.opened().number("v1", "f", 6, 6).number("v2", "f", 1, 1);
  ASSERT_TRUE(one.commit());
  EXPECT_EQ(there("v1.f", mortal.nats()), value(6, 6));
  EXPECT_EQ(there("v2.f", mortal.nats()), value(1, 1));
  EXPECT_EQ(one.counted("published") + one.counted("superseded"), 3u);
}

/// While a new reader catches up, a busy machine may show it the fleet in parts; from then on a tick is the fleet.
TEST_F(JetStreamKvTest, lets_a_source_read_a_fleet_in_one_tick) {
  constexpr std::size_t fleet = 25'000;
  Worker one = worker();
  one.opened();
  fakes::SampleBatch batch{one.context};
  for (std::size_t i = 0; i < fleet; ++i)
    batch.number(weir::format("v{}", i / 5), weir::format("f{}", i % 5), second, 1, second);
  ASSERT_TRUE(one.write(batch));
  ASSERT_TRUE(one.commit());
  ASSERT_EQ(one.counted("published"), fleet);
  NatsSource source{weir_operator_sources_jetstream_kv(),
                    {{"url", url()}, {"bucket", bucket_}, {"only_changed", false}}};
  source.source->open(0).value();
  std::set<std::string> known;
  const Timestamp end = system_clock().steady() + 20 * second;
  while (known.size() < fleet && system_clock().steady() < end) {
    for (const auto& message : source.pull(1)) known.emplace(message.subject);
  }
  ASSERT_EQ(known.size(), fleet);
  std::map<Timestamp, std::set<std::string_view>> ticks;
  for (const auto& message : source.pull(2 * fleet)) ticks[message.arrival].insert(message.subject);
  ASSERT_EQ(ticks.size(), 2);
  for (const auto& [tick, values] : ticks) EXPECT_EQ(values.size(), fleet);
}

/// Of a vehicle that no longer speaks nothing is kept but its value in the bucket.
TEST_F(JetStreamKvTest, knows_a_value_that_it_forgot_by_the_bucket) {
  Worker one{url(), bucket_, 100 * millisecond};
  ASSERT_TRUE(one.opened().number("v1", "f", 5, 1).number("v2", "f", 5, 2).commit());
  system_clock().wait(200 * millisecond, {});
  ASSERT_TRUE(one.number("v3", "f", 5, 3).commit());
  ASSERT_TRUE(one.number("v1", "f", 6, 4).number("v2", "f", 4, 5).commit());
  EXPECT_EQ(there("v1.f"), value(6, 4));
  EXPECT_EQ(there("v2.f"), value(5, 2));
  EXPECT_EQ(one.counted("superseded"), 1u) << "an older value, of which only the bucket knew";
}

/// What it had first, others' values that stay as they are, has to be read before what this worker meets.
TEST_F(JetStreamKvTest, comes_to_the_end_of_a_bucket_that_is_far_away) {
  constexpr int quiet = 18'000, active = 300;
  Worker other = worker();
  other.opened();
  for (const int part : {0, 1}) {
    fakes::SampleBatch batch{other.context};
    for (int i = part == 0 ? 0 : quiet; i < (part == 0 ? quiet : quiet + active); ++i)
      batch.number(weir::format("v{}", i), "f", second, 1, second);
    ASSERT_TRUE(other.write(batch));
    ASSERT_TRUE(other.commit());
  }
  fakes::Proxy way{fakes::port_of(url())};
  way.delay(150 * millisecond);
  Worker one{way.in_place_of(url()), bucket_};
  one.opened();
  fakes::SampleBatch batch{one.context};
  for (int i = quiet; i < quiet + active; ++i) batch.number(weir::format("v{}", i), "f", 2 * second, 2, 2 * second);
  ASSERT_TRUE(one.write(batch));
  const auto done = one.commit();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(there(weir::format("v{}.f", quiet + active - 1)), value(2 * second, 2));
}

TEST_F(JetStreamKvTest, has_no_beginning_without_a_server) {
  Worker one{"nats://127.0.0.1:1", bucket_};
  const auto opened = one.sink->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::unreachable);
}

}  // namespace
}  // namespace weir
