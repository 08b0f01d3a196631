#include "core/checkpoint/commit.hpp"

#include <random>

#include "fakes/columns.hpp"
#include "fakes/commit_fixture.hpp"
#include "fakes/log.hpp"

namespace weir {
namespace {

using fakes::CommitTest;
using fakes::Database;
using fakes::DatabaseSink;
using fakes::Fault;
using fakes::ListSink;

TEST_F(CommitTest, RowsAndPositionBecomeDurableTogether) {
  ASSERT_EQ(fakes::acquire(*cycle_, 0)->after, 0u);
  cycle_->take(step(0, 5, "a"));
  cycle_->take(step(0, 9, "b"));
  EXPECT_TRUE(cycle_->pending());
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->bytes, 20u);
  EXPECT_EQ(report->rows, 2u);
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(database_.places[0].progress.place.position, 9u);
  EXPECT_FALSE(cycle_->pending());
}

TEST_F(CommitTest, ACommitThatTheDatabaseNeverGotIsWrittenAgain) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 5, "a"));
  sink_->next_fault = Fault::before;
  EXPECT_EQ(cycle_->commit().error().kind, Error::Kind::unreachable);
  cycle_->take(step(0, 6, "b"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sink_->opened, 2);
}

TEST_F(CommitTest, ACommitWhoseAnswerWasLostIsNotWrittenTwice) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 5, "a"));
  sink_->next_fault = Fault::after;
  EXPECT_FALSE(cycle_->commit());
  cycle_->take(step(0, 6, "b"));
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(counters_.value("db", "rows"), 2u);
}

TEST_F(CommitTest, AZombieLosesItsLaneAndTheOthersCommit) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  ASSERT_TRUE(fakes::acquire(*cycle_, 1));
  DatabaseSink other{database_};
  ASSERT_TRUE(other.acquire(0));
  cycle_->take(step(0, 5, "zombie"));
  cycle_->take(step(1, 7, "mine"));
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->refused, std::vector<Partition>{0});
  EXPECT_EQ(report->bytes, 20u) << "the refused lane's credit is free too";
  EXPECT_EQ(database_.rows, std::vector<std::string>{"mine"});
  cycle_->take(step(0, 8, "after"));
  EXPECT_FALSE(cycle_->pending()) << "a lane that was let go takes nothing";
  EXPECT_EQ(cycle_->take(step(0, 9, "after")), 10u) << "its credit is free at once";
}

TEST_F(CommitTest, APositionThatAnotherWorkerMovedIsNotWrittenOver) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 5, "a"));
  sink_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit());
  database_.places[0].progress.place.position = 4;  // another worker cut its batches differently
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->refused, std::vector<Partition>{0});
  EXPECT_TRUE(database_.rows.empty());
}

TEST_F(CommitTest, APartitionWhoseSnapshotAnotherWorkerNamedIsNotWrittenOver) {
  acquire_and_commit(5, "a");
  cycle_->take(step(0, 6, "b"));
  sink_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit());
  database_.places[0].progress.snapshot = "test.0.0.5-another";  // it owned the partition in between
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->refused, std::vector<Partition>{0});
  EXPECT_EQ(database_.rows, std::vector<std::string>{"a"});
}

TEST_F(CommitTest, DeadLettersLieBesideTheRowsAndNowhereElse) {
  start_worker(true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  LaneStep made = step(0, 5, "row");
  made.rows.push_back(step(0, 5, "event", 1).rows.front());
  made.dead_letters.emplace_back().reason = "bad";
  cycle_->take(std::move(made));
  ASSERT_TRUE(cycle_->commit());
  ASSERT_EQ(database_.letters.size(), 1u);
  EXPECT_EQ(database_.letters[0].reason, "bad");
  EXPECT_TRUE(box_.kept.empty());
}

TEST_F(CommitTest, ARowThatAnotherOutputWouldNotTakeIsBuriedUnderItsNumberWithThePosition) {
  const fakes::Log log;
  start_worker(true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  LaneStep made = step(0, 5, "rows", 1);
  Encoded& rows = made.rows.front().encoded;
  rows.batch = std::make_shared<Batch>(fakes::batch({{"x", Type::float64}}, 2, {Column::float64({1, 2})}));
  rows.rows = 2;
  rows.number = 40;
  list_->rejected_row = 1;
  cycle_->take(std::move(made));
  sink_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit());
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rows, 1u) << "the other one is nowhere but among the letters";
  EXPECT_EQ(counters_.value("list", "rows"), 1u);
  EXPECT_TRUE(box_.kept.empty());
  ASSERT_EQ(database_.letters.size(), 1u);
  EXPECT_EQ(database_.letters[0].row, 41u);
  EXPECT_EQ(counters_.value("", "dead_letters"), 1u);
  EXPECT_EQ(database_.letters[0].node, "list");
  EXPECT_EQ(database_.letters[0].reason, "not_wanted");
  EXPECT_EQ(cycle_->pending_rows(), 0u);
  EXPECT_TRUE(log.contains("list/0: dead letter: not_wanted; kept in weir_dead_letters")) << log.text();
}

