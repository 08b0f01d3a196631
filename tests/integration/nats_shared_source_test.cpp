/// source/nats whose messages workers share: a durable of a stream, or a queue group of subjects.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include <weir/format.hpp>
#include <weir/operator.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "integration/nats_source_suite.hpp"

namespace weir {
namespace {

using fakes::NatsPeer;
using fakes::NatsSource;

class NatsSharedSource : public integration::NatsSourceSuite {};

TEST_F(NatsSharedSource, sharesADurableAndGivesUnacknowledgedMessagesToAnother) {
  const std::map<std::string, Setting> shared = {{"mode", std::string{"shared"}}, {"durable", std::string{"ingest"}}};
  NatsPeer peer{url()};
  auto first = std::make_unique<NatsSource>(make(shared));
  first->source->open(0).value();
  publish(peer, 5'000);
  const auto got = first->pull(5'000);
  ASSERT_EQ(got.size(), 5'000);
  EXPECT_EQ(got.back().sequence, 5'000);
  EXPECT_EQ(first->context->counted("redelivered"), 0);
  first->source->committed(3'000);
  first.reset();  // gives the rest back
  auto second_worker = make(shared);
  second_worker.source->open(3'000).value();
  const auto rest = second_worker.pull(2'000);
  ASSERT_EQ(rest.size(), 2'000);
  EXPECT_EQ(rest.front().sequence, 3'001);
  std::set<std::string_view> payloads;
  for (const auto& message : rest) payloads.insert(message.payload);
  EXPECT_EQ(payloads.size(), 2'000);
  EXPECT_TRUE(payloads.contains("3000"));
  EXPECT_EQ(second_worker.context->counted("redelivered"), 2'000);
  second_worker.source->committed(5'000);
  EXPECT_EQ(second_worker.pull(1, second).size(), 0);
}

TEST_F(NatsSharedSource, keepsSharedMessagesInProgressLongerThanTheAckWait) {
  auto source =
      make({{"mode", std::string{"shared"}}, {"durable", std::string{"slow"}}, {"ack_wait", std::int64_t{second}}});
  source.source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 10);
  ASSERT_EQ(source.pull(10).size(), 10);
  EXPECT_EQ(source.pull(1, 3 * second).size(), 0) << "redelivered although in progress";
}

TEST_F(NatsSharedSource, leavesWhatWaitedTooLongInTheClientToOthers) {
  const std::map<std::string, Setting> shared = {
      {"mode", std::string{"shared"}}, {"durable", std::string{"d"}}, {"ack_wait", std::int64_t{2 * second}}};
  NatsPeer peer{url()};
  auto one = make(shared);
  one.source->open(0).value();
  publish(peer, 500);
  peer.wait_for(stream_, 500);
  std::multiset<std::string> payloads;
  const auto some = one.source->pull({.messages = 10, .wait = second}, {}).value();
  ASSERT_EQ(some.state, Pulled::State::messages);
  for (const auto& message : some.messages->items) payloads.emplace(message.payload);
  ASSERT_LT(payloads.size(), 100);
  system_clock().wait(3 * second, {});  // as when a sink does not answer
  auto two = make(shared);
  two.source->open(0).value();
  const auto pull_for = [&](Duration time, std::size_t enough) {
    const Timestamp end = system_clock().steady() + time;
    while (system_clock().steady() < end && payloads.size() < enough) {
      for (const auto& message : two.pull(500, 200 * millisecond)) payloads.emplace(message.payload);
      for (const auto& message : one.pull(500, 200 * millisecond)) payloads.emplace(message.payload);
    }
  };
  pull_for(30 * second, 500);
  pull_for(3 * second, 501);  // what came twice may come late
  EXPECT_EQ(payloads.size(), 500) << "given out twice";
  EXPECT_EQ((std::set<std::string>{payloads.begin(), payloads.end()}).size(), 500);
}

TEST_F(NatsSharedSource, tellsWhenItsDurableWasDeleted) {
  auto source = make({{"mode", std::string{"shared"}}, {"durable", std::string{"d"}}});
  source.source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 10);
  ASSERT_EQ(source.pull(10).size(), 10);
  source.source->committed(10);
  EXPECT_TRUE(source.context->warnings().empty());
  peer.connection->request("$JS.API.CONSUMER.DELETE." + stream_ + ".d", {}, second).value();
  EXPECT_EQ(source.pull(10).size(), 10) << "all of them again";
  EXPECT_EQ(source.context->counted("restarts"), 1);
  const auto warnings = source.context->warnings();
  ASSERT_EQ(warnings.size(), 1);
  EXPECT_NE(warnings[0].find("durable d of stream " + stream_ + " was gone"), std::string::npos) << warnings[0];
}

TEST(NatsDurable, thatTheServerCanNotMakeIsTriedAgain) {
  fakes::Servers servers{"nats"};
  const auto source = [&](const std::string& durable) {
    return NatsSource{
        weir_operator_sources_nats(),
        {{"url", servers.nats()}, {"stream", std::string{"S"}}, {"mode", std::string{"shared"}}, {"durable", durable}}};
  };
  source("one").source->open(0).value();
  std::filesystem::path kept;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{servers.nats_data()})
    if (entry.path().filename() == "obs") kept = entry.path();
  ASSERT_FALSE(kept.empty());
  std::filesystem::remove_all(kept);
  std::ofstream{kept} << "in the way";
  const auto refused = source("two").source->open(0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::unreachable) << refused.error().message;
  std::filesystem::remove(kept);
  EXPECT_TRUE(source("two").source->open(0));
}

TEST_F(NatsSharedSource, namesWhatDiffersInADurableThatIsThere) {
  std::map<std::string, Setting> shared = {{"mode", std::string{"shared"}}, {"durable", std::string{"d"}}};
  make(shared).source->open(0).value();
  EXPECT_TRUE(make(shared).source->open(0)) << "nothing differs";
  shared["ack_wait"] = std::int64_t{5 * second};
  shared["max_ack_pending"] = std::int64_t{7};
  const auto opened = make(shared).source->open(0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  for (const char* part : {"its ack_wait is 30s, the pipeline says 5s",
                           "its max_ack_pending is 20000, the pipeline says 7", " d --wait=5s --max-pending=7)"}) {
    EXPECT_NE(opened.error().message.find(part), std::string::npos) << part << " in: " << opened.error().message;
  }
}

TEST_F(NatsSharedSource, namesTheLimitsOfADurableThatItsRequestsExceed) {
  const std::map<std::string, Setting> shared = {{"mode", std::string{"shared"}}, {"durable", std::string{"d"}}};
  auto source = make(shared);
  source.source->open(0).value();
  NatsPeer peer{url()};
  const auto limit = [&](const std::string& limits) {
    const auto answer = peer.connection->request(
        "$JS.API.CONSUMER.DURABLE.CREATE." + stream_ + ".d",
        weir::format(
            R"({{"stream_name":"{0}","config":{{"durable_name":"d","deliver_policy":"all","ack_policy":"explicit",
          "ack_wait":30000000000,"max_ack_pending":20000,"filter_subject":"{0}.*.*",{1}}}}})",
            stream_, limits),
        second);
    EXPECT_EQ(nats::JetStream::refusal_in(answer.value()), "");
  };
  limit(R"("max_batch":100,"max_bytes":1000000,"max_expires":1000000000)");
  const auto opened = make(shared).source->open(0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  for (const char* part : {"its max_batch is 100, a request asks for 1024", "its max_bytes is 1000000, a request asks",
                           "its max_expires is 1s, a request asks for 30s",
                           " d --max-pull-batch=1024 --max-pull-bytes=", " --max-pull-expire=30s)"}) {
    EXPECT_NE(opened.error().message.find(part), std::string::npos) << part << " in: " << opened.error().message;
  }
  limit(R"("max_batch":1024,"max_bytes":100000000,"max_expires":60000000000)");
  EXPECT_TRUE(make(shared).source->open(0)) << "it allows what is asked for";
}

TEST_F(NatsSharedSource, goesOnWhereItsDurableIsWhateverStartSays) {
  std::map<std::string, Setting> shared = {{"mode", std::string{"shared"}}, {"durable", std::string{"d"}}};
  make(shared).source->open(0).value();
  NatsPeer peer{url()};
  publish(peer, 10);
  shared["start"] = std::string{"new"};
  auto again = make(shared);
  ASSERT_TRUE(again.source->open(0));
  EXPECT_EQ(again.pull(10, 3 * second).size(), 10u);
}

TEST_F(NatsSharedSource, countsEveryCoreMessage) {
  std::map<std::string, Setting> core = {
      {"url", url()}, {"subject", stream_ + ".{key}.{field}"}, {"queue", std::string{"q"}}};
  NatsSource one{weir_operator_sources_nats(), core};
  NatsSource two{weir_operator_sources_nats(), core};
  one.source->open(0).value();
  two.source->open(0).value();
  NatsPeer peer{url()};
  system_clock().wait(100 * millisecond, {});
  publish(peer, 10'000);
  const auto a = one.pull(10'000, 2 * second);
  const auto b = two.pull(10'000, 2 * second);
  EXPECT_EQ(a.size() + b.size(), 10'000);
  EXPECT_GT(a.size(), 1'000);
  EXPECT_GT(b.size(), 1'000);
  EXPECT_EQ(one.context->counted("received") + two.context->counted("received"), 10'000);
  EXPECT_EQ(a.back().sequence, a.size());
}

/// A server whose one user may not do something: it answers so by itself, and later.
class NatsDenied : public testing::Test {
 protected:
  void deny(const std::string& permissions) {
    servers_ = std::make_unique<fakes::Servers>(
        "nats", "authorization { users: [ { user: u, password: p, permissions: { " + permissions + " } } ] }\n");
  }
  NatsSource make(std::map<std::string, Setting> settings) const {
    settings.insert({{"url", servers_->nats()}, {"user", std::string{"u"}}, {"password", std::string{"p"}}});
    return NatsSource{weir_operator_sources_nats(), settings};
  }
  /// The first error of pull() within `patience`.
  static std::string trouble_of(NatsSource& source, Duration patience) {
    const Timestamp end = system_clock().steady() + patience;
    while (system_clock().steady() < end) {
      if (const auto pulled = source.source->pull({.wait = 50 * millisecond}, {}); !pulled) {
        EXPECT_EQ(pulled.error().kind, Error::Kind::unreachable);
        return pulled.error().message;
      }
    }
    return "none";
  }
  static void expect_warned(const NatsSource& source) {
    const auto warnings = source.context->warnings();
    ASSERT_EQ(warnings.size(), 1) << "once";
    EXPECT_NE(warnings[0].find("Permissions Violation"), std::string::npos) << warnings[0];
  }

  std::unique_ptr<fakes::Servers> servers_;
};

TEST_F(NatsDenied, subscriptionsAreTrouble) {
  deny("subscribe: { deny: \"secret.>\" }");
  auto source = make({{"subject", std::string{"secret.{key}.{field}"}}});
  const auto opened = source.source->open(0);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Error::Kind::unreachable);
  EXPECT_NE(opened.error().message.find("Permissions Violation"), std::string::npos) << opened.error().message;
  EXPECT_NE(trouble_of(source, second).find("Permissions Violation"), std::string::npos) << "and it stays so";
  EXPECT_TRUE(make({{"subject", std::string{"open.{key}.{field}"}}}).source->open(0));
}

TEST_F(NatsDenied, pullRequestsAreTrouble) {
  deny("publish: { deny: \"$JS.API.CONSUMER.MSG.NEXT.>\" }");
  auto ordered = make({{"stream", std::string{"S"}}});
  auto shared = make({{"stream", std::string{"S"}}, {"mode", std::string{"shared"}}, {"durable", std::string{"d"}}});
  for (auto* source : {&ordered, &shared}) {
    source->source->open(0).value();
    const auto condition = trouble_of(*source, 30 * second);
    for (const char* part : {"no sign of life", "Permissions Violation", "$JS.API.CONSUMER.MSG.NEXT.S.>"})
      EXPECT_NE(condition.find(part), std::string::npos) << part << " in: " << condition;
    EXPECT_EQ(trouble_of(*source, second), condition) << "and it stays so";
    expect_warned(*source);
  }
}

/// The server's limit is each consumer's, be it one that weir makes.
TEST(NatsLimits, thatEveryRequestExceedsAreTrouble) {
  const fakes::TemporaryDirectory directory;
  fakes::Servers servers{
      "nats", "jetstream { store_dir: \"" + directory.file("jetstream") + "\", limits { max_request_batch: 100 } }\n"};
  NatsSource source{weir_operator_sources_nats(), {{"url", servers.nats()}, {"stream", std::string{"S"}}}};
  source.source->open(0).value();
  NatsPeer{servers.nats()}.publish_many(10);
  EXPECT_EQ(source.pull(1, 5 * second).size(), 0);
  EXPECT_EQ(source.last_error.kind, Error::Kind::unreachable);
  EXPECT_EQ(source.last_error.message,
            "nothing comes from stream S: 409 Exceeded MaxRequestBatch of 100; raise that limit of the consumer, or of "
            "the server (jetstream { limits })");
}

TEST_F(NatsDenied, acknowledgementsAreTrouble) {
  deny("publish: { deny: \"$JS.ACK.>\" }");
  auto source = make({{"stream", std::string{"S"}}, {"mode", std::string{"shared"}}, {"durable", std::string{"d"}}});
  source.source->open(0).value();
  const std::string url = servers_->nats();
  NatsPeer peer{"nats://u:p@" + url.substr(url.find("//") + 2)};
  peer.publish_many(10);
  ASSERT_EQ(source.pull(10).size(), 10);
  EXPECT_EQ(trouble_of(source, 200 * millisecond), "none");
  source.source->committed(10);
  const auto condition = trouble_of(source, 5 * second);
  for (const char* part : {"acknowledgements", "Permissions Violation", "$JS.ACK.S.d"})
    EXPECT_NE(condition.find(part), std::string::npos) << part << " in: " << condition;
  EXPECT_EQ(trouble_of(source, second), condition) << "and it stays so";
}

}  // namespace
}  // namespace weir
