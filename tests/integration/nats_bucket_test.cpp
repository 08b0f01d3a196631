#include <gtest/gtest.h>
#include <nats/nats.h>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "clients/nats_bucket.hpp"
#include "clients/nats_current.hpp"
#include "clients/nats_subject.hpp"
#include "fakes/codecs.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "integration/nats_suite.hpp"

namespace weir {
Operator weir_operator_sources_kv();
Operator weir_operator_stores_jetstream_kv();
Operator weir_operator_codecs_json();

namespace {

using fakes::NatsPeer;
using fakes::NatsSource;

class NatsBucketTest : public integration::NatsSuite {
 protected:
  std::unique_ptr<Store> store(std::map<std::string, Setting> more = {}) {
    more.try_emplace("url", url());
    more.try_emplace("bucket", bucket_);
    const auto op = weir_operator_stores_jetstream_kv();
    return op.make_store(fakes::settings_of(op, more), context_);
  }
  /// One worker that publishes current values; id is 10 × vehicle + field.
  std::unique_ptr<nats::CurrentValues> worker(nats::CurrentValues::Config::Counts& counts, std::mutex& mutex,
                                              Duration every = 20 * millisecond, const std::string& other = {}) {
    nats::CurrentValues::Config config;
    config.access.url = other.empty() ? url() : other;
    config.connection = "worker";
    config.bucket = bucket_;
    config.every = every;
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
    return std::make_unique<nats::CurrentValues>(std::move(config), system_clock());
  }
  static int refused(const nats::CurrentValues::Config::Counts& counts, std::mutex& mutex) {
    const std::scoped_lock lock{mutex};
    return static_cast<int>(counts.refused);
  }
  static std::uint64_t written(const nats::CurrentValues::Config::Counts& counts, std::mutex& mutex) {
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
  const std::string bucket_ = name();
  fakes::NatsContext context_;
  std::mutex warnings_mutex_;
  std::vector<std::string> warnings_;
  std::unique_ptr<Codec> codec_ =
      fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
};

TEST_F(NatsBucketTest, namesWhatWouldDeleteState) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxAge = 60 * minute;
  stream.config.MaxBytes = 1'000'000;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  const auto opened = store()->open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  for (const char* part : {"removes values after 1h", "removes the oldest values when it is full"})
    EXPECT_NE(opened.error().message.find(part), std::string::npos) << part << " in: " << opened.error().message;
  EXPECT_TRUE(nats::ensure_bucket(*peer.jetstream, {.name = bucket_})) << "current values may go";
}

TEST_F(NatsBucketTest, writesCurrentValuesLessOftenWhileTheBucketTakesNone) {
  NatsPeer peer{url()};
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  stream.config.MaxBytes = 10;
  stream.config.Discard = js_DiscardNew;
  ASSERT_EQ(stream.add(peer), NATS_OK);
  nats::CurrentValues::Config::Counts counts;
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
TEST_F(NatsBucketTest, refusesACurrentValueThatIsTooLargeAndWritesTheOthers) {
  NatsPeer peer{url()};
  constexpr std::size_t around = std::string_view{R"({"time":1000000000,"value":""})"}.size();
  const std::size_t most = peer.connection->max_payload();
  fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
  stream.config.MaxMsgsPerSubject = 1;
  nats::CurrentValues::Config::Counts counts;
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
TEST_F(NatsBucketTest, refusesACurrentValueWhoseNameIsTooLongAndWritesTheOthers) {
  NatsPeer peer{url()};
  nats::CurrentValues::Config::Counts counts;
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
TEST_F(NatsBucketTest, writesACurrentValueAgainThatWasRemovedBefore) {
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
  nats::CurrentValues::Config::Counts counts;
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

TEST_F(NatsBucketTest, keepsWhatAStoreIsGiven) {
  auto one = store();
  one->open().value();
  EXPECT_TRUE(one->durable());
  EXPECT_FALSE(one->get("fleet/0/a").value());
  const std::string large(Store::largest_value, 'x');
  one->put("fleet/0/a", large).value();
  one->put("fleet/0/a.1", "first").value();
  one->put("fleet/0/a.1", std::string{"zero\0inside", 11}).value();
  one->put("fleet/1/b", "").value();
  auto two = store();
  two->open().value();
  EXPECT_EQ(two->get("fleet/0/a").value(), large);
  EXPECT_EQ(two->get("fleet/0/a.1").value(), (std::string{"zero\0inside", 11}));
  EXPECT_EQ(two->get("fleet/1/b").value(), "");
  EXPECT_EQ(two->names("").value(), (std::vector<std::string>{"fleet/0/a", "fleet/0/a.1", "fleet/1/b"}));
  EXPECT_EQ(two->names("fleet/0").value(), (std::vector<std::string>{"fleet/0/a", "fleet/0/a.1"}));
  EXPECT_EQ(two->names("fleet/0/a.").value(), std::vector<std::string>{"fleet/0/a.1"});
  one->remove("fleet/0/a").value();
  EXPECT_FALSE(two->get("fleet/0/a").value());
  EXPECT_EQ(two->names("fleet/0").value(), std::vector<std::string>{"fleet/0/a.1"});
  EXPECT_EQ(store({{"replicas", std::int64_t{3}}})->open().error().kind, Error::Kind::changed);
  EXPECT_EQ(store({{"url", std::string{"nats://127.0.0.1:1"}}})->open().error().kind, Error::Kind::unreachable);
}

TEST_F(NatsBucketTest, makesABucketAgainThatWasDeletedUnderIt) {
  auto one = store();
  one->open().value();
  one->put("fleet/0/5/0", "chunk").value();
  NatsPeer peer{url()};
  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), nats::bucket_stream(bucket_).c_str(), nullptr, nullptr), NATS_OK);
  EXPECT_FALSE(one->get("fleet/0/5/0").value());
  // What belongs with values that are gone must not be kept as if it were whole.
  const auto refused = one->put("fleet/0/5/manifest", "of one chunk");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::unreachable);
  EXPECT_EQ(refused.error().message, "bucket " + bucket_ + " was gone, with the state in it; it is made again");
  EXPECT_EQ(context_.warnings(), std::vector{refused.error().message});
  one->put("fleet/0/7/0", "chunk").value();
  EXPECT_EQ(one->get("fleet/0/7/0").value(), "chunk");
  EXPECT_EQ(one->names("fleet").value(), std::vector<std::string>{"fleet/0/7/0"});
  EXPECT_EQ(context_.warnings().size(), 1u);
}

TEST_F(NatsBucketTest, neverPutsAnOlderValueOverANewer) {
  nats::CurrentValues::Config::Counts counts;
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

TEST_F(NatsBucketTest, agreesOnTheNewestWhenWorkersRace) {
  nats::CurrentValues::Config::Counts counts;
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

TEST_F(NatsBucketTest, countsWhatTheServerDidNotTakeBeforeTheEnd) {
  fakes::Servers mortal{"nats"};
  nats::CurrentValues::Config::Counts counts;
  std::mutex mutex;
  {
    auto one = worker(counts, mutex, 20 * millisecond, mortal.nats());
    one->offer(values({value(10, second, 1)}));
    for (int i = 0; i < 500 && written(counts, mutex) == 0; ++i) system_clock().wait(20 * millisecond, {});
    mortal.kill("nats");
    one->offer(values({value(10, 2 * second, 2), value(20, 2 * second, 2)}));
  }
  EXPECT_EQ(counts.written, 1);
  EXPECT_EQ(counts.given_up, 2);
}

TEST_F(NatsBucketTest, givesOutEmptyValuesAndTellsThatTimePasses) {
  NatsSource source{weir_operator_sources_kv(),
                    {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}}};
  source.source->open(0).value();
  NatsPeer peer{url()};
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "").value();
  const auto got = source.pull(1);
  ASSERT_EQ(got.size(), 1);
  EXPECT_EQ(got[0].payload, "");
  EXPECT_EQ(source.pull(1, 500 * millisecond).size(), 0);
  const Message& last = source.kept.back()->items.back();
  EXPECT_TRUE(last.marker);
  EXPECT_GT(last.arrival, got[0].arrival);
  EXPECT_GT(last.sequence, got[0].sequence);
  EXPECT_EQ(source.context->counted("received"), 1);
}

TEST_F(NatsBucketTest, isReadAtEveryTick) {
  NatsSource source{weir_operator_sources_kv(),
                    {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}}};
  EXPECT_EQ(source.source->open(7).value(), 7);
  NatsPeer peer{url()};
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "1").value();
  bucket.put("v1.speed", "2").value();
  bucket.put("fleet.v2.charge", "3").value();
  const auto got = source.pull(2);
  ASSERT_EQ(got.size(), 2);
  EXPECT_GT(got[0].sequence, 7);
  EXPECT_EQ(got[0].arrival % (100 * millisecond), 0);
  EXPECT_EQ(got[0].key, "v1");
  EXPECT_EQ(got[0].field, "speed");
  EXPECT_EQ(got[0].payload, "2");
  EXPECT_EQ(got[1].key, "fleet.v2");
  EXPECT_EQ(got[1].field, "charge");
  EXPECT_EQ(source.pull(1, 300 * millisecond).size(), 0) << "what stands still is not repeated";
  bucket.put("v1.speed", "4").value();
  EXPECT_EQ(source.pull(1).size(), 1);

