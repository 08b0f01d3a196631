#include "core/checkpoint/recovery.hpp"

#include <gtest/gtest.h>

#include "core/plan/fingerprint.hpp"
#include "fakes/log.hpp"
#include "fakes/map_store.hpp"
#include "fakes/world.hpp"

namespace weir {
namespace {

/// Workers one after the other over the same stream, table and store.
class RecoveryTest : public fakes::WorldTest {
 protected:
  Result<void> run() {
    const Pipeline p = pipeline();
    Worker worker{p, registry_, counters_, system_clock()};
    return worker.run({});
  }
  /// Runs to the end of the stream, and forgets what was written so far.
  void read_up_to(Position messages) {
    world_.messages = messages;
    const auto done = run();
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_EQ(world_.progress.place.position, messages);
    ASSERT_FALSE(world_.owned);
    world_.rows.clear();
    world_.arrivals.clear();
  }
  void expect_stop(std::string_view why) {
    const Progress before = world_.progress;
    const auto done = run();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, Error::Kind::changed);
    EXPECT_NE(done.error().message.find(why), std::string::npos) << done.error().message;
    EXPECT_NE(done.error().message.find("`weir progress reset --partition 0`"), std::string::npos)
        << done.error().message;
    EXPECT_TRUE(world_.rows.empty());
    EXPECT_EQ(world_.progress.place.position, before.place.position);
    EXPECT_FALSE(world_.owned) << "others must find it free";
  }
  void recreate_stream(Position messages) {
    world_.stream = {"S", 2};
    world_.arrival_of = [](Position n) { return (100 + static_cast<Timestamp>(n)) * second; };
    world_.messages = messages;
  }
  /// As `weir progress reset` does.
  void reset() { world_.progress = {.resets = world_.progress.resets + 1}; }
  void expect_other_numbers(const std::set<std::uint32_t>& before) const {
    for (const std::uint32_t numbering : world_.numberings) EXPECT_FALSE(before.contains(numbering));
  }
  /// Rows of the messages from `first` to `last`, each the sum over all from `begin` on.
  static std::vector<std::string> sums(Position begin, Position first, Position last) {
    std::vector<std::string> out;
    std::int64_t sum = 0;
    for (Position n = begin; n <= last; ++n) {
      if (n == 13) continue;
      sum += static_cast<std::int64_t>(n);
      if (n >= first) out.push_back(std::to_string(sum));
    }
    return out;
  }
};

TEST_F(RecoveryTest, ProgressTellsWhatLedToThePosition) {
  read_up_to(20);
  EXPECT_EQ(world_.progress.place.stamp, 20 * second);
  EXPECT_EQ(world_.progress.place.arrival, 20 * second);
  EXPECT_EQ(world_.progress.place.consumed, 20u);
  EXPECT_EQ(world_.progress.stream, (StreamIdentity{"S", 1}));
  read_up_to(30);
  EXPECT_EQ(world_.progress.place.consumed, 30u) << "what the worker before consumed counts";
}

TEST(Numbering, IsTheSameOnlyWhereTheRowsAre) {
  const LaneStart fresh;
  LaneStart resumed;
  resumed.state = "something";
  const Progress at{.place = {.position = 0}, .fingerprint = "f", .stream = {"S", 1}};
  const auto changed = [&](auto change) {
    Progress other = at;
    change(other);
    return numbering(true, fresh, other);
  };
  const auto usual = numbering(true, fresh, at);
  EXPECT_EQ(numbering(true, fresh, at), usual);
  EXPECT_EQ(numbering(true, resumed, {.place = {.position = 70}, .fingerprint = "f", .stream = {"S", 1}}), usual)
      << "the numbers go on where the snapshot has them";
  EXPECT_NE(changed([](Progress& p) { p.place.position = 70; }), usual) << "they begin at another message";
  EXPECT_NE(changed([](Progress& p) { p.stream.created = 2; }), usual);
  EXPECT_NE(changed([](Progress& p) { p.fingerprint = "g"; }), usual);
  EXPECT_NE(changed([](Progress& p) { p.resets = 1; }), usual) << "a lost tail gives old numbers to new messages";
  EXPECT_NE(numbering(false, fresh, at), numbering(false, fresh, at)) << "nothing can be given again";
}

TEST(Numbering, IsAnotherWhereColumnsLeaveOutOtherRows) {
  Node sink;
  EXPECT_EQ(numbering_of(sink, 7), 7u);
  sink.columns = {{.field = "speed", .max_gap = 2 * second}};
  const auto before = numbering_of(sink, 7);
  EXPECT_EQ(numbering_of(sink, 7), before);
  EXPECT_NE(numbering_of(sink, 8), before);
  sink.columns[0].unit = "km/h";
  EXPECT_EQ(numbering_of(sink, 7), before);
  sink.columns[0].max_gap = 20 * second;
  EXPECT_NE(numbering_of(sink, 7), before);
  sink.write_empty = true;
  EXPECT_EQ(numbering_of(sink, 7), 7u) << "nothing is left out";
}

TEST(Numbering, GoesOnWithTheStateWhereverItBegan) {
  const Progress began{.place = {.position = 70}, .fingerprint = "f", .stream = {"S", 1}};
  LaneStart resumed;
  resumed.state = "something";
  resumed.at = {
      .place = {.position = 90}, .fingerprint = "f", .stream = {"S", 1}, .numbering = numbering(true, {}, began)};
  EXPECT_EQ(numbering(true, resumed, resumed.at), resumed.at.numbering);
  EXPECT_NE(numbering(false, resumed, resumed.at), resumed.at.numbering) << "nothing can be given again";
  Progress changed = resumed.at;
  changed.fingerprint = "g";
  EXPECT_NE(numbering(true, resumed, changed), resumed.at.numbering) << "other rows may come of the same messages";
}

TEST_F(RecoveryTest, RowsKeepTheirNumbersWhereTheStreamDidNotBeginAtOne) {
  world_.first = 8;
  read_up_to(20);
  const auto numbers = world_.numberings;
  ASSERT_EQ(numbers.size(), 1u);
  read_up_to(30);
  EXPECT_EQ(world_.numberings, numbers) << "with the snapshot's state";
}

TEST_F(RecoveryTest, ArrivalDoesNotGoBackWhenTheServersClockDidBetweenTwoWorkers) {
  // The greatest timestamp is not the last one's: the source alone can't know it.
  world_.arrival_of = [](Position n) { return (n == 9 ? 100 : n <= 20 ? 50 : 70) * second; };
  read_up_to(20);
  EXPECT_EQ(world_.progress.place.arrival, 100 * second);
  EXPECT_EQ(world_.progress.place.stamp, 50 * second);
  read_up_to(20);
  world_.messages = 30;
  ASSERT_TRUE(run());
  ASSERT_EQ(world_.arrivals.size(), 10u);
  for (const Timestamp arrival : world_.arrivals) EXPECT_EQ(arrival, 100 * second);
}

TEST_F(RecoveryTest, AnotherMessageUnderACommittedNumberStopsTheLane) {
  read_up_to(20);
  world_.arrival_of = [](Position n) { return (n < 18 ? static_cast<Timestamp>(n) : 500) * second; };
  world_.messages = 40;
  expect_stop("message 20 of stream S is of 1970-01-01T00:08:20Z, but the one that was read was of");
}

TEST_F(RecoveryTest, AStreamThatEndsBeforeTheCommitStopsTheLane) {
  read_up_to(20);
  world_.messages = 17;
  expect_stop("the stream ends before it");
}

TEST_F(RecoveryTest, AReplayThatMissesMessagesStopsTheLane) {
  world_.durable = false;
  read_up_to(20);
  world_.deleted = {7, 8};
  world_.messages = 30;
  expect_stop("18 messages lead to position 20 of stream S, but 20 did");
  world_.deleted.clear();
  ASSERT_TRUE(run());
  EXPECT_EQ(rows_without_letters(), sums(1, 21, 30));
}

TEST_F(RecoveryTest, WithoutASnapshotAStreamThatLostItsBeginningStopsTheLane) {
  world_.durable = false;
  read_up_to(20);
  world_.first = 21;
  world_.messages = 30;
  expect_stop("no snapshot was kept");
  world_.first = 5;
  expect_stop("16 messages lead to position 20");
}

TEST_F(RecoveryTest, AWorkerThatSawNoMessageLeavesNothingToWonderAt) {
  const fakes::Log log;
  world_.messages = 0;
  ASSERT_TRUE(run());
  ASSERT_TRUE(run());
  EXPECT_FALSE(log.contains("has no progress although")) << log.text();
  world_.messages = 5;
  ASSERT_TRUE(run());
  EXPECT_EQ(rows_without_letters(), sums(1, 1, 5));
}

TEST_F(RecoveryTest, ASnapshotThatIsGoneIsMadeUpForByTheStream) {
  read_up_to(20);
  world_.values.clear();
  world_.messages = 30;
  ASSERT_TRUE(run());
  EXPECT_EQ(rows_without_letters(), sums(1, 21, 30)) << "with the sum over all";
  world_.rows.clear();
  world_.values.clear();
  world_.first = 31;
  world_.messages = 40;
  expect_stop("is not in the store and the stream no longer reaches back to its first message");
}

TEST_F(RecoveryTest, ARecreatedStreamMayHaveTakenTheSnapshotWithIt) {
  read_up_to(20);
  world_.values.clear();
  recreate_stream(5);
  expect_stop("it was recreated at");
}

TEST_F(RecoveryTest, ARecreatedStreamStopsTheLaneUntilItIsReset) {
  read_up_to(20);
  ASSERT_NE(world_.progress.snapshot, "");
  recreate_stream(5);
  expect_stop("stream S is not the one that was read up to position 20: it was recreated at 1970-01-01T00:00:00");
  const fakes::Log log;
  const auto before = std::exchange(world_.numberings, {});
  reset();
  ASSERT_TRUE(run());
  EXPECT_TRUE(log.contains("partition 0: starts over, with empty state, after 0")) << log.text();
  EXPECT_EQ(rows_without_letters(), sums(1, 1, 5)) << "nothing of the former epoch's snapshot";
  EXPECT_EQ(world_.progress.place.position, 5u);
  EXPECT_EQ(world_.progress.stream, (StreamIdentity{"S", 2}));
  expect_other_numbers(before);
  world_.messages = 9;
  world_.rows.clear();
  ASSERT_TRUE(run());
  EXPECT_EQ(rows_without_letters(), sums(1, 6, 9)) << "and goes on there";
}

TEST_F(RecoveryTest, AStreamThatLostItsTailHasOtherNumbersAfterAReset) {
  read_up_to(20);
  // The server lost 16 to 20 and gave their numbers to later messages.
  world_.arrival_of = [](Position n) { return (static_cast<Timestamp>(n) + (n > 15 ? 100 : 0)) * second; };
  world_.messages = 25;
  expect_stop("message 20 of stream S is of");
  const auto before = std::exchange(world_.numberings, {});
  reset();
  ASSERT_TRUE(run());
  EXPECT_EQ(rows_without_letters(), sums(1, 1, 25));
  expect_other_numbers(before);
}

TEST_F(RecoveryTest, MessagesThatTheStreamDroppedUnreadStopTheLane) {
  read_up_to(20);
  world_.first = 26;
  world_.messages = 30;
  expect_stop("messages were deleted");
}

TEST_F(RecoveryTest, AStreamThatChangesUnderItsReaderStopsTheLaneBehindWhatItGave) {
  world_.endless = true;
  world_.messages = 20;
  const Pipeline p = pipeline();
  Worker worker{p, registry_, counters_, system_clock()};
  std::jthread operations{[&] {
    const auto committed = [&] {
      const std::scoped_lock lock{world_.mutex};
      return world_.progress.place.position == 20;
    };
    for (int i = 0; i < 5000 && !committed(); ++i) system_clock().wait(millisecond, {});
    const std::scoped_lock lock{world_.mutex};
    recreate_stream(5);
    world_.changes = true;
  }};
  const auto done = worker.run({});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, Error::Kind::changed);
  EXPECT_NE(done.error().message.find("the stream was recreated; restore the stream, or run `weir progress reset "
                                      "--partition 0`"),
            std::string::npos)
      << done.error().message;
  EXPECT_EQ(rows_without_letters(), sums(1, 1, 20));
  EXPECT_EQ(worker.status().in_flight, 0u) << "all credit came back";
}

