/// Rows of a pipeline over HTTP, from the lane to the client.
#include "console/tap_stream.hpp"

#include <gmock/gmock.h>
#include <httplib.h>

#include <atomic>
#include <future>
#include <thread>

#include <weir/partition.hpp>

#include "console/client.hpp"
#include "console/server.hpp"
#include "fakes/registry.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class TapStreamTest : public testing::Test {
 protected:
  TapStreamTest() { taps_.runs(pipeline_); }

  static Pipeline reading_stream() {
    auto checked = check_pipeline(R"({ "name": "p", "limits": { "keys": 10 }, "nodes": [
      { "id": "signals", "source": "nats", "stream": "S" }, { "id": "out", "sink": "drop", "from": "signals" } ] })",
                                  "p.json", fakes::registry(), {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    return *std::move(checked.pipeline);
  }
  void offer(std::size_t rows) {
    auto batch = std::make_shared<Batch>();
    batch->schema = samples::schema();
    batch->rows = rows;
    batch->columns.resize(batch->schema->columns.size());
    taps_.offer(pipeline_, {pipeline_.source(), 0}, batch);
  }
  ConsoleViews views() {
    return {.ready = [] { return Readiness{true, "ready"}; },
            .metrics = [] { return std::string{}; },
            .lag = [] { return Result<std::string>{"{}"}; },
            .progress = {},
            .pipeline = [] { return std::string{"{}"}; },
            .tap = [this](const std::string& place) { return taps_.open(place); },
            .elsewhere = [](const TapSelection&) { return std::string{}; },
            .tap_from = TapFrom::loopback,
            .pipeline_name = [] { return std::string{"p"}; },
            .version = "0"};
  }
  void serve() {
    auto served = Console::serve("127.0.0.1:0", views());
    ASSERT_TRUE(served) << served.error().message;
    console_ = *std::move(served);
  }
  std::string address() const { return "localhost:" + std::to_string(console_->port()); }
  std::pair<int, std::string> get(const std::string& path, const httplib::Headers& headers = {}) const {
    httplib::Client client{"localhost", console_->port()};
    const auto answer = client.Get(path, headers);
    return answer ? std::pair{answer->status, answer->body} : std::pair{0, httplib::to_string(answer.error())};
  }

  const Pipeline pipeline_ = reading_stream();
  Taps taps_;
  std::unique_ptr<Console> console_;
};

TEST_F(TapStreamTest, GivesSignsOfLife) {
  const fakes::WaitingClock clock;
  TapStream stream{*taps_.open("signals"), {}, clock};
  offer(1);
  EXPECT_THAT(stream.next(), StartsWith("{\"key\":null"));
  EXPECT_EQ(stream.next(), "");
  (void)clock.wait(TapStream::longest_silence, {});
  EXPECT_EQ(stream.next(), "\n");
  EXPECT_EQ(stream.next(), "") << "one is enough";
  EXPECT_FALSE(stream.over());
}

TEST_F(TapStreamTest, ReachesTheClientUntilThePipelineEnds) {
  serve();
  std::atomic<bool> came{false};
  std::string text;
  auto followed = std::async(std::launch::async, [&] {
    return ConsoleClient::at(address())->follow("/pipelines/p/tap/signals", {}, [&](std::string_view part) {
      text += part;
      came = true;
      return true;
    });
  });
  while (!came && followed.wait_for(std::chrono::milliseconds{5}) != std::future_status::ready) offer(1);
  taps_.end("the pipeline has ended");
  const auto page = followed.get();
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->status, 200) << page->body;
  EXPECT_THAT(text, StartsWith("{\"key\":null"));
  EXPECT_TRUE(text.ends_with("\n\"the pipeline has ended\"\n")) << text;
}

