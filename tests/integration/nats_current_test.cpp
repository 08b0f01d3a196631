#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_current.hpp"
#include "clients/nats_subject.hpp"
#include "fakes/codecs.hpp"
#include "fakes/context.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/proxy.hpp"
#include "fakes/servers.hpp"
#include "integration/nats_suite.hpp"

namespace weir {
Operator weir_operator_sources_kv();
Operator weir_operator_transforms_keyed_last_value();
Operator weir_operator_codecs_json();

namespace {

using fakes::NatsPeer;
using fakes::NatsSource;

/// Workers that publish current values into one bucket.
class NatsCurrentTest : public integration::NatsSuite {
 protected:
  /// One worker that publishes current values; id is 10 × vehicle + field.
  std::unique_ptr<nats::CurrentValues> worker(nats::CurrentCounts& counts, std::mutex& mutex,
                                              Duration every = 20 * millisecond, const std::string& other = {}) {
    nats::CurrentValues::Config config;
    config.access.url = other.empty() ? url() : other;
    config.connection = "worker";
    config.bucket = bucket_;
    config.every = every;
    config.forget = forget_;
    config.codec = codec_.get();
    config.names = [this](std::uint64_t id) -> std::pair<std::string_view, std::string_view> {
      static const auto names = [] {
        std::vector<std::string> all;
        for (int i = 0; i < 5000; ++i) all.push_back("v" + std::to_string(i));
        return all;
      }();
      static const std::array<std::string, 10> fields = {"f0", "f1", "f2", "f3", "f4",
                                                         "f5", "f6", "f7", "f8", "no field"};
      return {id == long_id ? long_name_ : names.at(id / 10), fields.at(id % 10)};
    };
    config.counted = [&](const auto& more) {
      const std::lock_guard lock{mutex};
      counts.written += more.written;
      counts.superseded += more.superseded;
      counts.coalesced += more.coalesced;
      counts.given_up += more.given_up;
      counts.refused += more.refused;
    };
    config.warn = [this](std::string_view text) {
      const std::lock_guard lock{warnings_mutex_};
      warnings_.emplace_back(text);
    };
    auto out = std::make_unique<nats::CurrentValues>(std::move(config), system_clock());
    out->open().value();
    return out;
  }
  /// Whether all that was offered became durable within ten seconds.
  static bool settles(const nats::CurrentValues& worker) {
    for (int i = 0; i < 500 && !worker.durable(worker.offered()); ++i) system_clock().wait(20 * millisecond, {});
    return worker.durable(worker.offered());
  }
  static int refused(const nats::CurrentCounts& counts, std::mutex& mutex) {
    const std::scoped_lock lock{mutex};
    return static_cast<int>(counts.refused);
  }
  static std::uint64_t written(const nats::CurrentCounts& counts, std::mutex& mutex) {
    const std::lock_guard lock{mutex};
    return counts.written;
  }
  static nats::Current value(std::uint64_t id, Timestamp time, double x) { return {.id = id, .time = time, .x = x}; }
  static std::vector<nats::Current> values(std::initializer_list<nats::Current> all) { return all; }

  /// The bucket's value as text, once it is `expected` or after ten seconds.
  std::string settled(NatsPeer& peer, const std::string& key, const std::string& expected) {
    nats::Bucket bucket{*peer.jetstream, bucket_};
    std::string got;
    for (int i = 0; i < 500 && got != expected; ++i) {
      const auto found = bucket.get(key);
      got = found && *found ? (*found)->bytes : "nothing";
      if (got != expected) system_clock().wait(20 * millisecond, {});
    }
    return got;
  }