TEST_F(CommitTest, ARowOfAStepThatTheLastOutputHasAlreadyGoesToTheBox) {
  pipeline_.nodes[1].begins = SinkBegins::stream;
  database_.places[0].progress = {.place = {.position = 9}, .sinks = "db"};
  start_worker(true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  LaneStep made = step(0, 5, "row", 1);
  made.rows.front().encoded.batch =
      std::make_shared<Batch>(fakes::batch({{"x", Type::float64}}, 1, {Column::float64({1})}));
  made.dead_letters.emplace_back().reason = "kept with position 5, long ago";
  list_->rejected_row = 0;
  cycle_->take(std::move(made));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_TRUE(database_.letters.empty());
  ASSERT_EQ(box_.kept.size(), 1u);
  EXPECT_EQ(box_.kept[0].reason, "not_wanted");
  EXPECT_EQ(counters_.value("", "dead_letters"), 1u);
}

TEST_F(CommitTest, ARowThatTheOnlyOutputWouldNotTakeGoesToTheBox) {
  const fakes::Log log;
  pipeline_.dead_letters = "test.dead.jsonl";
  ListSink list{list_rows_};
  cycle_ = std::make_unique<CommitCycle>(pipeline_, std::vector<CommitSink>{{1, &list, {}}}, snapshots_, box_,
                                         counters_, ledger_);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  LaneStep made = step(0, 5, "row", 1);
  Encoded& rows = made.rows.front().encoded;
  rows.batch = std::make_shared<Batch>(fakes::batch({{"x", Type::float64}}, 1, {Column::float64({1})}));
  rows.number = 40;
  list.rejected_row = 0;
  cycle_->take(std::move(made));
  ASSERT_TRUE(cycle_->commit());
  ASSERT_EQ(box_.kept.size(), 1u);
  EXPECT_EQ(box_.kept[0].row, 40u);
  EXPECT_EQ(counters_.value("", "dead_letters"), 1u);
  EXPECT_TRUE(log.contains("list/0: dead letter: not_wanted; kept in test.dead.jsonl")) << log.text();
}

TEST_F(CommitTest, ARowThatTheBoxCouldNotKeepAtOnceIsCountedOnce) {
  pipeline_.dead_letters = "test.dead.jsonl";
  ListSink list{list_rows_};
  cycle_ = std::make_unique<CommitCycle>(pipeline_, std::vector<CommitSink>{{1, &list, {}}}, snapshots_, box_,
                                         counters_, ledger_);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  LaneStep made = step(0, 5, "row", 1);
  made.rows.front().encoded.batch =
      std::make_shared<Batch>(fakes::batch({{"x", Type::float64}}, 1, {Column::float64({1})}));
  list.rejected_row = 0;
  cycle_->take(std::move(made));
  for (int i = 0; i < 2; ++i) {
    box_.full = true;
    ASSERT_FALSE(cycle_->commit());
  }
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rows, 0u);
  EXPECT_EQ(box_.kept.size(), 1u);
  EXPECT_EQ(counters_.value("", "dead_letters"), 1u);
  EXPECT_EQ(counters_.value("list", "rows"), 0u);
}

TEST_F(CommitTest, OtherOutputsAreDurableFirstAndNotGivenTheSameRowsAgain) {
  start_worker(true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  LaneStep both = step(0, 5, "row");
  both.rows.push_back(step(0, 5, "event", 1).rows.front());
  cycle_->take(std::move(both));
  list_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit());
  EXPECT_TRUE(database_.rows.empty()) << "the position must wait for the other output";
  sink_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit());
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(list_rows_, std::vector<std::string>{"event"});
  EXPECT_EQ(database_.rows, std::vector<std::string>{"row"});
}

/// What a transaction may hold, and rows of a step: rows of as many days make as many chunks.
class CommitTooLong : public CommitTest, public testing::WithParamInterface<std::pair<std::size_t, std::size_t>> {};

