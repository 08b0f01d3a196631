/// One worker's commit cycle over databases and a store that are plain variables, whose connections break when a test
/// says so.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/checkpoint/commit.hpp"
#include "core/checkpoint/store_ledger.hpp"
#include "fakes/bare_ledger.hpp"
#include "fakes/letter_box.hpp"
#include "fakes/map_store.hpp"
#include "fakes/waiting_clock.hpp"

namespace weir::fakes {

/// A database as the commit protocol sees it: rows and progress change together or not at all.
struct Database {
  struct Place {
    Progress progress;
    std::uint64_t fence = 0;
  };
  std::map<Partition, Place> places;
  std::vector<std::string> rows;
  std::vector<Sink::DeadLetter> letters;
  std::uint64_t fences = 0;
  std::vector<Peer> peers;  // beside each place
};

enum class Fault { none, before, after };  // where the connection breaks: before the database has the commit, or after

/// A transactional sink over a Database, whose connection breaks when a test says so. Rows are the encoded bytes.
class DatabaseSink final : public Sink, public BareLedger {
 public:
  explicit DatabaseSink(Database& database) : database_{database} {}

  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
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
  bool write_dead_letter(const DeadLetter& letter) override {
    letters_.push_back(letter);
    return true;
  }
  Ledger* ledger() override { return this; }
  Result<Progress> acquire(Partition partition) override {
    if (taken.contains(partition)) return fail(Error::Kind::held, "another worker owns it");
    auto& place = database_.places[partition];
    place.fence = ++database_.fences;
    fences_[partition] = place.fence;
    return place.progress;
  }
  Result<std::vector<Peer>> peers(Partition) override { return database_.peers; }
  void release(Partition partition) override { fences_.erase(partition); }
  Duration lease() const override { return lease_length; }
  Result<std::vector<Partition>> renew() override {
    ++renewals;
    if (!connected) return fail(Error::Kind::unreachable, "not connected");
    return lost;
  }
  bool owns(Partition partition) const { return fences_.contains(partition); }

  Result<Committed> commit(std::span<const LaneCommit> lanes) override {
    const Fault fault = rows_written() > most ? Fault::before : std::exchange(next_fault, Fault::none);
    Committed out;
    if (fault == Fault::before) return broken();
    for (const Encoded* rows : written_) {
      if (refuses.contains(rows->partition)) return broken(Error::Kind::refused, "permission denied");
    }
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
  std::set<Partition> refuses;  // whose rows it has no right to take
  std::size_t most = SIZE_MAX;  // rows for which a transaction has time enough
  int opened = 0;
  Duration lease_length = 0;
  std::vector<Partition> lost;  // what the next renewals say
  int renewals = 0;

 private:
  std::size_t rows_written() const {
    std::size_t rows = 0;
    for (const Encoded* part : written_) rows += part->rows;
    return rows;
  }
  std::unexpected<Error> broken(Error::Kind kind = Error::Kind::unreachable,
                                const char* why = "the connection was lost") {
    written_.clear();
    letters_.clear();
    return fail(kind, why);
  }

  Database& database_;
  std::map<Partition, std::uint64_t> fences_;
  std::vector<const Encoded*> written_;
  std::vector<DeadLetter> letters_;
};

/// A sink without transactions: rows are durable when commit() returns, and may be written again.
class ListSink final : public Sink {
 public:
  explicit ListSink(std::vector<std::string>& rows) : rows_{rows} {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded& rows) override {
    waiting_.push_back(rows.bytes);
    if (rejected_row) rejected_.push_back({rows.batch, *rejected_row, "not_wanted"});
    return {};
  }
  Result<Committed> commit(std::span<const LaneCommit>) override {
    auto waiting = std::exchange(waiting_, {});
    if (std::exchange(next_fault, Fault::none) == Fault::before) return fail(Error::Kind::unreachable, "no answer");
    rows_.insert(rows_.end(), waiting.begin(), waiting.end());
    return Committed{.rejected = std::exchange(rejected_, {})};
  }
  Fault next_fault = Fault::none;
  std::optional<std::size_t> rejected_row;  // of every batch