TEST_F(RecoveryTest, ASourceWithoutReplayGoesOnWithNewMessages) {
  world_.replayable = false;
  world_.durable = false;
  read_up_to(20);
  world_.messages = 25;
  ASSERT_TRUE(run());
  EXPECT_EQ(rows_without_letters(), sums(21, 21, 25)) << "what comes is new: nothing of it may be silent";
}

TEST(Recovery, WithoutReplayTicksThatWereWrittenAreLeftOutWhereTheyMayComeAgain) {
  struct Row {
    const char* what;
    Position after;
    const char* state;
    std::uint64_t emitted;
    bool reminds;
    Timestamp written;
  };
  for (const Row& row : {
           Row{"the state is of the commit", 7, "state", 0, false, no_time},
           Row{"the state is older", 5, "state", 0, false, 70},
           Row{"nothing waits", 0, "", 0, false, 70},
           Row{"a part of the next step was committed", 7, "state", 2, false, 70},
           Row{"the source reminds", 0, "", 0, true, no_time},
           Row{"the source reminds of a step in parts", 0, "", 2, true, 70},
       }) {
    LaneStart start;
    start.after = row.after;
    start.state = row.state;
    start.kept = {{.place = {.position = 7, .emitted = row.emitted, .latest_tick = 70}}};
    go_on_without_replay(start, row.reminds);
    EXPECT_EQ(start.written, row.written) << row.what;
    EXPECT_EQ(start.after, 7u);
  }
}

