/// sink/duckdb on files of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <limits>
#include <thread>

#include "fakes/sink_fixture.hpp"
#include "fakes/temporary_directory.hpp"
#include "sinks/duckdb/duckdb.hpp"

namespace weir {
Operator weir_operator_sinks_duckdb();
}

namespace {
using namespace weir;
using fakes::lane;
using fakes::make_rows;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DuckDbSink : public testing::Test {
 protected:
  std::string path() const { return directory_.file("fleet.duckdb"); }

  std::unique_ptr<Sink> make(const SchemaPtr& schema) { return make(schema, context_, path(), "vehicle_second"); }

  std::unique_ptr<Sink> make(const SchemaPtr& schema, Context& context, const std::string& path,
                             const std::string& table) {
    Settings settings{"db"};
    settings.set("path", path);
    settings.set("table", table);
    settings.set("key_column", std::string{"vehicle"});
    settings.set("time_column", std::string{"time"});
    settings.set("memory", std::int64_t{256 << 20});
    settings.set("schema", schema_);
    auto sink = weir_operator_sinks_duckdb().make_sink(settings, context);
    EXPECT_TRUE(sink->bind_schema(schema).has_value());
    return sink;
  }

  std::unique_ptr<Sink> opened() {
    auto sink = make(rows(0)->schema);
    const auto done = sink->open();
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return sink;
  }

  std::shared_ptr<Batch> rows(std::size_t count, std::size_t first = 0) const {
    return make_rows(keys_, {"speed", "charge"}, count, first);
  }

  static Result<Committed> commit(Sink& sink, const BatchPtr& batch, Partition partition, Position to) {
    const Encoded encoded = fakes::encode(sink, batch, partition, to);
    EXPECT_TRUE(sink.write(encoded).has_value());
    const LaneCommit lanes[]{lane(partition, to)};
    return sink.commit(lanes);
  }

  /// What a process that tries to open the file is told while this one holds it; empty if it can't have `own`
  /// namespace of processes.
  std::string said_to_another_process(bool own) {
    int held[2], answer[2];
    if (::pipe(held) != 0 || ::pipe(answer) != 0) return {};
    // Sinks of one process share the file, so another one has to try; one that has nothing open itself.
    const pid_t child = ::fork();
    if (child == 0) {
      // The first needs rights that the second brings, where anybody may have it.
      if (own && ::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) ::_exit(0);
      if (const pid_t inner = own ? ::fork() : 0; inner != 0) ::_exit(::waitpid(inner, nullptr, 0) == inner ? 0 : 1);
      char ready = 0;
      (void)!::read(held[0], &ready, 1);
      const auto file = duck::File::open(path(), 64u << 20);
      const std::string said = file ? "opened" : file.error().message;
      (void)!::write(answer[1], said.data(), said.size());
      ::_exit(0);
    }
    auto sink = opened();
    (void)!::write(held[1], "", 1);
    ::close(answer[1]);
    std::string said;
    char buffer[512];
    for (ssize_t n = 0; (n = ::read(answer[0], buffer, sizeof buffer)) > 0;)
      said.append(buffer, static_cast<std::size_t>(n));
    for (const int end : {held[0], held[1], answer[0]}) ::close(end);
    ::waitpid(child, nullptr, 0);
    return said;
  }

  /// The one text column of a query; the sink must be closed.
  std::string ask(const std::string& sql) const {
    auto file = duck::File::open(path(), 256u << 20);
    if (!file) return file.error().message;
    const auto answer = file->run(sql);
    if (!answer) return answer.error().message;
    std::string out;
    for (const auto& row : *answer) out += (out.empty() ? "" : " ") + row[0].value_or("NULL");
    return out;
  }

  fakes::TemporaryDirectory directory_;
  fakes::SinkContext context_;
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>();
  std::string schema_ = "check";
};

TEST_F(DuckDbSink, commits_rows_with_their_progress_and_finds_both_again) {
  auto sink = opened();
  EXPECT_EQ(sink->ledger()->acquire(3)->place.position, 0u);
  const auto done = commit(*sink, rows(5000), 3, 42);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_THAT(done->refused, IsEmpty());
  sink.reset();
  EXPECT_EQ(ask("SELECT count(*)::VARCHAR FROM vehicle_second"), "5000");
  EXPECT_EQ(ask("SELECT concat_ws(' ', vehicle, time, speed, charge) FROM vehicle_second WHERE speed = 4999"),
            "v1 2026-01-01 01:23:19 4999.0 4999.125");
  sink = opened();
  const auto again = sink->ledger()->acquire(3);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->place.position, 42u);
  EXPECT_EQ(again->place.arrival, 43);
  EXPECT_EQ(again->snapshot, "s");
  EXPECT_EQ(again->stream, (StreamIdentity{"S", 5}));
  EXPECT_EQ(again->place.stamp, 44);
  EXPECT_EQ(again->place.consumed, 45u);
  EXPECT_EQ(again->sinks, "db nats");
  ASSERT_TRUE(commit(*sink, rows(1, 5000), 3, 43).has_value());
}