TEST_P(CommitTooLong, IsTriedWithLess) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  sink_->most = GetParam().first;
  std::vector<std::string> want;
  for (Position position = 1; position <= 40; ++position) {
    want.push_back(std::to_string(position));
    LaneStep made = step(0, position, want.back());
    made.rows.front().encoded.rows = GetParam().second;
    cycle_->take(std::move(made));
  }
  std::size_t freed = 0;
  int tries = 0;
  for (; cycle_->pending() && tries < 100; ++tries) {
    const auto report = cycle_->commit();
    if (report) freed += report->bytes;
  }
  EXPECT_EQ(database_.rows, want) << "after " << tries << " tries";
  EXPECT_EQ(freed, 400u);
  EXPECT_EQ(cycle_->pending_rows(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Transactions, CommitTooLong, testing::Values(std::pair{1500, 400}, std::pair{30, 20}));

TEST_F(CommitTest, EachDatabaseIsRenewedByItself) {
  start_worker(false, true);
  EXPECT_TRUE(cycle_->sinks().leased().empty());
  sink_->lease_length = second_->lease_length = 30 * second;
  const auto leased = cycle_->sinks().leased();
  ASSERT_EQ(leased.size(), 2u);
  sink_->connected = false;
  second_->lost = {3};
  for (const std::size_t index : leased) {
    const bool answers = cycle_->sinks()[index].sink == second_.get();
    const auto renewed = cycle_->sinks().renew(index);
    ASSERT_EQ(renewed.has_value(), answers);
    if (answers) {
      EXPECT_EQ(*renewed, std::vector<Partition>{3});
    } else {
      EXPECT_EQ(renewed.error().kind, Error::Kind::unreachable);
    }
  }
}

TEST_F(CommitTest, APartitionIsOwnedInEveryDatabaseOrInNone) {
  start_worker(false, true);
  second_->taken = {0};
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::held);
  EXPECT_FALSE(sink_->owns(0));
  second_->taken = {};
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  DatabaseSink other{database_};
  ASSERT_TRUE(other.acquire(0));
  cycle_->take(step(0, 5, "zombie"));
  EXPECT_EQ(cycle_->commit()->refused, std::vector<Partition>{0});
  cycle_->give_back(0);
  EXPECT_FALSE(second_->owns(0));
}

/// Whatever breaks, and whenever the worker is killed, every row is in the database once and in order.
TEST_F(CommitTest, NoScheduleOfFaultsLosesOrDoublesARow) {
  constexpr Position end = 60;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random{seed};
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    database_ = second_database_ = {};
    stored_.clear();
    const bool two = chance(50);
    start_worker(false, two);
    auto start = fakes::acquire(*cycle_, 0);
    Position next = 1;
    Position replay_until = 0;
    const auto behind = [&](Database& database) { return database.places[0].progress.place.position < end; };
    while (behind(database_) || (two && behind(second_database_))) {
      if (next <= end && chance(60)) {
        Position last = std::min<Position>(end, next + random() % 3);
        const auto border = std::ranges::find_if(start->borders, [&](Position at) { return next <= at && at < last; });
        if (border != start->borders.end()) last = *border;  // a step ends there
        if (last > replay_until) {
          LaneStep made = step(0, last, "");
          for (Position row = next; row <= last; ++row) {
            made.rows.push_back(step(0, last, std::to_string(row)).rows.front());
            if (two) made.rows.push_back(step(0, last, std::to_string(row), 2).rows.front());
          }
          cycle_->take(std::move(made));
        }
        next = last + 1;
      }
      if (next > 1 && chance(10)) {
        const auto name =
            snapshots_.write(0, "f" + std::to_string(workers_), snapshot(next - 1, std::to_string(next - 1)));
        cycle_->name_snapshot(0, *name, next - 1);
      }
      if (chance(40)) {
        for (DatabaseSink* sink : {sink_.get(), second_.get()})
          sink->next_fault = chance(70) ? Fault::none : chance(50) ? Fault::before : Fault::after;
        (void)cycle_->commit();
      }
      if (chance(5)) {  // kill -9, or a zombie's successor
        start_worker(false, two);
        start = fakes::acquire(*cycle_, 0);
        ASSERT_TRUE(start) << "seed " << seed << ": " << start.error().message;
        ASSERT_LE(start->after, start->replay_until);
        ASSERT_EQ(start->state, start->after == 0 ? "" : std::to_string(start->after)) << "seed " << seed;
        next = start->after + 1;
        replay_until = start->replay_until;
      }
    }
    for (const Database* database : {&database_, &second_database_}) {
      if (database == &second_database_ && !two) continue;
      ASSERT_EQ(database->rows.size(), end) << "seed " << seed;
      for (Position row = 1; row <= end; ++row)
        ASSERT_EQ(database->rows[row - 1], std::to_string(row)) << "seed " << seed;
    }
  }
}

TEST_F(CommitTest, TheFirstDeadLetterOfAReasonIsLogged) {
  const fakes::Log log;
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  Position position = 0;
  for (const Reason& reason : {Reason{"not_a_number", "x"}, Reason{"not_a_number", "y"}, Reason{"too_many_keys"}}) {
    LaneStep with_letter = step(0, ++position, "");
    Sink::DeadLetter letter;
    letter.node = "signals";
    letter.reason = reason;
    letter.position = position;
    letter.subject = "v.1";
    with_letter.dead_letters.push_back(letter);
    cycle_->take(std::move(with_letter));
    EXPECT_TRUE(cycle_->commit());
  }
  EXPECT_TRUE(log.contains("signals/0: dead letter: not_a_number: x; subject \"v.1\"; kept in weir_dead_letters"))
      << log.text();
  EXPECT_FALSE(log.contains("not_a_number: y"));
  EXPECT_TRUE(log.contains("too_many_keys"));
}

}  // namespace
}  // namespace weir