TEST(Recovery, APartOfTheRowsOfAMessageNeedsTheNodesThatMadeIt) {
  const auto with_fill = [](const std::string& text) {
    const std::vector<Part> parts{{"in", "a"}, {"fill", text, 1, false}};
    return fingerprint(parts, {.keys = 10, .forget = minute});
  };
  fakes::MapStore::Values values;
  fakes::MapStore store{values};
  Snapshots snapshots{store, "fleet"};
  const auto said = [&](std::uint64_t emitted, const std::string& now) {
    const Progress stand{.place = {.position = 7, .emitted = emitted}, .fingerprint = with_fill("max_gap 5s")};
    const auto found = recover(0, {stand}, snapshots, now);
    return found ? "" : found.error().message;
  };
  EXPECT_EQ(said(0, with_fill("max_gap 3s")), "") << "no state depends on it";
  EXPECT_EQ(said(3, with_fill("max_gap 5s")), "");
  const std::string refused = said(3, with_fill("max_gap 3s"));
  EXPECT_NE(refused.find(R"("fill" was edited)"), std::string::npos) << refused;
  EXPECT_NE(refused.find("3 rows are committed"), std::string::npos) << refused;
  EXPECT_NE(refused.find("run the old file once more"), std::string::npos) << refused;
}

TEST(Recovery, ASinkThatIsToHaveAllRowsIsRefusedWhereTheStreamLostItsBeginning) {
  class Cut final : public Source {
   public:
    Result<Position> open(Position) override { return 8; }
    Result<Pulled> pull(const Budget&, std::stop_token) override { return Pulled{}; }
  } source;
  LaneStart start;
  start.kept = {{.place = {.position = 20, .consumed = 20}}};
  start.blank = {"more"};
  EXPECT_TRUE(same_stream(source, 3, 0, start));
  const auto refused = same_stream(source, 3, 8, start);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.starts_with("partition 3: sink more can't begin at the first message"))
      << refused.error().message;
  start.after = 8;
  EXPECT_TRUE(same_stream(source, 3, 8, start));
}