TEST_F(TapStreamTest, SaysWhyThereIsNothingToSee) {
  serve();
  const std::string path = "/pipelines/p/tap/signals";
  EXPECT_EQ(get("/pipelines/q/tap/signals"), (std::pair{404, std::string{"no such pipeline; this worker runs p\n"}}));
  EXPECT_THAT(get("/pipelines/p/tap/signal").second, HasSubstr("did you mean \"signals\"?"));
  EXPECT_EQ(get("/pipelines/p/tap/signal").first, 404);
  EXPECT_EQ(get(path + "?share=2").first, 400);
  EXPECT_EQ(get(path, {{"Host", "fleet.example"}}).first, 403);
  EXPECT_EQ(get(path, {{"X-Forwarded-For", "10.0.0.7"}}).first, 403);
  EXPECT_EQ(get("/pipelines/p", {{"Host", "fleet.example"}}).first, 200);
  std::vector<std::unique_ptr<Tap>> others;
  for (std::size_t i = 0; i < Taps::most; ++i) others.push_back(*taps_.open("signals"));
  EXPECT_EQ(get(path).first, 503);
}

TEST_F(TapStreamTest, MakesRoomWhenItsClientLeaves) {
  serve();
  for (std::size_t i = 0; i <= 2 * Taps::most; ++i) {
    std::size_t rows = 0;
    const auto page = [&] {
      for (;;) {
        auto one = ConsoleClient::at(address())->follow("/pipelines/p/tap/signals", {{"limit", "1"}},
                                                        [&](std::string_view part) {
                                                          rows += part.starts_with('{') ? 1 : 0;
                                                          return false;
                                                        });
        if (!one || one->status != 503) return one;
        std::this_thread::yield();
      }
    };
    auto followed = std::async(std::launch::async, page);
    while (followed.wait_for(std::chrono::milliseconds{2}) != std::future_status::ready) offer(1);
    EXPECT_EQ(followed.get()->status, 200);
    EXPECT_EQ(rows, 1u);
  }
}

TEST_F(TapStreamTest, DoesNotKeepTheConsoleFromEnding) {
  serve();
  std::atomic<bool> came{false};
  auto followed = std::async(std::launch::async, [&, client = ConsoleClient::at(address())]() mutable {
    return client->follow("/pipelines/p/tap/signals", {}, [&](std::string_view) { return came = true; });
  });
  while (!came && followed.wait_for(std::chrono::milliseconds{5}) != std::future_status::ready) offer(1);
  console_.reset();
  const auto page = followed.get();
  ASSERT_FALSE(page) << "it was cut off";
  EXPECT_EQ(page.error().kind, Error::Kind::unreachable);
}

TEST_F(TapStreamTest, SaysWhichVehiclesAreAtOtherWorkers) {
  auto checked = check_pipeline(R"({ "name": "p", "limits": { "keys": 10 }, "nodes": [
    { "id": "signals", "source": "nats", "stream": "S", "partitions": 4 },
    { "id": "out", "sink": "drop", "from": "signals" } ] })",
                                "p.json", fakes::registry(), {});
  ASSERT_TRUE(checked.pipeline);
  const Partition of_v1 = partition_of("v1", 4), of_v2 = partition_of("v2", 4);
  ASSERT_NE(of_v1, of_v2);
  Worker::Status status;
  status.lanes.emplace_back().partition = of_v1;
  const TapSelection selection{.keys = {"v1", "v2"}, .fields = {}};
  const std::string there = elsewhere(selection, *checked.pipeline, status);
  EXPECT_EQ(there, "\"v2\" is in partition " + std::to_string(of_v2) +
                       ", which this worker does not have: waiting until it has; weir owners tells who has now");
  EXPECT_EQ(elsewhere(selection, pipeline_, status), "") << "there is one partition";
  EXPECT_EQ(elsewhere({}, *checked.pipeline, status), "");
  const fakes::WaitingClock clock;
  TapStream stream{*taps_.open("signals"), {}, clock, there};
  EXPECT_THAT(stream.next(), StartsWith("\"\\\"v2\\\" is in partition "));
  EXPECT_EQ(stream.next(), "");
}

TEST_F(TapStreamTest, SaysThatNobodyAnswers) {
  serve();
  const std::string gone = address();
  console_.reset();
  const auto page = ConsoleClient::at(gone)->get("/ping");
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().message, "no worker answers on " + gone + "; one does with weir run --http " + gone);
  for (const char* bad : {"localhost", "localhost:", "localhost:http", "localhost:70000", "http://localhost:8080"})
    EXPECT_EQ(ConsoleClient::at(bad).error().kind, Error::Kind::invalid) << bad;
}

}  // namespace
}  // namespace weir