TEST_F(DuckDbSink, tells_of_progress_of_others_for_the_same_table) {
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(3).has_value());
  EXPECT_THAT(*sink->ledger()->peers(3), IsEmpty());
  ASSERT_TRUE(commit(*sink, rows(1), 3, 42).has_value());
  sink.reset();
  ask("INSERT INTO weir_progress (pipeline, node, partition, position, stream, target) SELECT pipeline, 'old', "
      "partition, 7, 'S', 'vehicle_second' FROM weir_progress UNION ALL SELECT 'another', 'db', 3, 7, 'S', "
      "'vehicle_second' UNION ALL SELECT 'another', 'events', 3, 7, 'S', 'event' UNION ALL SELECT 'another', 'db', 4, 7, "
      "'S', 'vehicle_second'");
  sink = opened();
  const auto peers = sink->ledger()->peers(3);
  ASSERT_TRUE(peers.has_value() && peers->size() == 2);
  EXPECT_EQ((*peers)[0].pipeline, "another");
  EXPECT_EQ((*peers)[1].node, "old");
  EXPECT_TRUE((*peers)[1].same_table);
  EXPECT_EQ((*peers)[1].stream, "S");
}

TEST_F(DuckDbSink, what_was_not_committed_is_not_there) {
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  const Encoded encoded = fakes::encode(*sink, rows(10), 0, 1);
  ASSERT_TRUE(sink->write(encoded).has_value());
  sink.reset();
  EXPECT_EQ(ask("SELECT (SELECT count(*) FROM vehicle_second) || ' ' || position FROM weir_progress"), "0 0");
}

TEST_F(DuckDbSink, a_lane_that_does_not_stand_where_it_was_left_is_refused_and_the_others_commit) {
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  ASSERT_TRUE(sink->ledger()->acquire(1).has_value());
  ASSERT_TRUE(commit(*sink, rows(10), 0, 10).has_value());
  EXPECT_EQ(*sink->ledger()->reset(Partition{0}), 1u);
  std::vector<Encoded> parts{fakes::encode(*sink, rows(5, 10), 0, 20), fakes::encode(*sink, rows(3, 100), 1, 20)};
  for (const Encoded& part : parts) ASSERT_TRUE(sink->write(part).has_value());
  ASSERT_TRUE(sink->write_dead_letter({0, 20, 0, no_time, "n", "goes with its lane", "", ""}));
  const LaneCommit lanes[]{lane(0, 20), lane(1, 20)};
  const auto done = sink->commit(lanes);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_THAT(done->refused, ElementsAre(0u));
  EXPECT_THAT(commit(*sink, rows(1), 0, 30)->refused, ElementsAre(0u));
  sink.reset();
  EXPECT_EQ(ask("SELECT count(*)::VARCHAR FROM vehicle_second"), "13");
  EXPECT_EQ(ask("SELECT count(*)::VARCHAR FROM weir_dead_letters"), "0");
}

TEST_F(DuckDbSink, stores_nulls_infinities_and_cut_times) {
  auto batch = rows(3);
  const double inf = std::numeric_limits<double>::infinity();
  batch->columns[1] = Column::timestamp({1'999, -1, 4'102'444'800 * second});
  batch->columns[2] = Column::float64({inf, -inf, std::numeric_limits<double>::quiet_NaN()});
  batch->columns[3] = Column{};
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  const auto done = commit(*sink, batch, 0, 1);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  sink.reset();
  EXPECT_EQ(
      ask("SELECT time || ' ' || speed || ' ' || coalesce(charge::VARCHAR, 'NULL') FROM vehicle_second ORDER BY time"),
      "1969-12-31 23:59:59.999999 -inf NULL 1970-01-01 00:00:00.000001 inf NULL 2100-01-01 00:00:00 nan NULL");
}

