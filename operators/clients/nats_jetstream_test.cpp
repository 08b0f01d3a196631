#include "clients/nats_jetstream.hpp"

#include <gtest/gtest.h>

#include <weir/secrets.hpp>

namespace weir::nats {
namespace {

TEST(NatsDelivery, isReadFromReplySubjectsOfAnyServer) {
  Delivery d;
  ASSERT_TRUE(parse_delivery("$JS.ACK.TELEMETRY.weir-x.2.77.5.1767225600000000123.9", d));
  EXPECT_EQ(d.delivered, 2);
  EXPECT_EQ(d.sequence, 77);
  EXPECT_EQ(d.consumer_sequence, 5);
  EXPECT_EQ(d.time, 1767225600000000123);
  EXPECT_EQ(d.pending, 9);
  Delivery domain;
  ASSERT_TRUE(parse_delivery("$JS.ACK.hub.ACCHASH.TELEMETRY.weir-x.2.77.5.1767225600000000123.9.random", domain));
  EXPECT_EQ(domain.sequence, 77);
  EXPECT_EQ(domain.pending, 9);
}

TEST(NatsDelivery, refusesEverythingElse) {
  Delivery d;
  for (const char* reply :
       {"", "_INBOX.a.b", "$JS.ACK.", "$JS.ACK.S.c.1.2.3.4", "$JS.ACK.S.c.1.x.3.4.5", "$JS.ACK.S.c.1.2.3.4.-1"}) {
    EXPECT_FALSE(parse_delivery(reply, d)) << reply;
  }
}

TEST(NatsAccess, hidesPasswordsAndTokens) {
  EXPECT_EQ(redacted("nats://u:p@a:1, tls://b:2"), "nats://u:***@a:1,tls://b:2");
  EXPECT_EQ(redacted("u:p@a:1"), "u:***@a:1");
  EXPECT_EQ(redacted("nats://t0k/en@a:1,t0k@b"), "nats://***@a:1,***@b");
  EXPECT_EQ(without_secrets(R"("url": "nats://t0k@a:1, u:p@b,c:4222", "mail": "x@y")"),
            R"("url": "nats://***@a:1, u:***@b,c:4222", "mail": "x@y")");
  EXPECT_EQ(redacted("nats://a:1"), "nats://a:1");
}

}  // namespace
}  // namespace weir::nats
