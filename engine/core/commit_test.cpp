#include "core/commit.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <sstream>

namespace weir {
namespace {

/// A database as the commit protocol sees it: rows and progress change together or not at all.
struct Database {
  struct Place {
    Progress progress;
    std::uint64_t fence = 0;
  };
  std::map<Partition, Place> places;
  std::vector<std::string> rows;
  std::vector<std::string> letters;
  std::uint64_t fences = 0;
};

enum class Fault { none, before, after };  // where the connection breaks: before the database has the commit, or after

/// A transactional sink over a Database, whose connection breaks when a test says so. Rows are the encoded bytes.
class DatabaseSink final : public Sink {
 public:
  explicit DatabaseSink(Database& database) : database_{database} {}

  Result<void> settle(const SchemaPtr&) override { return {}; }
  Result<void> open() override {
    ++opened;
    connected = true;
    written_.clear();
    letters_.clear();
    return {};
  }
  Result<void> write(const Encoded& rows) override {
    written_.push_back(&rows);
    return {};
  }
  bool bury(const DeadLetter& letter) override {
    letters_.push_back(letter.reason);
    return true;
  }
  Result<Progress> claim(Partition partition) override {
    if (!connected) return fail(Error::Kind::unreachable, "not connected");
    if (taken.contains(partition)) return fail(Error::Kind::refused, "another worker owns it");
    auto& place = database_.places[partition];
    place.fence = ++database_.fences;
    fences_[partition] = place.fence;
    return place.progress;
  }
  void release(Partition partition) override { fences_.erase(partition); }
  bool owns(Partition partition) const { return fences_.contains(partition); }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override {
    const Fault fault = rows_written() > most ? Fault::before : std::exchange(next_fault, Fault::none);
    Committed out;
    if (fault == Fault::before) return broken();
    for (const LaneCommit& lane : lanes) {
      auto& place = database_.places[lane.partition];
      if (place.fence != fences_[lane.partition]) {
        out.refused.push_back(lane.partition);
        continue;
      }
      place.progress = lane.next;
    }
    for (const Encoded* rows : written_) {
      if (!std::ranges::contains(out.refused, rows->partition)) database_.rows.push_back(rows->bytes);
    }
    database_.letters.insert(database_.letters.end(), letters_.begin(), letters_.end());
    written_.clear();
    letters_.clear();
    if (fault == Fault::after) return broken();
    return out;
  }

  Fault next_fault = Fault::none;
  bool connected = true;
  std::set<Partition> taken;    // by another worker
  std::size_t most = SIZE_MAX;  // rows for which a transaction has time enough
  int opened = 0;

 private:
  std::size_t rows_written() const {
    std::size_t rows = 0;
    for (const Encoded* part : written_) rows += part->rows;
    return rows;
  }
  std::unexpected<Error> broken() {
    written_.clear();
    letters_.clear();
    return fail(Error::Kind::unreachable, "the connection was lost");
  }

  Database& database_;
  std::map<Partition, std::uint64_t> fences_;
  std::vector<const Encoded*> written_;
  std::vector<std::string> letters_;
};

/// A sink without transactions: rows are durable when commit() returns, and may be written again.
class ListSink final : public Sink {
 public:
  explicit ListSink(std::vector<std::string>& rows) : rows_{rows} {}
  Result<void> settle(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded& rows) override {
    waiting_.push_back(rows.bytes);
    return {};
  }
  Result<Committed> commit(std::span<const LaneCommit>) override {
    auto waiting = std::exchange(waiting_, {});
    if (std::exchange(next_fault, Fault::none) == Fault::before) return fail(Error::Kind::unreachable, "no answer");
    rows_.insert(rows_.end(), waiting.begin(), waiting.end());
    return Committed{};
  }
  Fault next_fault = Fault::none;