TEST_F(DuckDbSink, texts_that_cannot_be_stored_become_dead_letters) {
  auto batch = rows(100);
  Ids ids = batch->columns[0].ids();
  ids.ids[50] = *keys_->intern("\xFF");
  batch->columns[0] = Column::dictionary(ids);
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  ASSERT_TRUE(sink->write_dead_letter({0, 7, 2, 5, "signals", {"odd", "it's\xFF"}, "s", std::string("\0\xFF", 2)}));
  const auto done = commit(*sink, batch, 0, 7);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  ASSERT_EQ(done->rejected.size(), 1u);
  EXPECT_EQ(done->rejected[0].row, 50u);
  EXPECT_TRUE(done->rejected[0].dead_lettered);
  sink.reset();
  EXPECT_EQ(ask("SELECT count(*)::VARCHAR FROM vehicle_second"), "99");
  EXPECT_EQ(ask("SELECT concat_ws(' ', node, position, ordinal, arrival_ns, reason, detail, hex(payload)) FROM "
                "weir_dead_letters WHERE node = 'signals'"),
            "signals 7 2 5 odd it's\xEF\xBF\xBD 00FF");
  EXPECT_EQ(ask("SELECT reason FROM weir_dead_letters WHERE node = 'db' AND ordinal IS NULL AND row = 50"),
            "text_not_utf8");
}

TEST_F(DuckDbSink, keeps_many_dead_letters_of_any_size_in_one_commit) {
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  for (std::int64_t n = 0; n < 5000; ++n) {
    const std::size_t size = n == 2500 ? 1u << 20 : 10;
    ASSERT_TRUE(
        sink->write_dead_letter({0, static_cast<Position>(n), 0, n, "signals", "bad", "s", std::string(size, 'x')}));
  }
  ASSERT_TRUE(commit(*sink, rows(1), 0, 5000).has_value());
  sink.reset();
  EXPECT_EQ(ask("SELECT concat_ws(' ', count(*), count(DISTINCT position), sum(octet_length(payload))) FROM "
                "weir_dead_letters"),
            std::to_string(5000) + " 5000 " + std::to_string(4999 * 10 + (1 << 20)));
}

TEST_F(DuckDbSink, brings_a_table_of_dead_letters_up_to_date_that_an_earlier_version_made) {
  ask("CREATE TABLE weir_dead_letters (pipeline VARCHAR, node VARCHAR, partition INTEGER, position BIGINT, ordinal "
      "BIGINT, arrival_ns BIGINT, reason VARCHAR, subject VARCHAR, payload BLOB)");
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  Sink::DeadLetter letter{0, 7, 0, 5, "rows", "bad", "s", "p"};
  letter.row = 40;
  ASSERT_TRUE(sink->write_dead_letter(letter));
  ASSERT_TRUE(commit(*sink, rows(1), 0, 7).has_value());
  sink.reset();
  EXPECT_EQ(ask("SELECT concat_ws(' ', row, arrival_ns, reason, payload) FROM weir_dead_letters"), "40 5 bad p");
}

TEST_F(DuckDbSink, refuses_a_table_that_differs_and_prints_the_statements_to_run) {
  ask("CREATE TABLE vehicle_second (vehicle VARCHAR, time TIMESTAMP, speed FLOAT)");
  auto sink = make(rows(0)->schema);
  const auto done = sink->open();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, Error::Kind::changed);
  const std::string& message = done.error().message;
  EXPECT_THAT(message, HasSubstr("column \"speed\" is FLOAT, not DOUBLE; column \"charge\" is missing"));
  ask(message.substr(message.find("ALTER TABLE")));
  EXPECT_TRUE(sink->open().has_value());
}

