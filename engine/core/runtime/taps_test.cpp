#include "core/runtime/taps.hpp"

#include <gmock/gmock.h>

#include <thread>

#include "fakes/registry.hpp"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TapsTest : public testing::Test {
 protected:
  static Pipeline tapped(std::string_view rows_id = "rows") {
    const std::string joined{rows_id};
    auto checked = check_pipeline(R"({ "name": "p", "limits": { "keys": 10 }, "nodes": [
      { "id": "signals", "source": "nats", "stream": "S" },
      { "id": ")" + joined + R"(", "transform": "window-join", "from": "signals", "every": "1s" },
      { "id": "out", "sink": "drop", "from": ")" +
                                      joined + R"(", "columns": { "speed": {} } } ] })",
                                  "p.json", fakes::registry(), {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    return *std::move(checked.pipeline);
  }
  static BatchPtr batch(std::size_t count, std::size_t bytes = 0) {
    auto out = std::make_shared<Batch>();
    out->schema = samples::schema();
    out->rows = count;
    out->columns.resize(out->schema->columns.size());
    if (bytes > 0) out->columns[samples::x] = Column::float64(std::vector<double>(bytes / sizeof(double)));
    return out;
  }
  void offer(PortRef from, std::size_t count, std::size_t bytes = 0) {
    taps_.offer(pipeline_, from, batch(count, bytes));
  }

  static constexpr PortRef signals{0, 0}, rows{1, 0}, sink{2, 0};
  const PortRef late_{1, port_of("late")};
  const Pipeline pipeline_ = tapped();
  Taps taps_;

 private:
  static Port port_of(std::string_view name) {
    const Pipeline p = tapped();
    for (Port port = 0; port < p.nodes[1].outputs.size(); ++port) {
      if (port_name(p.nodes[1], port) == name) return port;
    }
    return 0;
  }
};

TEST_F(TapsTest, SeeTheirPlaceAlone) {
  taps_.runs(pipeline_);
  const auto of_rows = taps_.open("rows"), of_late = taps_.open("rows.late"), of_sink = taps_.open("out");
  ASSERT_TRUE(of_rows && of_late && of_sink);
  EXPECT_EQ((*of_rows)->schema()->shape, Shape::brackets);
  EXPECT_EQ((*of_sink)->schema()->shape, Shape::rows);
  offer(signals, 1);
  offer(rows, 2);
  offer(late_, 3);
  offer(sink, 4);
  offer(rows, 5);
  offer(rows, 0);
  const auto rows_of = [](const std::unique_ptr<Tap>& tap) {
    std::vector<std::size_t> out;
    for (const BatchPtr& one : tap->take(0).batches) out.push_back(one->rows);
    return out;
  };
  EXPECT_THAT(rows_of(*of_rows), ElementsAre(2, 5));
  EXPECT_THAT(rows_of(*of_late), ElementsAre(3));
  EXPECT_THAT(rows_of(*of_sink), ElementsAre(4));
  EXPECT_THAT(rows_of(*of_rows), IsEmpty());
}

TEST_F(TapsTest, SayWhichPlaceWasMeant) {
  taps_.runs(pipeline_);
  const auto tap = taps_.open("rows.lat");
  ASSERT_FALSE(tap);
  EXPECT_EQ(tap.error().kind, Error::Kind::invalid);
  EXPECT_THAT(tap.error().message, HasSubstr(R"(there is no node or port "rows.lat"; did you mean "rows.late"?)"));
  EXPECT_FALSE(taps_.open("out.late"));
}

TEST_F(TapsTest, AreFewAtATime) {
  taps_.runs(pipeline_);
  std::vector<std::unique_ptr<Tap>> open;
  for (std::size_t i = 0; i < Taps::most; ++i) open.push_back(*taps_.open("rows"));
  const auto beyond = taps_.open("rows");
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().kind, Error::Kind::exhausted);
  open.pop_back();
  EXPECT_TRUE(taps_.open("rows"));
}

TEST_F(TapsTest, HoldSoMuchAndCountTheRest) {
  taps_.runs(pipeline_);
  const auto tap = taps_.open("rows");
  for (std::size_t i = 0; i < Tap::most_batches + 10; ++i) offer(rows, 3);
  auto seen = (*tap)->take(0);
  EXPECT_EQ(seen.batches.size(), Tap::most_batches);
  EXPECT_EQ(seen.missed, 30u);
  for (int i = 0; i < 5; ++i) offer(rows, 7, Tap::most_bytes / 2 - 4096);
  seen = (*tap)->take(0);
  EXPECT_EQ(seen.batches.size(), 2u) << "there is room again, for so many bytes";
  EXPECT_EQ(seen.missed, 21u);
  offer(rows, 1, 2 * Tap::most_bytes);
  EXPECT_EQ((*tap)->take(0).batches.size(), 1u) << "one alone is never too large";
}

TEST_F(TapsTest, GoOnThroughAReloadWhereTheirPlaceIsStillThere) {
  taps_.runs(pipeline_);
  const auto of_source = taps_.open("signals"), of_rows = taps_.open("rows");
  taps_.runs(tapped("joined"));
  auto seen = (*of_rows)->take(0);
  EXPECT_TRUE(seen.over);
  EXPECT_THAT(seen.news, ElementsAre(R"(reloaded: there is no "rows" any more)"));
  seen = (*of_source)->take(0);
  EXPECT_FALSE(seen.over);
  EXPECT_THAT(seen.news, ElementsAre(HasSubstr("reloaded")));
  offer(signals, 1);
  EXPECT_EQ((*of_source)->take(0).batches.size(), 1u);
  EXPECT_FALSE(taps_.open("rows"));
  EXPECT_TRUE(taps_.open("joined"));
}

TEST_F(TapsTest, EndWithThePipelineAndAreWaitedFor) {
  taps_.runs(pipeline_);
  auto tap = taps_.open("rows");
  offer(rows, 1);
  std::thread ending{[&] { taps_.end("the pipeline has ended"); }};
  auto seen = (*tap)->take(0);
  std::size_t batches = seen.batches.size();
  while (!seen.over) {
    seen = (*tap)->take(10 * second);
    batches += seen.batches.size();
  }
  EXPECT_EQ(batches, 1u) << "what came before";
  EXPECT_THAT(seen.news, ElementsAre("the pipeline has ended"));
  (*tap).reset();
  ending.join();
  EXPECT_EQ(taps_.open("rows").error().kind, Error::Kind::unreachable);
}

}  // namespace
}  // namespace weir