  NatsSource all{
      weir_operator_sources_kv(),
      {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}, {"only_changed", false}}};
  all.source->open(0).value();
  const auto repeated = all.pull(4);
  ASSERT_EQ(repeated.size(), 4);
  EXPECT_LT(repeated[1].arrival, repeated[2].arrival);
}

TEST_F(NatsBucketTest, isReadAgainAfterItWasDeleted) {
  NatsSource source{weir_operator_sources_kv(),
                    {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}}};
  source.source->open(0).value();
  NatsPeer peer{url()};
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "1").value();
  const auto before = source.pull(1);
  ASSERT_EQ(before.size(), 1);
  ASSERT_EQ(js_DeleteStream(peer.jetstream->handle(), nats::bucket_stream(bucket_).c_str(), nullptr, nullptr), NATS_OK);
  EXPECT_EQ(source.pull(1, second).size(), 0);
  ASSERT_EQ(source.context->warnings().size(), 1);
  EXPECT_NE(source.context->warnings()[0].find(bucket_ + " is gone"), std::string::npos);
  bucket.put("v2.speed", "2").value();
  const auto after = source.pull(1);
  ASSERT_EQ(after.size(), 1);
  EXPECT_EQ(after[0].key, "v2");
  EXPECT_GT(after[0].sequence, before[0].sequence);
}

