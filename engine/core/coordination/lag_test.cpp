#include "core/coordination/lag.hpp"

#include <gtest/gtest.h>

#include "fakes/bare_ledger.hpp"

namespace weir {
namespace {

/// What the servers of these tests hold.
struct Servers {
  std::vector<ProgressLine> lines;
  std::vector<Backlog> beyond;  ///< by partition
  bool knows_streams = true, streams_answer = true, table_answers = true;
  std::vector<PartitionPlace> asked;  ///< of the source
  int sink_asked = 0;
};
Servers* servers = nullptr;  // operators are made by the registry and have no other way to it

class Streams final : public Source {
 public:
  explicit Streams(const Settings&) {}
  Result<Position> open(Position) override { return fail(Error::Kind::internal, "is not to be opened"); }
  Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
  Result<std::vector<Backlog>> backlogs(std::span<const PartitionPlace> places) override {
    if (!servers->knows_streams) return Source::backlogs(places);
    std::vector<Backlog> out;
    for (const PartitionPlace& place : places) {
      if (!servers->streams_answer) return fail(Error::Kind::unreachable, "no answer");
      servers->asked.push_back(place);
      out.push_back(servers->beyond.at(place.partition));
    }
    return out;
  }
};

class Table final : public Sink, public fakes::BareLedger {
 public:
  explicit Table(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return fail(Error::Kind::internal, "is not to be opened"); }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
  Ledger* ledger() override { return this; }
  Result<Progress> acquire(Partition) override { return fail(Error::Kind::internal, "is not to be acquired"); }
  Result<std::vector<ProgressLine>> progress() override {
    ++servers->sink_asked;
    if (!servers->table_answers) return fail(Error::Kind::unreachable, "no answer");
    return servers->lines;
  }
};

class Nothing final : public Codec {
 public:
  explicit Nothing(const Settings&) {}
  std::expected<void, Reason> decode(const Message&, SampleSink&) const override { return {}; }
  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override { return ""; }
};

class LagOf : public testing::Test {
 protected:
  LagOf() {
    servers = &servers_;
    registry_.add("sources", "streams", make_operator<Streams>(Spec::source("streams").claims([](const Settings&) {
                    return Claims{.replayable = true, .ordered = true, .partitions = 3};
                  })));
    registry_.add("sinks", "table", make_operator<Table>(Spec::sink("a table").claims([](const Settings&) {
                    return Claims{.transactional = true};
                  })));
    registry_.add("sinks", "log", make_operator<Table>(Spec::sink("keeps no progress")));
    registry_.add("codecs", "flatbuffers", make_operator<Nothing>(Spec::codec("nothing")));
    servers_.lines = {{.partition = 0, .progress = {.place = {.position = 10}}, .owner = "a", .lease_left = second},
                      {.partition = 2, .progress = {.place = {.position = 30}, .stream = {"S-2", 7}}, .owner = "b"}};
    servers_.beyond = {{5, 96 * second}, {}, {200, 40 * second}};
  }

  Pipeline pipeline(const std::string& sink = "table") const {
    auto checked = check_pipeline(R"({ "name": "p", "nodes": [ { "id": "in", "source": "streams" },
      { "id": "out", "sink": ")" + sink +
                                      R"(", "from": "in" } ] })",
                                  "p.json", registry_, {});
    EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
    return std::move(*checked.pipeline);
  }
  std::string refusal(const std::string& sink = "table") const {
    const auto measured = measure_lag(pipeline(sink), registry_, system_clock());
    return measured ? "known" : measured.error().message;
  }

  Servers servers_;
  Registry registry_;
};

TEST_F(LagOf, IsTheSumOverPartitionsWhoeverOwnsThem) {
  const auto lag = measure_lag(pipeline(), registry_, system_clock());
  ASSERT_TRUE(lag) << lag.error().message;
  EXPECT_EQ(lag->messages, 205u);
  ASSERT_EQ(lag->partitions.size(), 3u);
  EXPECT_EQ(lag->partitions[0].owner, "a");
  EXPECT_EQ(lag->partitions[1].owner, "");
  EXPECT_EQ(lag->partitions[2].owner, "") << "its lease has run out";
  ASSERT_EQ(servers_.asked.size(), 3u);
  EXPECT_EQ(servers_.asked[0].position, 10u);
  EXPECT_EQ(servers_.asked[1].position, 0u);
  EXPECT_EQ(servers_.asked[2].position, 30u);
  EXPECT_EQ(servers_.asked[2].stream, (StreamIdentity{"S-2", 7}));
}

TEST_F(LagOf, IsNotKnownIfOneOfThemDoesNotAnswer) {
  servers_.table_answers = false;
  EXPECT_EQ(refusal(), "out: no answer");
  servers_.table_answers = true;
  servers_.streams_answer = false;
  EXPECT_EQ(refusal(), "in: no answer");
}

TEST_F(LagOf, SaysWhyItNeverIs) {
  EXPECT_EQ(refusal("log"), "no sink of this pipeline keeps progress");
  servers_.sink_asked = 0;
  servers_.knows_streams = false;
  EXPECT_EQ(refusal(), "in: this source does not know what lies in its stream");
  EXPECT_EQ(servers_.sink_asked, 0) << "for nothing";
}

TEST_F(LagOf, SecondsAreTheAgeOfTheFirstMessageBeyond) {
  const std::vector<ProgressLine> lines{
      {.partition = 0}, {.partition = 1}, {.partition = 2}, {.partition = 3}, {.partition = 4}};
  const std::vector<Backlog> beyond{{3, 96 * second}, {}, {1, 101 * second}, {1, 90 * second}, {1, 95 * second}};
  const Lag lag = lag_of(lines, beyond, 100 * second);
  EXPECT_EQ(lag.partitions[0].age, 4 * second);
  EXPECT_EQ(lag.partitions[1].age, 0);
  EXPECT_EQ(lag.partitions[2].age, 0) << "the server's clock is ahead";
  EXPECT_EQ(lag.partitions[2].messages, 1u);
  EXPECT_EQ(lag.age, 10 * second) << "the most, whichever partition it is of";
  EXPECT_EQ(lag.messages, 6u);
}

TEST_F(LagOf, AsJson) {
  const Lag lag{.partitions = {{0, "host-1", 10, 5, 3250 * millisecond}, {1, "", 0, 0, 0}},
                .messages = 5,
                .age = 3250 * millisecond};
  EXPECT_EQ(lag_json(pipeline(), lag),
            R"({"pipeline":"p","messages":5,"seconds":3.25,"partitions":[)"
            R"({"partition":0,"owner":"host-1","position":10,"messages":5,"seconds":3.25},)"
            R"({"partition":1,"owner":null,"position":0,"messages":0,"seconds":0.0}],"unanswered":[]})");
}

}  // namespace
}  // namespace weir