TEST_F(DuckDbSink, adds_columns_where_it_may) {
  ask("CREATE TABLE vehicle_second (vehicle VARCHAR, time TIMESTAMP, speed DOUBLE);"
      "INSERT INTO vehicle_second VALUES ('v', '2026-01-01', 1.5)");
  EXPECT_FALSE(make(rows(0)->schema)->open().has_value());
  schema_ = "add-columns";
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  ASSERT_TRUE(commit(*sink, rows(1), 0, 7).has_value());
  sink.reset();
  EXPECT_EQ(ask("SELECT concat_ws(' ', count(*), count(charge)) FROM vehicle_second"), "2 1");
  ask("ALTER TABLE vehicle_second ALTER COLUMN speed TYPE FLOAT");
  EXPECT_FALSE(make(rows(0)->schema)->open().has_value());
}

TEST_F(DuckDbSink, shares_a_file_with_other_sinks_of_the_process) {
  fakes::CountingContext other_context{"sessions"};
  std::filesystem::create_directory(directory_.file("sub"));
  std::filesystem::create_symlink(path(), directory_.file("sub/link.duckdb"));
  auto one = opened();
  auto two = make(rows(0)->schema, other_context, directory_.file("sub/link.duckdb"), "sessions");
  ASSERT_TRUE(two->open().has_value());
  for (Sink* sink : {one.get(), two.get()}) ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  const auto write = [](Sink& sink, std::size_t each) {
    for (Position to = 1; to <= 50; ++to) {
      const auto batch = make_rows(std::make_shared<Dictionary>(), {"speed", "charge"}, each);
      const auto committed = commit(sink, batch, 0, to);
      EXPECT_TRUE(committed.has_value()) << committed.error().message;
    }
  };
  {
    const std::jthread first{[&] { write(*one, 10); }};
    const std::jthread second{[&] { write(*two, 3); }};
  }
  one.reset();
  ASSERT_TRUE(commit(*two, rows(5), 0, 51).has_value());
  two.reset();
  EXPECT_EQ(ask("SELECT (SELECT count(*) FROM vehicle_second) || ' ' || (SELECT count(*) FROM sessions)"), "500 155");
  EXPECT_EQ(ask("SELECT node || ' ' || position FROM weir_progress ORDER BY node"), "db 50 sessions 51");
}

TEST_F(DuckDbSink, says_who_holds_the_file) {
  EXPECT_THAT(said_to_another_process(false),
              HasSubstr("is open in another process (PID " + std::to_string(::getpid()) + "); one process at a time"));
}

TEST_F(DuckDbSink, names_no_holder_that_it_can_not_see) {
  const std::string said = said_to_another_process(true);
  if (said.empty()) GTEST_SKIP() << "no namespace of its own may be made here";
  EXPECT_THAT(said, HasSubstr("is open in another process; one process at a time"));
}

