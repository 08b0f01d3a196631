/// A server that comes back without the end of what it had acknowledged, under a reader that has read it, and under one
/// that goes on behind it.
#include <gtest/gtest.h>

#include <filesystem>

#include <weir/operator.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/no_new_threads.hpp"
#include "fakes/proxy.hpp"
#include "fakes/servers.hpp"
#include "fakes/temporary_directory.hpp"

namespace weir {
Operator weir_operator_sources_nats();

namespace {

using fakes::NatsPeer;
using fakes::NatsSource;

class NatsLostTail : public testing::Test {
 protected:
  static constexpr std::size_t kept = 100, lost = 20;

  /// The source reads all, then the server loses the last ones.
  void SetUp() override {
    ASSERT_EQ(source_.source->open(0).value(), 0u);
    publish(kept);
    servers_.stop("nats");
    copy(servers_.nats_data(), backup_.file("data"));
    servers_.start("nats");
    publish(lost);
    ASSERT_EQ(source_.pull(kept + lost).size(), kept + lost);
    ASSERT_EQ(resumed_.source->open(kept + lost).value(), kept + lost);
    ASSERT_EQ(closed_.source->open(0).value(), 0u);
    ASSERT_EQ(closed_.pull(kept + lost).size(), kept + lost);
    way_.refuse(true);
    {
      const fakes::NoNewThreads none;  // the client library can't reconnect, and closes the connection for good
      way_.cut();
      EXPECT_EQ(closed_.pull(1, second).size(), 0u);
    }
    servers_.kill("nats");
    copy(backup_.file("data"), servers_.nats_data());
    servers_.start("nats");
  }
  void publish(std::size_t count) {
    NatsPeer peer{servers_.nats()};
    const auto before = peer.jetstream->state("TELEMETRY").value().last;
    peer.publish_many(count);
    peer.wait_for("TELEMETRY", before + count);
  }
  static void copy(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  }
  /// Nothing that is stored now may be given out.
  static void expect_stop(NatsSource& source, const std::string& why) {
    EXPECT_EQ(source.pull(1).size(), 0u);
    EXPECT_EQ(source.last_error.kind, Error::Kind::changed);
    EXPECT_NE(source.last_error.message.find(why), std::string::npos) << source.last_error.message;
  }

  fakes::Servers servers_{"nats"};
  fakes::TemporaryDirectory backup_;
  NatsSource source_{weir_operator_sources_nats(), {{"url", servers_.nats()}, {"stream", std::string{"TELEMETRY"}}}};
  fakes::Proxy way_{fakes::port_of(servers_.nats())};
  NatsSource closed_{weir_operator_sources_nats(),
                     {{"url", way_.in_place_of(servers_.nats())}, {"stream", std::string{"TELEMETRY"}}}};
  NatsSource resumed_{weir_operator_sources_nats(), {{"url", servers_.nats()}, {"stream", std::string{"TELEMETRY"}}}};
};

TEST_F(NatsLostTail, IsNoticedByARunningReader) {
  expect_stop(source_, "stream TELEMETRY ends at 100 but 120 was already read: the server lost messages");
}

TEST_F(NatsLostTail, IsNoticedWhenAsManyOthersHaveComeSince) {
  publish(lost);
  expect_stop(source_, "message 120 of stream TELEMETRY is not the one that was read");
}

TEST_F(NatsLostTail, IsNoticedWhenMoreOthersHaveComeSince) {
  publish(2 * lost);
  expect_stop(source_, "message 120 of stream TELEMETRY is not the one that was read");
}

TEST_F(NatsLostTail, IsNoticedByAReaderThatHasReadNothingYet) {
  publish(2 * lost);
  expect_stop(resumed_, "message 120 of stream TELEMETRY is not the one that was read");
}

TEST_F(NatsLostTail, IsNoticedByAReaderWhoseConnectionWasClosedForGood) {
  if (!fakes::NoNewThreads::is_possible()) GTEST_SKIP() << "in a sanitizer's build";
  publish(2 * lost);
  way_.refuse(false);
  expect_stop(closed_, "message 120 of stream TELEMETRY is not the one that was read");
}

}  // namespace
}  // namespace weir