/// While a new reader catches up, a busy machine may show it the fleet in parts; from then on a tick is the fleet.
TEST_F(NatsBucketTest, readsAFleetInOneTick) {
  constexpr std::size_t fleet = 25'000;
  nats::CurrentValues::Config::Counts counts;
  std::mutex mutex;
  auto one = worker(counts, mutex);
  std::vector<nats::Current> all;
  for (std::uint64_t v = 0; v < 5000; ++v) {
    for (std::uint64_t f = 0; f < 5; ++f) all.push_back(value(v * 10 + f, second, 1));
  }
  one->offer(std::move(all));
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

TEST(NatsBucketRestart, isCountedByTheSource) {
  fakes::Servers servers{"nats"};
  NatsSource source{weir_operator_sources_kv(), {{"url", servers.nats()}, {"bucket", std::string{"b"}}}};
  source.source->open(0).value();
  (void)source.pull(1, 100 * millisecond);
  EXPECT_EQ(source.context->counted("reconnects") + source.context->counted("restarts"), 0);
  servers.kill("nats");
  servers.start("nats");
  const Timestamp end = system_clock().steady() + 15 * second;
  while (source.context->counted("restarts") == 0 && system_clock().steady() < end)
    (void)source.pull(1, 100 * millisecond);
  EXPECT_GE(source.context->counted("reconnects"), 1);
  EXPECT_GE(source.context->counted("restarts"), 1);
}

}  // namespace
}  // namespace weir
