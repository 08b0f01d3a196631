/// Where a lane starts after what was committed, and which snapshots commits name.
#include <set>

#include "core/checkpoint/commit.hpp"
#include "core/plan/fingerprint.hpp"
#include "fakes/commit_fixture.hpp"

namespace weir {
namespace {

using fakes::Fault;
using fakes::for_all;

class CommitStart : public fakes::CommitTest {
 protected:
  /// Of the snapshots that are in the store.
  std::set<std::string> manifests() const {
    std::set<std::string> out;
    for (const auto& [name, value] : stored_) {
      if (name.ends_with("/manifest")) out.insert(name);
    }
    return out;
  }
};

TEST_F(CommitStart, ASnapshotIsNamedOnlyByACommitAtOrBeyondIt) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
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
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->after, 9u);
  EXPECT_EQ(start->replay_until, 12u);
  EXPECT_EQ(start->state, "state at 9");
}

TEST_F(CommitStart, AMissingOrChangedChunkIsAsIfNoSnapshotHadBeenKept) {
  const std::string name = commit_with_snapshot(5, std::string(Store::largest_value + 10, 's'));
  const auto lost = [&] {
    start_worker();
    const auto start = fakes::acquire(*cycle_, 0);
    if (!start) return start.error().message;
    EXPECT_EQ(start->after, 0u);
    EXPECT_EQ(start->replay_until, 5u) << "its rows are there";
    EXPECT_EQ(start->state, "");
    cycle_->release(0);
    cycle_->give_back(0);
    return start->lost;
  };
  stored_[name + "/1"] = "changed!!!";
  EXPECT_EQ(lost(), "chunk 1 of snapshot " + name + " is not what was written");
  stored_.erase(name + "/1");
  EXPECT_EQ(lost(), "chunk 1 of snapshot " + name + " is missing");
  stored_.clear();
  EXPECT_EQ(lost(), "snapshot " + name + " is not in the store");
}

TEST_F(CommitStart, ASnapshotAheadOfTheCommitIsNotLoaded) {
  database_.places[0].progress = {.place = {.position = 3},
                                  .snapshot = *snapshots_.write(0, "f", snapshot(5, "state"))};
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::internal);
}

TEST_F(CommitStart, AChangedPipelineIsNotReplayedIntoOldState) {
  commit_with_snapshot(5);
  pipeline_.fingerprint = "two";
  start_worker();
  EXPECT_TRUE(fakes::acquire(*cycle_, 0)) << "nothing lies between snapshot and commit";
  pipeline_.fingerprint = "one";
  start_worker();
  acquire_and_commit(7, "b");
  pipeline_.fingerprint = "two";
  start_worker();
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::changed);
}

TEST_F(CommitStart, AChangedPipelineThatBeganAtASnapshotGoesOnFromIt) {
  commit_with_snapshot(5);
  pipeline_.fingerprint = "two";
  start_worker();
  acquire_and_commit(7, "b");
  start_worker();  // killed before a snapshot of its own
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->after, 5u);
  EXPECT_EQ(start->replay_until, 7u);
  pipeline_.fingerprint = "one";
  start_worker();
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::changed)
      << "nor is the new one's work replayed by the old one";
}

TEST_F(CommitStart, WhatASinkCommittedWithoutASnapshotIsReplayedByTheSamePipelineOnly) {
  acquire_and_commit(5, "a");
  start_worker();
  EXPECT_TRUE(fakes::acquire(*cycle_, 0));
  pipeline_.fingerprint = "two";
  start_worker();
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::changed);
}

TEST_F(CommitStart, OnlyTheTwoSnapshotsLastNamedAreKept) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  for (Position position = 1; position <= 4; ++position) {
    cycle_->take(step(0, position, "r"));
    const auto name = snapshots_.write(0, "f", snapshot(position, "state"));
    cycle_->name_snapshot(0, *name, position);
    ASSERT_TRUE(cycle_->commit());
  }
  EXPECT_EQ(manifests(), (std::set<std::string>{"test.0.0.3-f/manifest", "test.0.0.4-f/manifest"}));
}

