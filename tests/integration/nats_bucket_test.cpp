#include <gtest/gtest.h>
#include <nats/nats.h>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "clients/nats_bucket.hpp"
#include "core/checkpoint/snapshot.hpp"
#include "fakes/nats_fixture.hpp"
#include "fakes/no_new_threads.hpp"
#include "fakes/proxy.hpp"
#include "fakes/servers.hpp"
#include "integration/nats_suite.hpp"

namespace weir {
Operator weir_operator_sources_jetstream_kv();
Operator weir_operator_stores_jetstream_kv();

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

  /// A bucket as somebody else makes it, which keeps values for so long.
  void add_bucket(const NatsPeer& peer, Duration max_age) const {
    fakes::ForeignStream stream{nats::bucket_stream(bucket_), nats::bucket_subject(bucket_, ">")};
    stream.config.MaxMsgsPerSubject = 1;
    stream.config.MaxAge = max_age;
    ASSERT_EQ(stream.add(peer), NATS_OK);
  }

  const std::string bucket_ = name();
  fakes::NatsContext context_;
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

TEST_F(NatsBucketTest, isAskedForOnePartitionsSnapshotsAlone) {
  fakes::Proxy link{fakes::port_of(url())};
  auto kept = store({{"url", link.in_place_of(url())}});
  kept->open().value();
  Snapshots snapshots{*kept, "fleet"};
  const std::string first = snapshots.write(7, "a", {{.place = {.position = 5}}, "state"}).value();
  const std::string newest = snapshots.write(7, "a", {{.place = {.position = 6}}, "state"}).value();
  const auto listed = [&] {
    const std::uint64_t before = link.answered();
    EXPECT_TRUE(snapshots.any(7).value());
    return link.answered() - before;
  };
  const std::uint64_t alone = listed();
  for (Partition other = 0; other < 200; ++other) {
    if (other != 7) snapshots.write(other, "a", {{.place = {.position = 5}}, "state"}).value();
  }
  EXPECT_LT(listed(), alone + 200) << "some figures have more digits; the names of the others are 10 kB";
  const std::uint64_t before = link.answered();
  snapshots.prune(7, newest, "").value();
  EXPECT_LT(link.answered() - before, alone + 1000);
  EXPECT_FALSE(snapshots.read(first));
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

TEST_F(NatsBucketTest, givesOutEmptyValuesAndTellsThatTimePasses) {
  NatsSource source{weir_operator_sources_jetstream_kv(),
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
  NatsSource source{weir_operator_sources_jetstream_kv(),
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
      weir_operator_sources_jetstream_kv(),
      {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}, {"only_changed", false}}};
  all.source->open(0).value();
  const auto repeated = all.pull(4);
  ASSERT_EQ(repeated.size(), 4);
  EXPECT_LT(repeated[1].arrival, repeated[2].arrival);
}

/// A tick tells of all that the bucket held, however late it comes.
TEST_F(NatsBucketTest, waitsForTheBucketBeforeItsFirstTick) {
  NatsPeer peer{url()};
  add_bucket(peer, 0);
  nats::Bucket bucket{*peer.jetstream, bucket_};
  for (int i = 0; i < 20; ++i) bucket.put(weir::format("v{}.speed", i), "1").value();
  fakes::Proxy way{fakes::port_of(url())};
  way.delay(100 * millisecond);
  NatsSource source{weir_operator_sources_jetstream_kv(),
                    {{"url", way.in_place_of(url())}, {"bucket", bucket_}, {"every", std::int64_t{10 * millisecond}}}};
  source.source->open(0).value();
  for (int i = 0; i < 1000; ++i) {
    const auto pulled = source.source->pull({.wait = 20 * millisecond}, {}).value();
    if (pulled.state != Pulled::State::messages) continue;
    EXPECT_EQ(pulled.messages->items.size(), 20u);
    return;
  }
  FAIL() << "no tick";
}

/// The system's clock, set back by as much as a test wants.
struct SetBackClock final : Clock {
  Timestamp now() const override { return system_clock().now() - back; }
  Timestamp steady() const override { return system_clock().steady(); }
  bool wait(Duration length, std::stop_token stop) const override { return system_clock().wait(length, stop); }
  Duration back = 0;
};

struct SetBackContext final : fakes::CountingContext {
  SetBackContext() : CountingContext{"now"} {}
  const Clock& clock() const override { return at; }
  SetBackClock at;
};

/// The arrival of the next tick; no_time if none comes within three seconds.
Timestamp next_tick(Source& source) {
  for (const Timestamp end = system_clock().steady() + 3 * second; system_clock().steady() < end;) {
    const auto pulled = source.pull({.wait = 50 * millisecond}, {}).value();
    if (pulled.state == Pulled::State::messages) return pulled.messages->items.back().arrival;
  }
  return no_time;
}

/// Opened after a position it tells the past first, as of then; a clock that was set back must not make it all past.
TEST_F(NatsBucketTest, givesFirstOnceMoreWhatWasThereAtAPosition) {
  NatsPeer peer{url()};
  nats::ensure_bucket(*peer.jetstream, {.name = bucket_}).value();
  nats::Bucket bucket{*peer.jetstream, bucket_};
  const std::map<std::string, Setting> settings{
      {"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}};
  NatsSource before{weir_operator_sources_jetstream_kv(), settings};
  before.source->open(0).value();
  bucket.put("v1.speed", "1").value();
  const Timestamp first = before.pull(1).at(0).arrival;
  bucket.put("v1.charge", "2").value();
  const Message last = before.pull(1).at(0);
  system_clock().wait(200 * millisecond, {});
  bucket.put("v1.torque", "3").value();

  const auto op = weir_operator_sources_jetstream_kv();
  SetBackContext context;
  for (const Duration back : {Duration{0}, 60 * minute}) {
    context.at.back = back;
    const std::uint64_t missed = context.counted("missed");
    const auto source = op.make_source(fakes::settings_of(op, settings), context);
    source->open(last.sequence).value();
    Pulled pulled;
    while (pulled.state != Pulled::State::messages) pulled = source->pull({.wait = 50 * millisecond}, {}).value();
    const auto& again = pulled.messages->items;
    ASSERT_EQ(again.size(), 3u);
    EXPECT_EQ(again[0].payload, "1");
    EXPECT_LE(again[0].arrival, first) << "by the server's clock it may have been there at the tick before";
    EXPECT_GE(again[0].arrival, first - 100 * millisecond);
    EXPECT_EQ(again[1].payload, "2");
    EXPECT_LE(again[1].arrival, last.arrival);
    EXPECT_GT(again[1].arrival, again[0].arrival);
    EXPECT_TRUE(again[2].marker);
    EXPECT_EQ(again[2].arrival, last.arrival);
    EXPECT_GT(again[0].sequence, last.sequence);
    Pulled fresh;
    while (fresh.state != Pulled::State::messages) fresh = source->pull({.wait = 50 * millisecond}, {}).value();
    EXPECT_EQ(fresh.messages->items[0].payload, "3");
    EXPECT_GT(fresh.messages->items[0].arrival, last.arrival) << "it would make no row";
    EXPECT_GT(fresh.messages->items[0].sequence, again[2].sequence);
    EXPECT_EQ(context.counted("missed") > missed, back == 0) << "those that passed while nobody read";
  }
}

TEST_F(NatsBucketTest, goesOnWhenTheClockIsSetBack) {
  constexpr Duration every = 500 * millisecond;
  SetBackContext context;
  const auto op = weir_operator_sources_jetstream_kv();
  const auto source = op.make_source(
      fakes::settings_of(op, {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{every}}}), context);
  source->open(0).value();
  const Timestamp first = next_tick(*source);
  context.at.back = 300 * millisecond;  // less than a tick
  EXPECT_GT(next_tick(*source), first) << "given twice";
  EXPECT_TRUE(context.warnings().empty());
  context.at.back += 60 * minute;
  const Timestamp after = next_tick(*source);
  EXPECT_EQ(after % every, 0);
  EXPECT_LE(after, context.at.now());
  EXPECT_GT(after, context.at.now() - 10 * second);
  EXPECT_GT(next_tick(*source), after);
  ASSERT_EQ(context.warnings().size(), 1);
  EXPECT_TRUE(context.warnings()[0].starts_with("the clock went back by about 1h: ")) << context.warnings()[0];
  EXPECT_LT(context.counted("missed"), 20);
}

/// The server removes it without a word; where the bucket has marks for that, with one.
TEST_F(NatsBucketTest, leavesOutWhatBecameTooOld) {
  NatsPeer peer{url()};
  add_bucket(peer, second);
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "1").value();
  NatsSource all{
      weir_operator_sources_jetstream_kv(),
      {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}, {"only_changed", false}}};
  all.source->open(0).value();
  EXPECT_EQ(all.pull(2).size(), 2);
  system_clock().wait(1200 * millisecond, {});
  all.pull(1, 300 * millisecond);
  EXPECT_EQ(all.pull(1, 300 * millisecond).size(), 0);
  bucket.put("v1.speed", "2").value();
  const auto again = all.pull(1);
  ASSERT_EQ(again.size(), 1);
  EXPECT_EQ(again[0].payload, "2");
}

TEST_F(NatsBucketTest, givesOutOnceWhatBecameTooOldBetweenTwoTicks) {
  NatsPeer peer{url()};
  add_bucket(peer, second);
  NatsSource source{weir_operator_sources_jetstream_kv(),
                    {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{3 * second}}}};
  source.source->open(0).value();
  while (system_clock().now() % (3 * second) > second) source.pull(1, 10 * millisecond);
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "1").value();
  EXPECT_EQ(source.pull(1, 5 * second).size(), 1);
  EXPECT_EQ(source.pull(1, 4 * second).size(), 0);
}