  static constexpr std::uint64_t long_id = 1'000'001;
  std::string long_name_;
  Duration forget_ = 60 * minute;
  const std::string bucket_ = name();
  fakes::FakeContext context_;
  std::mutex warnings_mutex_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Codec> codec_ =
      fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
};

TEST_F(NatsCurrentTest, writesCurrentValuesLessOftenWhileTheBucketTakesNone) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  stream.config.MaxBytes = 10;
  stream.config.Discard = js_DiscardNew;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  nats::CurrentCounts counts;
  std::mutex mutex;
  auto one = worker(counts, mutex);
  one->offer(values({value(0, second, 1)}));
  system_clock().wait(2 * second, {});
  {
    const std::lock_guard lock{warnings_mutex_};
    EXPECT_GE(warnings_.size(), 2);
    EXPECT_LE(warnings_.size(), 8);
  }
  stream.config.MaxBytes = 1'000'000;
  ASSERT_EQ(stream.update(peer), NATS_OK);
  for (int i = 0; i < 500 && written(counts, mutex) == 0; ++i) system_clock().wait(10 * millisecond, {});
  EXPECT_EQ(written(counts, mutex), 1);
}

/// For the server, with the headers only, or for the bucket.
TEST_F(NatsCurrentTest, refusesACurrentValueThatIsTooLargeAndWritesTheOthers) {
  NatsPeer peer{url()};
  constexpr std::size_t around = std::string_view{R"({"time":1000000000,"value":""})"}.size();
  const std::size_t most = peer.connection->max_payload();
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  nats::CurrentCounts counts;
  std::mutex mutex;
  for (const std::size_t size : {most + 1, most, most - 5, std::size_t{1'000}}) {
    stream.config.MaxMsgSize = size < 10'000 ? 900 : -1;
    ASSERT_EQ(size == most + 1 ? stream.add(peer) : stream.update(peer), NATS_OK);
    counts = {};
    warnings_.clear();
    auto one = worker(counts, mutex);
    auto large = value(10, second, 0);
    large.kind = Sample::Kind::text;
    large.text.assign(size - around, 'x');
    for (int i = 0; i < 2; ++i) {
      one->offer({large});
      for (int tries = 0; tries < 1000 && refused(counts, mutex) <= i; ++tries)
        system_clock().wait(10 * millisecond, {});
      one->offer(values({value(20 + static_cast<std::uint64_t>(i), second, static_cast<double>(size))}));
    }
    const auto text = weir::format(R"({{"time":1000000000,"value":{}}})", size);
    ASSERT_EQ(settled(peer, "v2.f0", text), text);
    ASSERT_EQ(settled(peer, "v2.f1", text), text);
    one.reset();
    EXPECT_EQ(counts.refused, 2u) << size;
    EXPECT_EQ(counts.written, 2u) << size;
    ASSERT_EQ(warnings_.size(), 1) << size;
    EXPECT_TRUE(warnings_[0].starts_with("v1.f0 is not published: ")) << warnings_[0];
    ASSERT_TRUE((nats::Bucket{*peer.jetstream, bucket_}.remove("v2.f0")));
    ASSERT_TRUE((nats::Bucket{*peer.jetstream, bucket_}.remove("v2.f1")));
  }
}

/// The server would hang up on it, again and again.
TEST_F(NatsCurrentTest, refusesACurrentValueWhoseNameIsTooLongAndWritesTheOthers) {
  NatsPeer peer{url()};
  nats::CurrentCounts counts;
  std::mutex mutex;
  const std::string too_long(4'000, 'k');
  long_name_ = too_long;
  auto one = worker(counts, mutex);
  one->offer(values({value(long_id, second, 1), value(20, second, 2)}));
  EXPECT_EQ(settled(peer, "v2.f0", R"({"time":1000000000,"value":2})"), R"({"time":1000000000,"value":2})");
  one.reset();
  EXPECT_EQ(counts.refused, 1);
  EXPECT_EQ(counts.written, 1);
  ASSERT_EQ(warnings_.size(), 1);
  EXPECT_TRUE(warnings_[0].contains("key and field have 4002 bytes together")) << warnings_[0];
  // The longest that is not refused is taken by the server.
  long_name_ = std::string(nats::longest_subject - nats::bucket_subject(bucket_, ".f1").size(), 'k');
  one = worker(counts, mutex);
  one->offer(values({value(long_id, second, 3)}));
  EXPECT_EQ(settled(peer, long_name_ + ".f1", R"({"time":1000000000,"value":3})"), R"({"time":1000000000,"value":3})");
}

/// A removal leaves its mark in the bucket, with a revision.
TEST_F(NatsCurrentTest, writesACurrentValueAgainThatWasRemovedBefore) {
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
  EXPECT_FALSE(bucket.get("v1.f0").value());
  nats::CurrentCounts counts;
  std::mutex mutex;
  auto one = worker(counts, mutex);
  one->offer(values({value(20, second, 2)}));
  EXPECT_EQ(settled(peer, "v2.f0", R"({"time":1000000000,"value":2})"), R"({"time":1000000000,"value":2})");
  system_clock().wait(300 * millisecond, {});  // it has followed the bucket to its end before it knows of these two
  one->offer(values({value(10, second, 2), value(11, second, 2)}));
  EXPECT_EQ(settled(peer, "v1.f0", R"({"time":1000000000,"value":2})"), R"({"time":1000000000,"value":2})");
  EXPECT_EQ(settled(peer, "v1.f1", R"({"time":1000000000,"value":2})"), R"({"time":1000000000,"value":2})");
  // And those that it has written itself.
  mark("v1.f0", "DEL");
  one->offer(values({value(10, 2 * second, 3)}));
  EXPECT_EQ(settled(peer, "v1.f0", R"({"time":2000000000,"value":3})"), R"({"time":2000000000,"value":3})");
}

TEST_F(NatsCurrentTest, neverPutsAnOlderValueOverANewer) {
  nats::CurrentCounts counts;
  std::mutex mutex;
  NatsPeer peer{url()};
  {
    auto one = worker(counts, mutex);
    auto two = worker(counts, mutex);
    one->offer(values({value(10, 5 * second, 5), value(10, 3 * second, 3), value(19, second, 1)}));
    EXPECT_EQ(settled(peer, "v1.f0", R"({"time":5000000000,"value":5})"), R"({"time":5000000000,"value":5})");
    two->offer(values({value(10, 4 * second, 4)}));
    two->offer(values({value(20, second, 1)}));
    EXPECT_EQ(settled(peer, "v2.f0", R"({"time":1000000000,"value":1})"), R"({"time":1000000000,"value":1})");
    EXPECT_EQ(settled(peer, "v1.f0", R"({"time":5000000000,"value":5})"), R"({"time":5000000000,"value":5})");
    const auto superseded = [&] {
      const std::lock_guard lock{mutex};
      return counts.superseded;
    };
    for (int i = 0; i < 500 && superseded() == 0; ++i) system_clock().wait(20 * millisecond, {});
    two->offer(values({value(10, 6 * second, 6)}));
    EXPECT_EQ(settled(peer, "v1.f0", R"({"time":6000000000,"value":6})"), R"({"time":6000000000,"value":6})");
  }
  EXPECT_EQ(counts.written, 3);
  EXPECT_EQ(counts.superseded, 1);
  EXPECT_EQ(counts.coalesced, 1);
  EXPECT_EQ(counts.refused, 1);
}

/// As in the rows that are made of the same stream: whoever wrote the first, and however long ago.
TEST_F(NatsCurrentTest, keepsTheLaterOfTwoValuesOfTheSameTime) {
  nats::CurrentCounts counts;
  std::mutex mutex;
  NatsPeer peer{url()};
  const auto last = [&](double x) { return weir::format(R"({{"time":5000000000,"value":{}}})", x); };
  for (const double x : {1, 2, 2}) {
    auto one = worker(counts, mutex);
    one->offer(values({value(10, 5 * second, x)}));
    ASSERT_TRUE(settles(*one));
    EXPECT_EQ(settled(peer, "v1.f0", last(x)), last(x));
  }
  EXPECT_EQ(counts.written, 2u);
  EXPECT_EQ(counts.superseded, 1u) << "it was there";
}

TEST_F(NatsCurrentTest, agreesOnTheNewestWhenWorkersRace) {
  nats::CurrentCounts counts;
  std::mutex mutex;
  constexpr int rounds = 60;
  {
    auto one = worker(counts, mutex, 10 * millisecond);
    auto two = worker(counts, mutex, 10 * millisecond);
    for (int i = 1; i <= rounds; ++i) {
      // The same vehicles at both, the newest of each now here, now there.
      for (std::uint64_t v = 0; v < 20; ++v) {
        one->offer(
            values({value(v * 10, (i * 2 + static_cast<int>(v % 2)) * second, i * 2 + static_cast<int>(v % 2))}));
        two->offer(values(
            {value(v * 10, (i * 2 + static_cast<int>((v + 1) % 2)) * second, i * 2 + static_cast<int>((v + 1) % 2))}));
      }
      system_clock().wait(5 * millisecond, {});
    }
    EXPECT_TRUE(settles(*one));
    EXPECT_TRUE(settles(*two));
  }
  NatsPeer peer{url()};
  nats::Bucket bucket{*peer.jetstream, bucket_};
  for (int v = 0; v < 20; ++v) {
    const auto got = bucket.get("v" + std::to_string(v) + ".f0").value();
    ASSERT_TRUE(got);
    EXPECT_NE(got->bytes.find("\"value\":" + std::to_string(rounds * 2 + 1) + "}"), std::string::npos) << got->bytes;
  }
  EXPECT_LT(counts.written, 20 * 2 * rounds);
  EXPECT_EQ(counts.written + counts.superseded + counts.coalesced, 20 * 2 * rounds) << "values got lost uncounted";
}

TEST_F(NatsCurrentTest, countsWhatTheServerDidNotTakeBeforeTheEnd) {
  fakes::Servers mortal{"nats"};
  nats::CurrentCounts counts;
  std::mutex mutex;
  {
    auto one = worker(counts, mutex, 20 * millisecond, mortal.nats());
    one->offer(values({value(10, second, 1)}));
    for (int i = 0; i < 500 && written(counts, mutex) == 0; ++i) system_clock().wait(20 * millisecond, {});
    mortal.kill("nats");
    one->offer(values({value(10, 2 * second, 2), value(20, 2 * second, 2)}));
    for (int i = 0; i < 500 && one->trouble().empty(); ++i) system_clock().wait(20 * millisecond, {});
    EXPECT_THAT(one->trouble(), testing::HasSubstr("current values wait"));
    EXPECT_FALSE(one->durable(one->offered()));
    EXPECT_TRUE(one->durable(one->offered() - 1));
  }
  EXPECT_EQ(counts.written, 1);
  EXPECT_EQ(counts.given_up, 2);
}

/// While a new reader catches up, a busy machine may show it the fleet in parts; from then on a tick is the fleet.
TEST_F(NatsCurrentTest, readsAFleetInOneTick) {
  constexpr std::size_t fleet = 25'000;
  nats::CurrentCounts counts;
  std::mutex mutex;
  auto one = worker(counts, mutex);
  std::vector<nats::Current> all;
  for (std::uint64_t v = 0; v < 5000; ++v) {
    for (std::uint64_t f = 0; f < 5; ++f) all.push_back(value(v * 10 + f, second, 1));
  }
  one->offer(std::move(all));
  ASSERT_TRUE(settles(*one));
  one.reset();
  ASSERT_EQ(written(counts, mutex), fleet);
  NatsSource source{weir_operator_sources_kv(), {{"url", url()}, {"bucket", bucket_}, {"only_changed", false}}};
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

TEST_F(NatsCurrentTest, WritesAtOnceWhenItsLaneEnds) {
  nats::CurrentCounts counts;
  std::mutex mutex;
  auto one = worker(counts, mutex, minute);
  one->offer(values({value(10, second, 1)}));
  system_clock().wait(300 * millisecond, {});
  EXPECT_FALSE(one->durable(1));
  one->hurry();
  EXPECT_TRUE(settles(*one));
}

/// Of a vehicle that no longer speaks nothing is kept but its value in the bucket.
TEST_F(NatsCurrentTest, LetsGoOfWhatIsSilent) {
  nats::CurrentCounts counts;
  std::mutex mutex;
  forget_ = 500 * millisecond;
  auto one = worker(counts, mutex);
  one->offer(values({value(10, second, 1), value(20, second, 2)}));
  ASSERT_TRUE(settles(*one));
  EXPECT_GT(one->bytes(), 2 * 100u);
  for (int i = 0; i < 500 && one->bytes() != 0; ++i) system_clock().wait(20 * millisecond, {});
  EXPECT_EQ(one->bytes(), 0u);
  one->offer(values({value(10, 3 * second, 3), value(20, second / 2, 4)}));
  ASSERT_TRUE(settles(*one));
  NatsPeer peer{url()};
  EXPECT_EQ(settled(peer, "v1.f0", R"({"time":3000000000,"value":3})"), R"({"time":3000000000,"value":3})");
  one.reset();
  EXPECT_EQ(counts.superseded, 1u) << "an older value, of which only the bucket knew";
  EXPECT_EQ(counts.written, 3u);
}

/// What it had first, others' values that stay as they are, has to be read before what this worker meets.
TEST_F(NatsCurrentTest, ComesToTheEndOfABucketThatIsFarAway) {
  constexpr std::uint64_t quiet = 18'000, active = 300;
  std::mutex mutex;
  nats::CurrentCounts counts;
  std::vector<nats::Current> old, fresh;
  {
    auto other = worker(counts, mutex);
    for (std::uint64_t i = 0; i < quiet + active; ++i) {
      const std::uint64_t id = 10 * (i / 9) + i % 9;
      old.push_back(value(id, second, 1));
      if (i >= quiet) fresh.push_back(value(id, 2 * second, 2));
    }
    other->offer({old.begin(), old.begin() + quiet});
    ASSERT_TRUE(settles(*other));
    other->offer({old.begin() + quiet, old.end()});
    ASSERT_TRUE(settles(*other));
  }
  fakes::Proxy way{fakes::port_of(url())};
  way.delay(150 * millisecond);
  auto one = worker(counts, mutex, 20 * millisecond, way.in_place_of(url()));
  one->offer(std::move(fresh));
  EXPECT_TRUE(settles(*one)) << one->trouble();
  NatsPeer peer{url()};
  const std::string key = weir::format("v{}.f{}", (quiet + active - 1) / 9, (quiet + active - 1) % 9);
  EXPECT_EQ(settled(peer, key, R"({"time":2000000000,"value":2})"), R"({"time":2000000000,"value":2})");
}

TEST_F(NatsCurrentTest, HasNoBeginningWithoutAServer) {
  context_.the_codec = codec_.get();
  const auto op = weir_operator_transforms_keyed_last_value();
  const auto last = op.make_transform(
      fakes::settings_of(op, {{"url", std::string{"nats://127.0.0.1:1"}}, {"publish", bucket_}}), context_);
  ASSERT_NE(last->write_behind(), nullptr);
  const auto opened = last->write_behind()->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::unreachable);
}

}  // namespace
}  // namespace weir