TEST_F(DuckDbSink, lists_and_forgets_progress_without_being_opened) {
  auto closed = make(rows(0)->schema);
  EXPECT_THAT(*closed->ledger()->progress(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(path()));
  {
    auto sink = opened();
    ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
    ASSERT_TRUE(sink->ledger()->acquire(2).has_value());
    ASSERT_TRUE(commit(*sink, rows(1), 2, 9).has_value());
  }
  const auto lines = closed->ledger()->progress();
  ASSERT_TRUE(lines.has_value() && lines->size() == 2);
  EXPECT_EQ((*lines)[1].progress.place.position, 9u);
  EXPECT_GT((*lines)[1].updated, 1'700'000'000 * second);
  EXPECT_EQ(*closed->ledger()->reset(std::nullopt), 2u);
  EXPECT_THAT(*closed->ledger()->progress(), IsEmpty());
  const auto blank = opened()->ledger()->acquire(2);
  ASSERT_TRUE(blank.has_value());
  EXPECT_EQ(blank->place.position, 0u);
  EXPECT_EQ(blank->snapshot, "");
  EXPECT_EQ(blank->stream, StreamIdentity{});
  EXPECT_EQ(blank->resets, 1u);
}

TEST_F(DuckDbSink, says_that_a_file_can_not_be_looked_for) {
  auto closed = make(rows(0)->schema, context_, directory_.file(std::string(300, 'x')), "vehicle_second");
  const auto lines = closed->ledger()->progress();
  ASSERT_FALSE(lines.has_value());
  EXPECT_THAT(lines.error().message, HasSubstr("xxx: File name too long"));
}

TEST_F(DuckDbSink, forgets_many_partitions_or_one_and_says_how_many) {
  auto sink = opened();
  for (Partition partition = 0; partition < 20; ++partition)
    ASSERT_TRUE(sink->ledger()->acquire(partition).has_value());
  EXPECT_EQ(*sink->ledger()->reset(Partition{7}), 1u);
  EXPECT_EQ(*sink->ledger()->reset(Partition{7}), 0u);
  EXPECT_EQ(*sink->ledger()->reset(std::nullopt), 19u);
  EXPECT_THAT(*sink->ledger()->progress(), IsEmpty());
}

TEST_F(DuckDbSink, reads_text_and_nothing_else) {
  auto file = duck::File::open(path(), 64u << 20);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const auto numbers = file->run("SELECT 'a', 4711");
  ASSERT_FALSE(numbers.has_value());
  EXPECT_THAT(numbers.error().message, HasSubstr("column 2 of a query is not cast to VARCHAR"));
  ASSERT_TRUE(file->run("CREATE TABLE t (x BIGINT)").has_value());
  const auto changed = file->run("INSERT INTO t SELECT range FROM range(20)");
  ASSERT_TRUE(changed.has_value()) << changed.error().message;
  EXPECT_THAT(*changed, IsEmpty());
}

TEST_F(DuckDbSink, a_full_disk_can_be_waited_for) {
  const auto fill_and_free = [&]() -> std::string {
    auto sink = opened();
    if (!sink->ledger()->acquire(0)) return "no owner";
    std::signal(SIGXFSZ, SIG_IGN);
    for (const std::size_t count : {1000u, 200'000u}) {  // the one goes through the log, the other past it
      const rlimit full{8'000, RLIM_INFINITY}, freed{RLIM_INFINITY, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &full);
      const auto failed = commit(*sink, rows(count), 0, 10);
      ::setrlimit(RLIMIT_FSIZE, &freed);
      if (failed || failed.error().kind != Error::Kind::unreachable)
        return failed ? "committed" : "not unreachable: " + failed.error().message;
      if (const auto again = sink->open(); !again) return again.error().message;
      if (sink->ledger()->acquire(0)->place.position != 0) return "half committed";
    }
    const auto done = commit(*sink, rows(7), 0, 10);
    return done ? "" : done.error().message;
  };
  // Limits are of the whole process, and can't be lifted everywhere.
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string problem = fill_and_free();
    (void)!::write(said[1], problem.data(), problem.size());
    ::_exit(0);
  }
  ::close(said[1]);
  char buffer[512];
  const ssize_t length = ::read(said[0], buffer, sizeof buffer);
  ::close(said[0]);
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ((std::string{buffer, static_cast<std::size_t>(std::max<ssize_t>(length, 0))}), "");
  EXPECT_EQ(ask("SELECT count(*)::VARCHAR FROM vehicle_second"), "7");
}

TEST_F(DuckDbSink, too_little_memory_may_do_for_fewer_rows) {
  auto file = duck::File::open(path(), 16u << 20);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const auto distinct = [&](std::size_t rows) {
    return file->run("SET temp_directory = ''; SELECT count(*)::VARCHAR FROM (SELECT DISTINCT hash(range) FROM range(" +
                     std::to_string(rows) + "))");
  };
  const auto much = distinct(3'000'000);
  ASSERT_FALSE(much.has_value());
  EXPECT_EQ(much.error().kind, Error::Kind::unreachable) << much.error().message;
  const auto little = distinct(1000);
  ASSERT_TRUE(little.has_value()) << little.error().message;
  EXPECT_EQ(file->run("SELECT nothing").error().kind, Error::Kind::refused);
}

TEST_F(DuckDbSink, a_row_that_a_constraint_forbids_is_refused) {
  auto sink = opened();
  ASSERT_TRUE(sink->ledger()->acquire(0).has_value());
  ask("CREATE UNIQUE INDEX once ON vehicle_second (speed)");
  ASSERT_TRUE(commit(*sink, rows(1), 0, 1).has_value());
  const auto twice = commit(*sink, rows(1), 0, 2);
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().kind, Error::Kind::refused) << twice.error().message;
}

}  // namespace