TEST_F(CommitStart, ASnapshotThatProgressNamesIsKeptWhileALaneIsSilent) {
  commit_with_snapshot(5);
  cycle_->take(step(0, 9, "b"));
  ASSERT_TRUE(cycle_->commit());
  start_worker();
  ASSERT_EQ(fakes::acquire(*cycle_, 0)->after, 5u);
  for (const Position position : {6, 7, 8}) {
    const auto name = snapshots_.write(0, "g", snapshot(position, "state"));
    cycle_->take(step(0, position, ""));
    cycle_->name_snapshot(0, *name, position);
    ASSERT_TRUE(cycle_->commit());
  }
  start_worker();
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->after, 5u) << "nothing was committed since";
}

TEST_F(CommitStart, ASinkThatIsAheadOfAnotherKeepsItsPlace) {
  second_database_.places[0].progress = {.place = {.position = 0}};
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 5, "a"));
  cycle_->take(step(0, 9, "b"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.nodes[2].begins = SinkBegins::stream;
  start_worker(false, true);  // with a second sink, which has nothing yet
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start);
  EXPECT_EQ(start->replay_until, 0u);
  const auto name = snapshots_.write(0, "f", snapshot(5, "state"));
  LaneStep replayed = step(0, 5, "a");
  replayed.rows.push_back(step(0, 5, "a", 2).rows.front());
  cycle_->take(std::move(replayed));
  cycle_->name_snapshot(0, *name, 5);
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.place.position, 9u);
  EXPECT_EQ(second_database_.places[0].progress.place.position, 5u);
  EXPECT_EQ(second_database_.places[0].progress.snapshot, *name);
}

TEST_F(CommitStart, ASinkWithoutProgressOfAPipelineThatRanIsNamed) {
  EXPECT_TRUE(fakes::acquire(*cycle_, 0)->blank.empty()) << "the first run ever";
  cycle_->name_snapshot(0, *snapshots_.write(0, "f", snapshot(9, "state")), 9);
  cycle_->take(step(0, 9, "a"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.nodes[2].begins = SinkBegins::stream;
  start_worker(false, true);
  EXPECT_EQ(fakes::acquire(*cycle_, 0)->blank, std::vector<std::string>{"second"});
}

TEST_F(CommitStart, ASinkWithoutProgressBesideOneWithSomeIsNamedWithoutSnapshotsToo) {
  store_.is_durable = false;
  start_worker(false, true);
  EXPECT_TRUE(fakes::acquire(*cycle_, 0)->blank.empty()) << "the first run ever";
  start_worker();
  acquire_and_commit(9, "a");
  pipeline_.nodes[2].begins = SinkBegins::stream;
  start_worker(false, true);
  EXPECT_EQ(fakes::acquire(*cycle_, 0)->blank, std::vector<std::string>{"second"});
}

TEST_F(CommitStart, ARenamedSinkDoesNotBegin) {
  database_.peers = {{"test", "old", true, "S"}};
  const auto refused = fakes::acquire(*cycle_, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Error::Kind::invalid);
  database_.peers = {{"another", "old", true, "S"}};
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->rivals.size(), 1u) << "whether it reads the same stream is known later";
  cycle_->release(0);
  cycle_->give_back(0);
  pipeline_.nodes[0].begins = SinkBegins::stream;
  EXPECT_TRUE(fakes::acquire(*cycle_, 0)->rivals.empty()) << "\"start\": \"stream\" says so";
}

TEST_F(CommitStart, ARenamedSinkIsKnownByItsOldId) {
  start_worker(false, true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 9, "a"));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.nodes[2].id = "renamed";
  pipeline_.nodes[2].renamed_from = "second";
  start_worker(false, true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 12, "b"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.sinks, "db second");
}