 private:
  std::vector<std::string>& rows_;
  std::vector<std::string> waiting_;
};

class MapStore final : public Store {
 public:
  Result<void> open() override { return {}; }
  Result<void> put(std::string_view name, std::string_view value) override {
    values[std::string{name}] = value;
    return {};
  }
  Result<std::optional<std::string>> get(std::string_view name) override {
    const auto it = values.find(name);
    return it == values.end() ? std::nullopt : std::optional{it->second};
  }
  Result<void> remove(std::string_view name) override {
    values.erase(std::string{name});
    return {};
  }
  Result<std::vector<std::string>> names(std::string_view prefix) override {
    std::vector<std::string> out;
    for (const auto& [name, value] : values) {
      if (name.starts_with(prefix)) out.push_back(name);
    }
    return out;
  }
  bool durable() const override { return true; }
  std::map<std::string, std::string, std::less<>> values;
};

class NoBox final : public DeadLetterBox {
 public:
  void resume(Partition, Position) override {}
  void committed(Partition, Position) override {}
  Result<void> keep(const std::vector<Sink::DeadLetter>& letters) override {
    for (const auto& letter : letters) kept.push_back(letter.reason);
    return {};
  }
  std::vector<std::string> kept;
};

/// One worker over a database that outlives it.
class CommitTest : public testing::Test {
 protected:
  CommitTest() {
    pipeline_.name = "test";
    pipeline_.fingerprint = "one";
    pipeline_.nodes.resize(3);
    pipeline_.nodes[0].id = "db";
    pipeline_.nodes[1].id = "list";
    pipeline_.nodes[2].id = "second";
    start_worker();
  }

  void start_worker(bool with_list = false, bool with_second = false) {
    sink_ = std::make_unique<DatabaseSink>(database_);
    list_ = std::make_unique<ListSink>(list_rows_);
    Claims transactional;
    transactional.transactional = true;
    std::vector<CommitCycle::Outlet> outlets{{0, sink_.get(), transactional}};
    second_ = std::make_unique<DatabaseSink>(second_database_);
    if (with_second) outlets.push_back({2, second_.get(), transactional});
    if (with_list) outlets.push_back({1, list_.get(), {}});
    cycle_ = std::make_unique<CommitCycle>(pipeline_, std::move(outlets), snapshots_, box_, counters_,
                                           "fence" + std::to_string(++workers_));
    ASSERT_TRUE(cycle_->open());
  }

  static LaneStep step(Partition partition, Position position, const std::string& row, std::size_t sink = 0) {
    LaneStep out;
    out.partition = partition;
    out.position = position;
    out.reached = static_cast<Timestamp>(position);
    out.consumed = position;
    out.bytes = 10;
    if (!row.empty()) {
      LaneStep::Rows rows;
      rows.sink = sink;
      rows.encoded.partition = partition;
      rows.encoded.rows = 1;
      rows.encoded.bytes = row;
      out.rows.push_back(std::move(rows));
    }
    return out;
  }

  static Snapshot snapshot(Position position, std::string state) {
    return {
        {.position = position, .arrival = static_cast<Timestamp>(position), .fingerprint = "one", .consumed = position},
        std::move(state)};
  }

  Database database_, second_database_;
  MapStore store_;
  Snapshots snapshots_{store_, "test"};
  NoBox box_;
  Counters counters_;
  Pipeline pipeline_;
  std::vector<std::string> list_rows_;
  std::unique_ptr<DatabaseSink> sink_, second_;
  std::unique_ptr<ListSink> list_;
  std::unique_ptr<CommitCycle> cycle_;
  int workers_ = 0;
};

TEST_F(CommitTest, RowsAndPositionBecomeDurableTogether) {
  ASSERT_EQ(cycle_->claim(0)->after, 0u);
  cycle_->take(step(0, 5, "a"));
  cycle_->take(step(0, 9, "b"));
  EXPECT_TRUE(cycle_->pending());
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->bytes, 20u);
  EXPECT_EQ(report->rows, 2u);
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(database_.places[0].progress.position, 9u);
  EXPECT_FALSE(cycle_->pending());
}

TEST_F(CommitTest, ACommitThatTheDatabaseNeverGotIsWrittenAgain) {
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 5, "a"));
  sink_->next_fault = Fault::before;
  EXPECT_EQ(cycle_->commit().error().kind, Error::Kind::unreachable);
  cycle_->take(step(0, 6, "b"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(sink_->opened, 2);
}

TEST_F(CommitTest, ACommitWhoseAnswerWasLostIsNotWrittenTwice) {
  ASSERT_TRUE(cycle_->claim(0));
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
  ASSERT_TRUE(cycle_->claim(0));
  ASSERT_TRUE(cycle_->claim(1));
  DatabaseSink other{database_};
  ASSERT_TRUE(other.claim(0));
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
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 5, "a"));
  sink_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit());
  database_.places[0].progress.position = 4;  // another worker cut its batches differently
  const auto report = cycle_->commit();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->refused, std::vector<Partition>{0});
  EXPECT_TRUE(database_.rows.empty());
}

