/// sink/timescale against real servers: what it makes, writes and checks.
#include <gmock/gmock.h>

#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;
using fakes::encode;
using fakes::lane;
using fakes::TimescaleSink;
using testing::HasSubstr;
using testing::IsEmpty;

INSTANTIATE_TEST_SUITE_P(Rows, TimescaleSink, testing::Values(true, false),
                         [](const auto& server) { return server.param ? "timescale" : "plain"; });

TEST_P(TimescaleSink, makes_the_table_and_commits_rows_with_their_progress) {
  auto one = worker();
  const auto start = one->sink->claim(3);
  ASSERT_TRUE(start.has_value()) << start.error().message;
  EXPECT_EQ(start->position, 0u);
  const auto done = commit(*one, rows(100), 3, 42);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_THAT(done->refused, IsEmpty());
  EXPECT_EQ(count(), "100");
  EXPECT_EQ(ask("SELECT vehicle, time, speed, charge FROM " + table() + " ORDER BY time OFFSET 9 LIMIT 1"),
            "v2 2026-01-01 00:00:09+00 9 9.125");
  EXPECT_EQ(
      ask("SELECT pipeline, node, partition, position, arrival, snapshot, fingerprint, stream, stream_created FROM " +
          schema_ + ".weir_progress"),
      "fleet db 3 42 43 s f S 5");
  const auto again = one->sink->claim(3);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->position, 42u);
  EXPECT_EQ(again->arrival, 43);
  EXPECT_EQ(again->stream, (StreamIdentity{"S", 5}));
  EXPECT_EQ(one->context.counted("rows_written"), 100u);
  EXPECT_EQ(ask("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%UNIQUE%' AND tablename = 'vehicle_second' AND "
                "schemaname = '" +
                schema_ + "'"),
            "0");
  if (GetParam()) {
    EXPECT_EQ(
        ask("SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = '" + schema_ + "'"),
        "1");
  }
}

}  // namespace