TEST_F(CommitStart, NewSinksBeginWhereTheOthersStandAndSayWhereFirst) {
  const std::string name = commit_with_snapshot(5);
  cycle_->take(step(0, 9, "9"));
  ASSERT_TRUE(cycle_->commit());
  start_worker(true, true);
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  const Progress& adopted = second_database_.places[0].progress;
  EXPECT_EQ(adopted.place.position, 9u) << "before its first row";
  EXPECT_EQ(adopted.place.consumed, 9u);
  EXPECT_EQ(adopted.snapshot, name) << "it may be the only one soon";
  EXPECT_EQ(start->after, 5u);
  EXPECT_EQ(start->replay_until, 9u);
  EXPECT_TRUE(start->blank.empty());
  cycle_->take(for_all(12));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"a", "9", "12"}));
  EXPECT_EQ(second_database_.rows, std::vector<std::string>{"12"});
  EXPECT_EQ(list_rows_, std::vector<std::string>{"12"});
  EXPECT_EQ(database_.places[0].progress.sinks, "list db second");
}

TEST_F(CommitStart, ANewSinkThatCanNotSayWhereItBeginsDoesNotBegin) {
  acquire_and_commit(9, "9");
  start_worker(false, true);
  second_->next_fault = Fault::before;
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::unreachable);
  EXPECT_FALSE(sink_->owns(0));
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  EXPECT_EQ(second_database_.places[0].progress.place.position, 9u);
}

TEST_F(CommitStart, WhatANewSinkGetsFromTheFirstMessageOnNoOtherGetsTwice) {
  start_worker(true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(for_all(5));
  cycle_->take(for_all(9));
  ASSERT_TRUE(cycle_->commit());
  pipeline_.nodes[2].begins = SinkBegins::stream;
  start_worker(true, true);
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->replay_until, 0u);
  EXPECT_EQ(start->borders, (std::vector<Position>{0, 9, 9}));
  for (const Position position : {5, 9, 12}) cycle_->take(for_all(position));  // 9: exactly at the border
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(second_database_.rows, (std::vector<std::string>{"5", "9", "12"}));
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"5", "9", "12"}));
  EXPECT_EQ(list_rows_, (std::vector<std::string>{"5", "9", "12"}));
}

TEST_F(CommitStart, AnotherOutputCatchesUpFromTheFirstMessageAsWell) {
  acquire_and_commit(9, "9");
  pipeline_.nodes[1].begins = SinkBegins::stream;
  start_worker(true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(for_all(5));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(list_rows_, std::vector<std::string>{"5"});
  EXPECT_EQ(database_.places[0].progress.sinks, "db") << "from before it came";
  EXPECT_EQ(database_.places[0].progress.place.position, 9u);
  cycle_->take(for_all(12));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.sinks, "list db");
  EXPECT_EQ(database_.rows, (std::vector<std::string>{"9", "12"}));
}

TEST_F(CommitStart, ASinkWhoseProgressIsGoneStopsTheLaneUntilItIsReset) {
  start_worker(false, true);
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  for (const Position position : {5, 9}) {
    cycle_->take(for_all(position));
    ASSERT_TRUE(cycle_->commit());
  }
  second_database_ = {};
  start_worker(false, true);
  const auto lost = fakes::acquire(*cycle_, 0);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, Error::Kind::changed);
  EXPECT_NE(lost.error().message.find("`weir progress reset --node second --partition 0`"), std::string::npos)
      << lost.error().message;
  EXPECT_TRUE(second_database_.rows.empty());
  cycle_->release(0);
  cycle_->give_back(0);
  second_database_.places[0].progress.resets = 1;
  const auto again = fakes::acquire(*cycle_, 0);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->replay_until, 0u);
}