TEST_F(CommitTest, OtherOutputsAreDurableFirstAndNotGivenTheSameRowsAgain) {
  start_worker(true);
  ASSERT_TRUE(cycle_->claim(0));
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

TEST_F(CommitTest, ASnapshotIsNamedOnlyByACommitAtOrBeyondIt) {
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 5, "a"));
  const auto name = snapshots_.write(0, "f", snapshot(9, "state at 9"));
  ASSERT_TRUE(name);
  cycle_->name_snapshot(0, *name, 9);
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.snapshot, "") << "a snapshot ahead of the commit would lose what lies between";
  cycle_->take(step(0, 12, "b"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.snapshot, *name);

  start_worker();
  const auto start = cycle_->claim(0);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->after, 9u);
  EXPECT_EQ(start->silent, 12u);
  EXPECT_EQ(start->state, "state at 9");
}

TEST_F(CommitTest, AMissingOrChangedChunkStopsTheLane) {
  ASSERT_TRUE(cycle_->claim(0));
  const auto name = snapshots_.write(0, "f", snapshot(5, std::string(Store::largest_value + 10, 's')));
  ASSERT_TRUE(name);
  cycle_->name_snapshot(0, *name, 5);
  cycle_->take(step(0, 5, "a"));
  ASSERT_TRUE(cycle_->commit());
  store_.values[*name + "/1"] = "changed!!!";
  start_worker();
  EXPECT_EQ(cycle_->claim(0).error().kind, Error::Kind::changed);
  store_.values.erase(*name + "/1");
  EXPECT_EQ(cycle_->claim(0).error().message, "chunk 1 of snapshot " + *name + " is missing");
}

TEST_F(CommitTest, AChangedPipelineIsNotReplayedIntoOldState) {
  ASSERT_TRUE(cycle_->claim(0));
  const auto name = snapshots_.write(0, "f", snapshot(5, "state"));
  cycle_->name_snapshot(0, *name, 5);
  cycle_->take(step(0, 5, "a"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.fingerprint = "two";
  start_worker();
  EXPECT_TRUE(cycle_->claim(0)) << "nothing lies between snapshot and commit";
  pipeline_.fingerprint = "one";
  start_worker();
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 7, "b"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.fingerprint = "two";
  start_worker();
  EXPECT_EQ(cycle_->claim(0).error().kind, Error::Kind::changed);
}

TEST_F(CommitTest, AChangedPipelineThatBeganAtASnapshotGoesOnFromIt) {
  ASSERT_TRUE(cycle_->claim(0));
  const auto name = snapshots_.write(0, "f", snapshot(5, "state"));
  cycle_->name_snapshot(0, *name, 5);
  cycle_->take(step(0, 5, "a"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.fingerprint = "two";
  start_worker();
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 7, "b"));
  ASSERT_TRUE(cycle_->commit());
  start_worker();  // killed before a snapshot of its own
  const auto start = cycle_->claim(0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->after, 5u);
  EXPECT_EQ(start->silent, 7u);
  pipeline_.fingerprint = "one";
  start_worker();
  EXPECT_EQ(cycle_->claim(0).error().kind, Error::Kind::changed) << "nor is the new one's work replayed by the old one";
}

TEST_F(CommitTest, WhatASinkCommittedWithoutASnapshotIsReplayedByTheSamePipelineOnly) {
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 5, "a"));
  ASSERT_TRUE(cycle_->commit());
  start_worker();
  EXPECT_TRUE(cycle_->claim(0));
  pipeline_.fingerprint = "two";
  start_worker();
  EXPECT_EQ(cycle_->claim(0).error().kind, Error::Kind::changed);
}