TEST(Recovery, ARenamedPipelineIsTakenForAnotherOnlyIfItSaysSo) {
  LaneStart start;
  start.rivals = {{"old", "db", true, "TELEMETRY"}};
  EXPECT_TRUE(same_stream_name({"BUSES", 8}, 0, start));
  EXPECT_TRUE(same_stream_name({}, 0, start));
  const auto refused = same_stream_name({"TELEMETRY", 8}, 0, start);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::invalid);
  EXPECT_TRUE(refused.error().message.contains(R"("renamed_from": "old")")) << refused.error().message;
}

TEST(Recovery, ACopyThatReadsAnotherStreamIsToldApartFromARecreatedStream) {
  LaneStart start;
  start.kept = {{.place = {.position = 9}, .stream = {"TELEMETRY", 7}}};
  EXPECT_TRUE(same_stream_name({"TELEMETRY", 8}, 0, start)) << "recreated, which is not the file's mistake";
  EXPECT_TRUE(same_stream_name({}, 0, start)) << "a source that has no stream";
  const auto other = same_stream_name({"BUSES", 7}, 0, start);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, Error::Kind::invalid);
  EXPECT_EQ(other.error().message,
            "partition 0: what this pipeline has committed is of stream TELEMETRY, but the file reads BUSES; another "
            "job, a copy of this one too, needs a \"name\" of its own");
}

}  // namespace
}  // namespace weir