TEST_F(CommitStart, WhatWasDeletedUnderAWorkerIsNotWrittenAgain) {
  acquire_and_commit(9, "a");
  database_.places.clear();
  cycle_->take(step(0, 12, "b"));
  EXPECT_EQ(cycle_->commit()->refused, std::vector<Partition>{0});
  for (int i = 0; i < 2; ++i) {
    const auto again = fakes::acquire(*cycle_, 0);
    ASSERT_FALSE(again) << "it would start over";
    EXPECT_EQ(again.error().kind, Error::Kind::changed);
    EXPECT_TRUE(again.error().message.starts_with(
        "partition 0: the progress of db at position 9 was deleted while workers ran; "))
        << again.error().message;
    EXPECT_FALSE(sink_->owns(0)) << "whoever repairs it finds it free";
  }
  EXPECT_TRUE(fakes::acquire(*cycle_, 1)) << "of others nothing is missing";
  cycle_->release_all();
  EXPECT_FALSE(sink_->owns(0) || sink_->owns(1));
  start_worker();
  EXPECT_TRUE(fakes::acquire(*cycle_, 0)) << "as after `weir progress reset`";
}

/// It came to know by its heartbeats.
TEST_F(CommitStart, WhatWasDeletedUnderAnotherWorkerIsNotWrittenAgain) {
  sink_->lease_length = second;
  cycle_->note_committed({{.partition = 0, .position = 9, .resets = 0}, {.partition = 1, .position = 7, .resets = 0}});
  database_.places[1].progress.resets = 1;
  const auto begun = fakes::acquire(*cycle_, 0);
  ASSERT_FALSE(begun) << "it would start over";
  EXPECT_EQ(begun.error().kind, Error::Kind::changed);
  EXPECT_TRUE(begun.error().message.contains("position 9 was deleted while workers ran")) << begun.error().message;
  EXPECT_TRUE(fakes::acquire(*cycle_, 1)) << "that was reset";
  EXPECT_TRUE(fakes::acquire(*cycle_, 2)) << "of that there was nothing";
}

TEST_F(CommitStart, WhatWasDeletedAfterALeaseWasLostIsNotWrittenAgain) {
  acquire_and_commit(9, "a");
  start_worker();
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->lose(0);
  cycle_->give_back(0);
  database_.places.clear();
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::changed);
}

TEST_F(CommitStart, WhatWasGivenBackMayBeReset) {
  acquire_and_commit(9, "a");
  cycle_->release(0);
  cycle_->give_back(0);
  database_.places.clear();
  const auto again = fakes::acquire(*cycle_, 0);
  EXPECT_TRUE(again) << again.error().message;
}

TEST_F(CommitStart, WhereSnapshotsAloneTellThePlaceTheirLossUnderAWorkerIsNoNewBeginning) {
  cycle_ = std::make_unique<CommitCycle>(pipeline_, std::vector<CommitSink>{{1, list_.get(), {}}}, snapshots_, box_,
                                         counters_, ledger_);
  const auto acquire_and_lose = [&](Position position) {
    ASSERT_TRUE(fakes::acquire(*cycle_, 0));
    cycle_->take(step(0, position, "row", 1));
    ASSERT_TRUE(cycle_->commit());
    cycle_->lose(0);
    cycle_->give_back(0);
  };
  acquire_and_lose(3);  // nothing tells of this yet
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  cycle_->take(step(0, 5, "row", 1));
  cycle_->name_snapshot(0, *snapshots_.write(0, "f", snapshot(5, "state")), 5);
  ASSERT_TRUE(cycle_->commit());
  cycle_->lose(0);
  cycle_->give_back(0);
  stored_.clear();
  // One that was under way comes after all was deleted, into a store that was made again.
  ASSERT_TRUE(snapshots_.write(0, "f", snapshot(6, "state")));
  const auto again = fakes::acquire(*cycle_, 0);
  ASSERT_FALSE(again) << "all would be given out once more";
  EXPECT_EQ(again.error().kind, Error::Kind::changed);
  EXPECT_TRUE(
      again.error().message.starts_with("partition 0: what the \"state\" store held was deleted while workers ran, "
                                        "which had come to position 5"))
      << again.error().message;
}