TEST_F(CommitTest, OnlyTheTwoSnapshotsLastNamedAreKept) {
  ASSERT_TRUE(cycle_->claim(0));
  for (Position position = 1; position <= 4; ++position) {
    cycle_->take(step(0, position, "r"));
    const auto name = snapshots_.write(0, "f", snapshot(position, "state"));
    cycle_->name_snapshot(0, *name, position);
    ASSERT_TRUE(cycle_->commit());
  }
  std::set<std::string> manifests;
  for (const auto& [name, value] : store_.values) {
    if (name.ends_with("/manifest")) manifests.insert(name);
  }
  EXPECT_EQ(manifests, (std::set<std::string>{"test/0/0.3-f/manifest", "test/0/0.4-f/manifest"}));
}

TEST_F(CommitTest, ANewIncarnationIsSilentUpToWhereTheOldOneHadCome) {
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 9, "old"));
  ASSERT_TRUE(cycle_->commit());
  start_worker();
  ASSERT_TRUE(cycle_->claim(0));
  const auto start = cycle_->begin_again(0);
  EXPECT_TRUE(start.anew);
  EXPECT_EQ(start.quiet, 9);
  EXPECT_EQ(start.time_borders, std::vector<Timestamp>{9});
  cycle_->reading(0, {"S", 2}, 0);
  EXPECT_TRUE(cycle_->pending()) << "that it has begun is worth a commit";
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.incarnation, 1u);
  EXPECT_EQ(database_.places[0].progress.position, 0u);
  // Another worker must know it too.
  start_worker();
  const auto again = cycle_->claim(0);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->anew);
  EXPECT_EQ(again->quiet, 9);
  LaneStep known = step(0, 3, "known");
  cycle_->take(std::move(known));
  cycle_->take(step(0, 12, "new"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"old", "new"}));
  EXPECT_EQ(database_.places[0].progress.position, 12u);
}

TEST_F(CommitTest, ACommitOfANewIncarnationWhoseAnswerWasLostIsNotWrittenTwice) {
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 9, "old"));
  ASSERT_TRUE(cycle_->commit());
  start_worker();
  ASSERT_TRUE(cycle_->claim(0));
  (void)cycle_->begin_again(0);
  cycle_->take(step(0, 11, "a"));
  sink_->next_fault = Fault::before;
  ASSERT_FALSE(cycle_->commit()) << "the table still tells of the old incarnation";
  cycle_->take(step(0, 12, "b"));
  sink_->next_fault = Fault::after;
  ASSERT_FALSE(cycle_->commit());
  cycle_->take(step(0, 13, "c"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"old", "a", "b", "c"}));
}

TEST_F(CommitTest, ATransactionThatTakesTooLongIsTriedWithLess) {
  ASSERT_TRUE(cycle_->claim(0));
  sink_->most = 1500;
  std::vector<std::string> want;
  for (Position position = 1; position <= 40; ++position) {
    want.push_back(std::to_string(position));
    LaneStep made = step(0, position, want.back());
    made.rows.front().encoded.rows = 400;
    cycle_->take(std::move(made));
  }
  std::size_t freed = 0;
  int tries = 0;
  for (; cycle_->pending() && tries < 60; ++tries) {
    const auto report = cycle_->commit();
    if (report) freed += report->bytes;
  }
  EXPECT_EQ(database_.rows, want) << "after " << tries << " tries";
  EXPECT_EQ(freed, 400u);
  EXPECT_EQ(cycle_->pending_rows(), 0u);
}

TEST_F(CommitTest, AWorkerWithoutLanesFindsItsDatabaseAgain) {
  sink_->connected = false;
  EXPECT_EQ(cycle_->claim(0).error().kind, Error::Kind::unreachable);
  EXPECT_TRUE(cycle_->claim(0)) << "nothing else would open it";
  EXPECT_EQ(sink_->opened, 2);
}

