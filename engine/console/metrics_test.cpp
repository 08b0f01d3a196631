#include "console/metrics.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

/// weir_watermark_delay_seconds of a lane that has committed up to position 7, at arrival 10 s; the time is 25 s.
std::string behind(Position pulled, std::uint64_t waiting, std::string condition = {}) {
  Pipeline pipeline;
  pipeline.name = "p";
  Worker::Status status;
  status.lanes.emplace_back();
  status.lanes[0].pulled = pulled;
  status.lanes[0].waiting = waiting;
  status.lanes[0].condition = std::move(condition);
  status.committed.push_back({0, 7, 10 * second});
  const std::string text = render_metrics(pipeline, Counters{}, Counters{}, status, 25 * second, std::nullopt);
  const std::string line = "\nweir_watermark_delay_seconds{pipeline=\"p\",partition=\"0\"} ";
  const std::size_t at = text.find(line);
  return at == std::string::npos ? text : text.substr(at + line.size(), text.find('\n', at + 1) - at - line.size());
}

TEST(Metrics, RowsAreBehindWhileTheStreamHasMore) {
  EXPECT_EQ(behind(7, 3), "15");
  EXPECT_EQ(behind(9, 0), "15");
}

TEST(Metrics, AFleetThatIsParkedIsNotBehind) { EXPECT_EQ(behind(7, 0), "0"); }

TEST(Metrics, AStreamThatIsNotReachedMayHaveMore) { EXPECT_EQ(behind(7, 0, "no answer"), "15"); }

TEST(Metrics, TheLagIsThereWhileItIsKnown) {
  Pipeline pipeline;
  pipeline.name = "p";
  const auto text = [&](const std::optional<Lag>& lag) {
    return render_metrics(pipeline, Counters{}, Counters{}, {}, 0, lag);
  };
  const std::string known = text(Lag{.partitions = {}, .messages = 12, .age = 2500 * millisecond});
  EXPECT_NE(known.find("\nweir_lag_messages{pipeline=\"p\"} 12\n"), std::string::npos) << known;
  EXPECT_NE(known.find("\nweir_lag_seconds{pipeline=\"p\"} 2.5\n"), std::string::npos) << known;
  EXPECT_EQ(text(std::nullopt).find("weir_lag"), std::string::npos);
  EXPECT_EQ(text(Lag{.partitions = {}, .messages = 12, .age = 0, .unanswered = {"db: no answer"}}).find("weir_lag"),
            std::string::npos);
}

}  // namespace
}  // namespace weir