TEST_F(CommitStart, ASnapshotThatNoCommitCanNameYetIsNotWaitedFor) {
  acquire_and_commit(9, "a");
  const auto name = snapshots_.write(0, "f", snapshot(12, "state"));
  cycle_->name_snapshot(0, *name, 12);
  EXPECT_FALSE(cycle_->pending(0)) << "a partition that is to go to another worker would never go";
  cycle_->take(step(0, 12, "b"));
  ASSERT_TRUE(cycle_->commit());
  EXPECT_EQ(database_.places[0].progress.snapshot, *name);
  EXPECT_FALSE(cycle_->pending(0));
}

TEST_F(CommitStart, WhereNothingWasCommittedNothingCanBeDeleted) {
  ASSERT_TRUE(fakes::acquire(*cycle_, 0));
  database_.places.clear();
  cycle_->take(step(0, 12, "b"));
  EXPECT_EQ(cycle_->commit()->refused, std::vector<Partition>{0});
  EXPECT_TRUE(fakes::acquire(*cycle_, 0));
}

TEST_F(CommitStart, WhatIsNotReplayedMayBeChanged) {
  acquire_and_commit(5, "a");
  pipeline_.fingerprint = "two";
  start_worker();
  const auto start = fakes::acquire(*cycle_, 0, false);
  ASSERT_TRUE(start) << start.error().message;
  EXPECT_EQ(start->committed(), 5u);
}

TEST_F(CommitStart, MoreKeysNeedNoSnapshot) {
  const std::vector<Part> parts{{"in", "a"}};
  const auto with_keys = [&](std::uint32_t keys) { return fingerprint(parts, {.keys = keys, .forget = minute}); };
  pipeline_.fingerprint = with_keys(10);
  acquire_and_commit(5, "a");
  pipeline_.fingerprint = with_keys(20);
  start_worker();
  acquire_and_commit(7, "b");
  pipeline_.fingerprint = with_keys(10);
  start_worker();
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().kind, Error::Kind::changed) << "those that came in would not again";
}

TEST_F(CommitStart, ARefusedChangeSaysWhatWhyAndWhatToDo) {
  const Bounds bounds{.keys = 10, .forget = minute};
  const auto asked = [&](std::vector<Part::Request> requests) {
    return fingerprint(std::vector<Part>{{"in", "a"}, {"rows", "b", 1, true, std::move(requests)}}, bounds);
  };
  store_.is_durable = false;
  pipeline_.fingerprint = asked({{"speed", "number", "db"}});
  acquire_and_commit(5, "a");
  pipeline_.fingerprint = asked({{"speed", "number", "db"}, {"charge", "number", "db"}});
  start_worker();
  EXPECT_EQ(fakes::acquire(*cycle_, 0).error().message,
            R"(partition 0: the pipeline was changed since its commit at position 5
  changed    db.columns now asks rows for "charge"
  why not    no snapshot was kept, so messages 1 to 5 would be read again, but lead to another state
  ways out   undo the change
             or give the old file a durable "state" store, run it, let it drain, then start this one
             or `weir progress reset`, or another "name": all rows again, beside those that are there
  next time  list in window-join's "fields" whatever may become a column: what stands there becomes one without a change of state)");
  store_.is_durable = true;
  EXPECT_TRUE(fakes::acquire(*cycle_, 0)
                  .error()
                  .message.contains("\n             or run the old file once more, let it drain"));
  pipeline_.nodes[2].begins = SinkBegins::stream;
  start_worker(false, true);
  EXPECT_TRUE(
      fakes::acquire(*cycle_, 0).error().message.contains("\n             or take two steps: run the old rules"));
}

TEST_F(CommitStart, ASinkIsNotSilencedByAnotherPipelinesReplay) {
  acquire_and_commit(9, "a");
  pipeline_.fingerprint = "two";
  start_worker(false, true);
  const auto start = fakes::acquire(*cycle_, 0);
  ASSERT_FALSE(start);
  EXPECT_EQ(start.error().kind, Error::Kind::changed);
  EXPECT_FALSE(sink_->owns(0) || second_->owns(0)) << "whoever repairs it finds it free";
}

}  // namespace
}  // namespace weir
