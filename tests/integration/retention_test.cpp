/// What drops old chunks, against a real server.
#include "sinks/timescale/retention.hpp"

#include <gmock/gmock.h>

#include <optional>

#include "fakes/postgres_server.hpp"
#include "fakes/sink_fixture.hpp"

namespace weir::postgres {
namespace {

/// A worker is given half a minute to end, and a chunk may take longer.
TEST(Retention, EndsAtOnceWhileAChunkIsBeingDropped) {
  const fakes::PostgresServer server{false};
  fakes::SinkContext context;
  std::optional<Retention> retention{
      std::in_place, server.url(), "dropping", "t", std::vector<std::string>{"SELECT 'SELECT pg_sleep(50)'"}, context};
  const std::string at_work =
      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dropping' AND query ~ 'pg_sleep' AND state = "
      "'active'";
  const auto becomes = [&](const std::string& number) {
    for (int i = 0; i < 250 && server.ask(at_work) != number; ++i) system_clock().wait(20 * millisecond, {});
    return server.ask(at_work) == number;
  };
  ASSERT_TRUE(becomes("1"));
  const Timestamp begun = system_clock().steady();
  retention.reset();
  EXPECT_LT(system_clock().steady() - begun, 5 * second);
  EXPECT_TRUE(becomes("0")) << "the server goes on with it";
  EXPECT_THAT(context.warnings(), testing::IsEmpty());
}

}  // namespace
}  // namespace weir::postgres