TEST_F(CommitTest, APartitionIsOwnedInEveryDatabaseOrInNone) {
  start_worker(false, true);
  second_->taken = {0};
  EXPECT_EQ(cycle_->claim(0).error().kind, Error::Kind::refused);
  EXPECT_FALSE(sink_->owns(0));
  second_->taken = {};
  ASSERT_TRUE(cycle_->claim(0));
  DatabaseSink other{database_};
  ASSERT_TRUE(other.claim(0));
  cycle_->take(step(0, 5, "zombie"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_FALSE(second_->owns(0));
}

TEST_F(CommitTest, ASinkThatIsAheadOfAnotherKeepsItsPlace) {
  second_database_.places[0].progress = {.position = 0};
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 5, "a"));
  cycle_->take(step(0, 9, "b"));
  ASSERT_TRUE(cycle_->commit());
  start_worker(false, true);  // with a second sink, which has nothing yet
  const auto start = cycle_->claim(0);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->silent, 0u);
  const auto name = snapshots_.write(0, "f", snapshot(5, "state"));
  LaneStep replayed = step(0, 5, "a");
  replayed.rows.push_back(step(0, 5, "a", 2).rows.front());
  cycle_->take(std::move(replayed));
  cycle_->name_snapshot(0, *name, 5);
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.position, 9u);
  EXPECT_EQ(second_database_.places[0].progress.position, 5u);
  EXPECT_EQ(second_database_.places[0].progress.snapshot, *name);
}

TEST_F(CommitTest, ASinkWithoutProgressOfAPipelineThatRanIsNamed) {
  EXPECT_TRUE(cycle_->claim(0)->blank.empty()) << "the first run ever";
  cycle_->name_snapshot(0, *snapshots_.write(0, "f", snapshot(9, "state")), 9);
  cycle_->take(step(0, 9, "a"));
  ASSERT_TRUE(cycle_->commit());
  start_worker(false, true);
  EXPECT_EQ(cycle_->claim(0)->blank, std::vector<std::string>{"second"});
  pipeline_.nodes[0].id = "renamed";
  database_.places.clear();
  start_worker();
  EXPECT_EQ(cycle_->claim(0)->blank, std::vector<std::string>{"renamed"});
}

TEST_F(CommitTest, ASinkIsNotSilencedByAnotherPipelinesReplay) {
  ASSERT_TRUE(cycle_->claim(0));
  cycle_->take(step(0, 9, "a"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.fingerprint = "two";
  start_worker(false, true);
  const auto start = cycle_->claim(0);
  ASSERT_FALSE(start);
  EXPECT_EQ(start.error().kind, Error::Kind::changed);
  EXPECT_FALSE(sink_->owns(0) || second_->owns(0));
}

/// Whatever breaks, and whenever the worker is killed, every row is in the database once and in order.
TEST_F(CommitTest, NoScheduleOfFaultsLosesOrDoublesARow) {
  constexpr Position end = 60;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random{seed};
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    database_ = second_database_ = {};
    store_.values.clear();
    const bool two = chance(50);
    start_worker(false, two);
    auto start = cycle_->claim(0);
    Position next = 1;
    Position silent = 0;
    const auto behind = [&](Database& database) { return database.places[0].progress.position < end; };
    while (behind(database_) || (two && behind(second_database_))) {
      if (next <= end && chance(60)) {
        Position last = std::min<Position>(end, next + random() % 3);
        const auto border = std::ranges::find_if(start->borders, [&](Position at) { return next <= at && at < last; });
        if (border != start->borders.end()) last = *border;  // a step ends there
        if (last > silent) {
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
        start = cycle_->claim(0);
        ASSERT_TRUE(start) << "seed " << seed << ": " << start.error().message;
        ASSERT_LE(start->after, start->silent);
        ASSERT_EQ(start->state, start->after == 0 ? "" : std::to_string(start->after)) << "seed " << seed;
        next = start->after + 1;
        silent = start->silent;
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
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  ASSERT_TRUE(cycle_->claim(0));
  Position position = 0;
  for (const char* reason : {"not a number: x", "not a number: y", "too many keys"}) {
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
  spdlog::set_default_logger(before);
  EXPECT_TRUE(log.str().contains("signals/0: dead letter: not a number: x; subject v.1; kept in weir_dead_letters"))
      << log.str();
  EXPECT_FALSE(log.str().contains("not a number: y"));
  EXPECT_TRUE(log.str().contains("too many keys"));
}

}  // namespace
}  // namespace weir
