/// A consumer that leaves out messages which its stream has: the source asks the server before it believes a hole.
#include <gtest/gtest.h>

#include "fakes/proxy.hpp"
#include "integration/nats_source_suite.hpp"

namespace weir::nats {
namespace {

class SkippingConsumer : public integration::NatsSourceSuite {};

TEST_F(SkippingConsumer, LosesNoMessageThatTheStreamHas) {
  auto first = make();
  ASSERT_EQ(first.source->open(0).value(), 0);
  fakes::NatsPeer peer{url()};
  publish(peer, 20);
  fakes::Proxy way{fakes::port_of(url())};
  // The first consumer that is asked for behind 12 begins at 14.
  way.rewrite(R"("opt_start_seq":13)", R"("opt_start_seq":14)", 1);
  auto source = make({{"url", way.in_place_of(url())}});
  ASSERT_EQ(source.source->open(12).value(), 12);
  std::vector<Position> got;
  for (int i = 0; i < 200 && got.size() < 8; ++i) {
    const auto pulled = source.source->pull({.wait = 50 * millisecond}, {});
    ASSERT_TRUE(pulled) << pulled.error().message;
    if (pulled->state != Pulled::State::messages) continue;
    for (const Message& message : pulled->messages->items) got.push_back(message.sequence);
  }
  EXPECT_EQ(way.rewritten(), 1u);
  EXPECT_EQ(got, (std::vector<Position>{13, 14, 15, 16, 17, 18, 19, 20}));
  EXPECT_EQ(source.context->counted("deleted"), 0);
}

}  // namespace
}  // namespace weir::nats