 private:
  std::vector<std::string>& rows_;
  std::vector<std::string> waiting_;
  std::vector<Committed::Rejected> rejected_;
};

/// Acquires a partition and has its lane take part in commits.
inline Result<LaneStart> acquire(CommitCycle& cycle, Partition partition, bool replays = true) {
  auto acquired = cycle.acquire(partition, replays);
  if (!acquired) return std::unexpected(acquired.error());
  if (auto installed = cycle.install(partition, *acquired); !installed) {
    cycle.lose(partition);
    cycle.give_back(partition);
    return std::unexpected(installed.error());
  }
  return std::move(acquired->start);
}

/// A step with a row for each of the sinks.
inline LaneStep for_all(Position position) {
  LaneStep out;
  out.place = {.position = position, .arrival = static_cast<Timestamp>(position), .consumed = position};
  for (const std::size_t sink : {0, 1, 2}) {
    LaneStep::Rows rows;
    rows.sink = sink;
    rows.encoded.rows = 1;
    rows.encoded.bytes = std::to_string(position);
    out.rows.push_back(std::move(rows));
  }
  return out;
}

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
    std::vector<CommitSink> commit_sinks{{0, sink_.get(), transactional, pipeline_.nodes[0].id}};
    second_ = std::make_unique<DatabaseSink>(second_database_);
    if (with_second) commit_sinks.push_back({2, second_.get(), transactional, pipeline_.nodes[2].id});
    if (with_list) commit_sinks.push_back({1, list_.get(), {}, pipeline_.nodes[1].id});
    cycle_ = std::make_unique<CommitCycle>(pipeline_, std::move(commit_sinks), snapshots_, box_, counters_, ledger_);
    ++workers_;
    ASSERT_TRUE(cycle_->open());
  }

  /// Acquires partition 0 and commits a row at `position` that names a snapshot there: the snapshot's name.
  std::string commit_with_snapshot(Position position, std::string state = "state") {
    EXPECT_TRUE(fakes::acquire(*cycle_, 0));
    const auto name = snapshots_.write(0, "f", snapshot(position, std::move(state)));
    EXPECT_TRUE(name);
    cycle_->name_snapshot(0, *name, position);
    cycle_->take(step(0, position, "a"));
    EXPECT_TRUE(cycle_->commit());
    EXPECT_EQ(database_.places[0].progress.snapshot, *name);
    return *name;
  }

  static LaneStep step(Partition partition, Position position, const std::string& row, std::size_t sink = 0) {
    LaneStep out;
    out.partition = partition;
    out.place = {.position = position, .arrival = static_cast<Timestamp>(position), .consumed = position};
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
    return {{.place = {.position = position, .arrival = static_cast<Timestamp>(position), .consumed = position},
             .fingerprint = "one"},
            std::move(state)};
  }

  /// Acquires partition 0 and commits a row of it.
  void acquire_and_commit(Position position, const std::string& row) {
    ASSERT_TRUE(acquire(*cycle_, 0));
    cycle_->take(step(0, position, row));
    ASSERT_TRUE(cycle_->commit());
  }

  Database database_, second_database_;
  MapStore::Values stored_;
  MapStore store_{stored_};
  Snapshots snapshots_{store_, "test"};
  WaitingClock clock_;
  StoreLedger ledger_{store_, snapshots_, 4, {"worker", "0"}, clock_};
  LetterBox box_;
  Counters counters_;
  Pipeline pipeline_;
  std::vector<std::string> list_rows_;
  std::unique_ptr<DatabaseSink> sink_, second_;
  std::unique_ptr<ListSink> list_;
  std::unique_ptr<CommitCycle> cycle_;
  int workers_ = 0;
};

}  // namespace weir::fakes