TEST_F(NatsBucketTest, takesTheServersMarkForARemoval) {
  NatsPeer peer{url()};
  nats::ensure_bucket(*peer.jetstream, {.name = bucket_}).value();
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "1").value();
  natsMsg* mark = nullptr;
  ASSERT_EQ(natsMsg_Create(&mark, nats::bucket_subject(bucket_, "v1.speed").c_str(), nullptr, nullptr, 0), NATS_OK);
  ASSERT_EQ(natsMsgHeader_Set(mark, "Nats-Marker-Reason", "MaxAge"), NATS_OK);
  ASSERT_EQ(js_PublishMsg(nullptr, peer.jetstream->handle(), mark, nullptr, nullptr), NATS_OK);
  natsMsg_Destroy(mark);
  EXPECT_FALSE(bucket.get("v1.speed").value());
  NatsSource source{weir_operator_sources_jetstream_kv(),
                    {{"url", url()}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}}};
  source.source->open(0).value();
  EXPECT_EQ(source.pull(1, 500 * millisecond).size(), 0);
}

TEST_F(NatsBucketTest, isReadAgainAfterItWasDeleted) {
  NatsSource source{weir_operator_sources_jetstream_kv(),
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

TEST_F(NatsBucketTest, isReadAgainOverANewConnectionButGivesOutOnlyWhatIsNew) {
  if (!fakes::NoNewThreads::is_possible()) GTEST_SKIP() << "in a sanitizer's build";
  fakes::Proxy way{fakes::port_of(url())};
  NatsSource source{weir_operator_sources_jetstream_kv(),
                    {{"url", way.in_place_of(url())}, {"bucket", bucket_}, {"every", std::int64_t{100 * millisecond}}}};
  source.source->open(0).value();
  NatsPeer peer{url()};
  nats::Bucket bucket{*peer.jetstream, bucket_};
  bucket.put("v1.speed", "1").value();
  bucket.put("v2.speed", "1").value();
  ASSERT_EQ(source.pull(2).size(), 2);
  way.refuse(true);
  {
    const fakes::NoNewThreads none;  // the client library can't reconnect, and closes the connection for good
    way.cut();
    EXPECT_EQ(source.pull(1, second).size(), 0);
  }
  bucket.put("v2.speed", "2").value();
  way.refuse(false);
  const auto after = source.pull(1);
  ASSERT_EQ(after.size(), 1);
  EXPECT_EQ(after[0].key, "v2");
  EXPECT_EQ(after[0].payload, "2");
  EXPECT_EQ(source.pull(1, 500 * millisecond).size(), 0);
}

TEST(NatsBucketRestart, isCountedByTheSource) {
  fakes::Servers servers{"nats"};
  NatsSource source{weir_operator_sources_jetstream_kv(), {{"url", servers.nats()}, {"bucket", std::string{"b"}}}};
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
