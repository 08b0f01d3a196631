/// sink/timescale against real servers: other owners, data that is refused, connections that break.
#include <gmock/gmock.h>

#include <future>

#include <weir/format.hpp>

#include "clients/postgres.hpp"
#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;
using fakes::encode;
using fakes::lane;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TimescaleFailures : public fakes::TimescaleSink {
 protected:
  static void pause(Duration length) { system_clock().wait(length, {}); }

  /// Waits until a query answers something; fails the test after ten seconds.
  void until(const std::string& sql, const std::string& answer) const {
    for (int i = 0; i < 500; ++i) {
      if (ask(sql) == answer) return;
      pause(20 * millisecond);
    }
    ADD_FAILURE() << sql << " never answered " << answer;
  }

  void terminate_workers() const {
    ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name ~ '^weir/fleet/db/[0-9a-f]+$'");
  }
  void expire_leases() const {
    ask("UPDATE " + schema_ + ".weir_progress SET lease_until = clock_timestamp() - interval '1 second'");
  }

  /// What is to be done with each row whose speed is 13.
  void add_trigger(const std::string& body) const {
    ask(weir::format(
        "CREATE FUNCTION {0}.judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.speed = 13 THEN {1}; "
        "END IF; RETURN NEW; END $$; "
        "CREATE TRIGGER judge BEFORE INSERT ON {2} FOR EACH ROW EXECUTE FUNCTION {0}.judge()",
        schema_, body, table()));
  }

  /// Opens and acquires again, as the engine does after an error.
  static Position recover(Worker& worker) {
    const auto opened = worker->open();
    EXPECT_TRUE(opened.has_value()) << opened.error().message;
    const auto acquired = worker->ledger()->acquire(0);
    EXPECT_TRUE(acquired.has_value()) << acquired.error().message;
    return acquired ? acquired->place.position : 0;
  }
};

INSTANTIATE_TEST_SUITE_P(Servers, TimescaleFailures, testing::Values(true, false),
                         [](const auto& server) { return server.param ? "timescale" : "plain"; });

TEST_P(TimescaleFailures, a_partition_has_one_owner_until_the_lease_runs_out) {
  lease_ = second;
  auto one = worker({0});
  auto two = worker();
  const auto refused = two->sink->ledger()->acquire(0);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, Error::Kind::held);
  EXPECT_THAT(refused.error().message, HasSubstr("partition 0 belongs to weir-"));
  for (int i = 0; i < 4; ++i) {
    pause(400 * millisecond);
    EXPECT_THAT(*one->sink->ledger()->renew(), IsEmpty());
  }
  EXPECT_FALSE(two->sink->ledger()->acquire(0).has_value());
  pause(1100 * millisecond);
  EXPECT_TRUE(two->sink->ledger()->acquire(0).has_value());
  EXPECT_THAT(*one->sink->ledger()->renew(), ElementsAre(0u));
}

TEST_P(TimescaleFailures, a_released_partition_is_free_at_once) {
  auto one = worker({0});
  auto two = worker();
  one->sink->ledger()->release(0);
  EXPECT_TRUE(two->sink->ledger()->acquire(0).has_value());
  const auto late = commit(*one, rows(3), 0, 1);
  ASSERT_TRUE(late.has_value());
  EXPECT_THAT(late->refused, ElementsAre(0u));
  EXPECT_EQ(count(), "0");
}

TEST_P(TimescaleFailures, a_zombie_is_refused_and_its_other_lanes_commit) {
  auto zombie = worker({0, 1});
  ASSERT_TRUE(commit(*zombie, rows(10), 0, 10).has_value());
  expire_leases();
  auto heir = worker({0});
  std::vector<Encoded> parts{encode(*zombie->sink, rows(5, 10), 0, 20), encode(*zombie->sink, rows(5, 100), 1, 20)};
  for (const Encoded& part : parts) ASSERT_TRUE(zombie->sink->write(part).has_value());
  ASSERT_TRUE(zombie->sink->write_dead_letter({0, 20, 0, no_time, "n", "lost with the lane", "", ""}));
  ASSERT_TRUE(zombie->sink->write_dead_letter({1, 20, 0, no_time, "n", "kept", "", ""}));
  const LaneCommit lanes[]{lane(0, 20), lane(1, 20)};
  const auto done = zombie->sink->commit(lanes);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_THAT(done->refused, ElementsAre(0u));
  EXPECT_EQ(positions(), "0 10 1 20");
  EXPECT_EQ(count(), "15");
  EXPECT_EQ(letters(), "1 20 0 kept");
  ASSERT_TRUE(commit(*heir, rows(5, 10), 0, 20).has_value());
  EXPECT_EQ(count(), "20");
  EXPECT_EQ(ask("SELECT count(DISTINCT (vehicle, time)) FROM " + table()), "20");
  // What it lost stays lost until it acquires again.
  EXPECT_THAT(commit(*zombie, rows(1), 0, 30)->refused, ElementsAre(0u));
}

/// A worker that stands still in the middle of a COPY keeps its transaction open, for PostgreSQL waits for its client.
TEST_P(TimescaleFailures, who_takes_over_ends_what_the_former_owner_has_left_open) {
  Settings with = settings();
  with.set("url", server().url() + "?application_name=of-somebody");
  auto zombie = make(with, rows(0)->schema);
  ASSERT_TRUE(zombie->sink->open() && zombie->sink->ledger()->acquire(0));
  const std::string session =
      ask("SELECT application_name FROM pg_stat_activity WHERE application_name ~ "
          "'^weir/fleet/db/[0-9a-f]+$'");
  auto copying =
      postgres::Connection::open({.url = server().url(), .application = session, .limit = 20 * second}).value();
  ASSERT_TRUE(copying.run("BEGIN; INSERT INTO " + table() + " (vehicle, time) VALUES ('z', now())"));
  auto refused = worker();
  EXPECT_FALSE(refused->sink->ledger()->acquire(0));
  EXPECT_TRUE(copying.run("SELECT 1")) << "the lease runs";
  expire_leases();
  auto heir = worker({0});
  EXPECT_FALSE(copying.run("COMMIT"));
  EXPECT_EQ(count(), "0");
  EXPECT_TRUE(commit(*zombie, rows(1), 0, 30)->refused.size() == 1) << "what is not in a transaction goes on";
}

TEST_P(TimescaleFailures, the_position_alone_stops_a_second_copy_of_the_same_rows) {
  auto one = worker({0});
  // This worker's own COMMIT came through although it was given up: same fence, position moved.
  ask("UPDATE " + schema_ + ".weir_progress SET position = 10");
  const auto done = commit(*one, rows(10), 0, 10);
  ASSERT_TRUE(done.has_value());
  EXPECT_THAT(done->refused, ElementsAre(0u));
  EXPECT_EQ(count(), "0");
}

TEST_P(TimescaleFailures, a_table_that_is_altered_meanwhile_stops_the_sink_and_loses_nothing) {
  auto one = worker({0});
  ASSERT_TRUE(commit(*one, rows(10), 0, 10).has_value());
  const struct {
    std::string change, found, back;
  } cases[]{
      {"ALTER COLUMN speed TYPE integer", "column \"speed\" is integer, not double precision", ""},
      // As many bytes, so the server takes them, as other numbers.
      {"ALTER COLUMN speed TYPE bigint", "column \"speed\" is bigint, not double precision", ""},
      {"RENAME COLUMN charge TO soc", "column \"charge\" is missing", "RENAME COLUMN soc TO charge"},
      {"DROP COLUMN charge", "column \"charge\" is missing", ""},
  };
  for (const auto& [change, found, back] : cases) {
    SCOPED_TRACE(change);
    ask("ALTER TABLE " + table() + " " + change);
    const auto done = commit(*one, rows(1000, 10), 0, 20);
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().kind, Error::Kind::changed);
    EXPECT_THAT(done.error().message, HasSubstr(found));
    EXPECT_EQ(one->sink->open().error().message, done.error().message);
    EXPECT_EQ(count() + " " + positions() + " " + letters(), "10 0 10 ");
    ask(back.empty() ? done.error().message.substr(done.error().message.find("ALTER TABLE"))
                     : "ALTER TABLE " + table() + " " + back);
    EXPECT_EQ(recover(*one), 10u);
  }
  ASSERT_TRUE(commit(*one, rows(1000, 10), 0, 20).has_value());
  EXPECT_EQ(ask("SELECT count(*), max(speed) FROM " + table()) + " " + positions(), "1010 1009 0 20");
  ask("DROP TABLE " + table());
  const auto done = commit(*one, rows(1, 2000), 0, 30);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, Error::Kind::changed);
  EXPECT_THAT(done.error().message, HasSubstr(" is gone: a new one is made"));
}

TEST_P(TimescaleFailures, only_the_bad_rows_of_a_batch_become_dead_letters) {
  auto one = worker({0});
  ask("ALTER TABLE " + table() + " ADD CHECK (speed <> 13 AND speed <> 700)");
  auto batch = rows(1000);
  keys_->intern("evil");
  const auto id = *keys_->intern(std::string_view("a\0b", 3));
  Ids ids = batch->columns[0].ids();
  ids.ids[500] = id;
  batch->columns[0] = Column::dictionary(ids);
  Encoded first = encode(*one->sink, rows(10, 5000), 0, 20);
  Encoded poisoned = encode(*one->sink, batch, 0, 21);
  poisoned.number = 10;
  ASSERT_TRUE(one->sink->write(first).has_value());
  ASSERT_TRUE(one->sink->write(poisoned).has_value());
  ASSERT_TRUE(one->sink->write_dead_letter({0, 20, 0, no_time, "n", "earlier", "", ""}));
  const LaneCommit lanes[]{lane(0, 21)};
  const auto done = one->sink->commit(lanes);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  ASSERT_EQ(done->rejected.size(), 3u);
  EXPECT_EQ(done->rejected[0].row, 500u);
  EXPECT_EQ(done->rejected[0].reason.text(), "text_has_nul: in key");
  EXPECT_EQ(done->rejected[1].row, 13u);
  EXPECT_EQ(done->rejected[1].reason.code, "sqlstate_23514");
  EXPECT_EQ(done->rejected[2].row, 700u);
  EXPECT_TRUE(done->rejected[2].dead_lettered);
  EXPECT_EQ(done->rejected[2].batch, batch);
  EXPECT_EQ(count(), "1007");
  EXPECT_EQ(positions(), "0 21");
  EXPECT_THAT(letters(), HasSubstr("0 20 0 earlier 0 21 row 23 sqlstate_23514: new row for relation"));
  EXPECT_THAT(letters(), HasSubstr("0 21 row 510 text_has_nul: in key"));
  EXPECT_EQ(ask("SELECT convert_from(payload, 'UTF8')::json->>'speed' FROM " + schema_ +
                ".weir_dead_letters WHERE row = 710"),
            "700");
  if (!GetParam()) {
    EXPECT_EQ(ask("SELECT bool_and(earlier < ctid) FROM (SELECT ctid, lag(ctid) OVER (ORDER BY time) AS earlier FROM " +
                  table() + " WHERE speed < 1000) AS pairs"),
              "t");
  }
  ASSERT_TRUE(commit(*one, rows(1), 0, 30).has_value());
}

TEST_P(TimescaleFailures, a_row_that_a_trigger_objects_to_is_a_dead_letter) {
  auto one = worker({0});
  add_trigger("RAISE EXCEPTION 'not 13'");
  const auto done = commit(*one, rows(20), 0, 5);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  ASSERT_EQ(done->rejected.size(), 1u);
  EXPECT_EQ(done->rejected[0].reason.code, "sqlstate_p0001");
  EXPECT_EQ(positions() + " " + count(), "0 5 19");
  EXPECT_THAT(letters(), HasSubstr("sqlstate_p0001: not 13"));
}

TEST_P(TimescaleFailures, what_passes_is_tried_again_and_what_must_be_mended_is_told) {
  using enum Error::Kind;
  const std::pair<const char*, Error::Kind> states[]{
      {"40001", unreachable},  // serialization_failure
      {"40P01", unreachable},  // deadlock_detected
      {"53300", unreachable},  // too_many_connections
      {"53100", unreachable},  // disk_full
      {"55P03", unreachable},  // lock_not_available
      {"57014", unreachable},  // query_canceled, as by statement_timeout
      {"57P01", unreachable},  // admin_shutdown
      {"25006", unreachable},  // read_only_sql_transaction, after a fail-over
      {"XX000", refused},      // internal_error
      {"0A000", refused},      // feature_not_supported
      {"42501", refused},      // insufficient_privilege
  };
  auto one = worker({0});
  add_trigger("RAISE EXCEPTION 'no' USING ERRCODE = current_setting('weir.state')");
  for (const auto& [state, kind] : states) {
    ask(weir::format("ALTER ROLE CURRENT_USER SET weir.state = '{}'", state));
    terminate_workers();
    (void)commit(*one, rows(0), 0, 0);  // finds that its connection was ended
    const Position before = recover(*one);
    const auto done = commit(*one, rows(20), 0, before + 5);
    ASSERT_FALSE(done.has_value()) << state;
    EXPECT_EQ(done.error().kind, kind) << state << ": " << done.error().message;
    EXPECT_THAT(done.error().message, HasSubstr(state));
    (void)recover(*one);
  }
  ask("ALTER ROLE CURRENT_USER RESET weir.state");
  EXPECT_EQ(count() + letters(), "0") << "nothing was written, and nothing taken for bad data";
}

TEST_P(TimescaleFailures, rows_that_a_trigger_leaves_out_are_counted_and_told) {
  auto one = worker({0});
  add_trigger("RETURN NULL");
  ASSERT_TRUE(one->sink->write_dead_letter({0, 5, 0, no_time, "n", "a letter is no row", "", ""}));
  ASSERT_TRUE(commit(*one, rows(20), 0, 5).has_value());
  EXPECT_EQ(count(), "19");
  EXPECT_EQ(one->context.counted("swallowed_rows"), 1u);
  EXPECT_THAT(one->context.warnings(), ElementsAre(HasSubstr("a trigger on the table leaves rows out")));
  ask("ALTER TABLE " + table() + " ADD CHECK (speed <> 27)");
  ASSERT_TRUE(commit(*one, rows(20, 20), 0, 9).has_value());
  ASSERT_TRUE(commit(*one, rows(20), 0, 12).has_value()) << "row by row";
  EXPECT_EQ(count(), "57");
  EXPECT_EQ(one->context.counted("swallowed_rows"), 2u);
}

/// Ending them is a courtesy: where the server does not allow it, the acquisition stands.
TEST_P(TimescaleFailures, who_may_not_end_what_was_left_open_takes_over_all_the_same) {
  auto zombie = worker({0});
  expire_leases();
  auto heir = worker();
  ask("ALTER FUNCTION pg_terminate_backend(integer, bigint) RENAME TO pg_terminate_backend_away");
  const auto acquired = heir->sink->ledger()->acquire(0);
  ask("ALTER FUNCTION pg_terminate_backend_away(integer, bigint) RENAME TO pg_terminate_backend");
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_THAT(heir->context.warnings(), ElementsAre(HasSubstr("what its former owner has left open stays")));
  EXPECT_TRUE(commit(*heir, rows(3), 0, 3)->refused.empty());
}

TEST_P(TimescaleFailures, a_batch_of_bad_rows_only_still_moves_on) {
  auto one = worker({0});
  ask("ALTER TABLE " + table() + " ADD CHECK (speed < 0)");
  const auto done = commit(*one, rows(20), 0, 5);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(done->rejected.size(), 20u);
  EXPECT_EQ(positions() + " " + count(), "0 5 0");
}

/// Hypertables have no deferred foreign keys.
using PlainTableFailures = TimescaleFailures;
INSTANTIATE_TEST_SUITE_P(Servers, PlainTableFailures, testing::Values(false),
                         [](const auto&) { return std::string{"plain"}; });

TEST_P(PlainTableFailures, constraints_that_wait_for_the_commit_find_their_rows_too) {
  auto one = worker({0});
  ask("CREATE TABLE " + schema_ + ".known (vehicle text PRIMARY KEY); INSERT INTO " + schema_ +
      ".known SELECT 'v' || g FROM generate_series(0, 5) g; ALTER TABLE " + table() +
      " ADD FOREIGN KEY (vehicle) REFERENCES " + schema_ + ".known DEFERRABLE INITIALLY DEFERRED");
  const auto done = commit(*one, rows(14), 0, 5);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(done->rejected.size(), 2u);
  EXPECT_EQ(count(), "12");
}

TEST_P(TimescaleFailures, a_backend_killed_in_the_middle_of_a_copy_writes_nothing) {
  auto one = worker({0});
  auto locker = postgres::Connection::open({server().url(), "locker"});
  ASSERT_TRUE(locker->run("BEGIN; LOCK TABLE " + table() + " IN EXCLUSIVE MODE").has_value());
  auto committing = std::async(std::launch::async, [&] { return commit(*one, rows(1000), 0, 10); });
  until(
      "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^weir/fleet/db/[0-9a-f]+$' AND wait_event_type = 'Lock'",
      "1");
  terminate_workers();
  const auto done = committing.get();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, Error::Kind::unreachable);
  ASSERT_TRUE(locker->run("ROLLBACK").has_value());
  EXPECT_EQ(recover(*one), 0u);
  ASSERT_TRUE(commit(*one, rows(1000), 0, 10).has_value());
  EXPECT_EQ(positions() + " " + count(), "0 10 1000");
  EXPECT_EQ(one->context.counted("retries"), 1u);
}

TEST_P(TimescaleFailures, a_backend_killed_in_the_middle_of_its_commit_leaves_all_or_nothing) {
  auto one = worker({0});
  // COMMIT is durable here, but waits for a standby that does not exist: the answer is lost, the rows are not.
  ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  ask("SELECT pg_reload_conf()");
  until("SHOW synchronous_standby_names", "nobody");
  auto committing = std::async(std::launch::async, [&] { return commit(*one, rows(1000), 0, 10); });
  until(
      "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^weir/fleet/db/[0-9a-f]+$' AND wait_event = 'SyncRep'",
      "1");
  terminate_workers();
  const auto done = committing.get();
  ask("ALTER SYSTEM RESET synchronous_standby_names");
  ask("SELECT pg_reload_conf()");
  until("SHOW synchronous_standby_names", "");
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, Error::Kind::unreachable);
  EXPECT_EQ(recover(*one), 10u);
  EXPECT_EQ(count(), "1000");
}

/// Else nobody could acquire it as long as the worker lives.
TEST_P(TimescaleFailures, what_is_given_back_over_a_broken_connection_is_not_renewed) {
  auto one = worker({0, 1});
  terminate_workers();
  ASSERT_FALSE(commit(*one, rows(1), 1, 1).has_value());
  one->sink->ledger()->release(0);
  expire_leases();
  ASSERT_TRUE(one->sink->ledger()->renew().has_value());
  EXPECT_EQ(ask("SELECT partition FROM " + schema_ + ".weir_progress WHERE lease_until > clock_timestamp()"), "1");
}

TEST_P(TimescaleFailures, nothing_commits_between_a_broken_connection_and_the_next_claim) {
  auto one = worker({0, 1});
  terminate_workers();
  const auto broken = commit(*one, rows(10), 0, 10);
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().kind, Error::Kind::unreachable);
  ASSERT_TRUE(one->sink->open().has_value());
  EXPECT_THAT(commit(*one, rows(10), 0, 10)->refused, ElementsAre(0u));
  EXPECT_EQ(count(), "0");
  EXPECT_EQ(recover(*one), 0u);
  EXPECT_TRUE(commit(*one, rows(10), 0, 10)->refused.empty());
  EXPECT_TRUE(commit(*one, rows(5), 1, 5)->refused.empty()) << "no commit of it was under way";
  EXPECT_EQ(count(), "15");
}

TEST_P(TimescaleFailures, a_server_that_crashes_and_returns_has_what_was_committed) {
  auto one = worker({0});
  ASSERT_TRUE(commit(*one, rows(10), 0, 10).has_value());
  server().kill();
  const auto broken = commit(*one, rows(10, 10), 0, 20);
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error().kind, Error::Kind::unreachable);
  const auto down = one->sink->open();
  ASSERT_FALSE(down.has_value());
  EXPECT_EQ(down.error().kind, Error::Kind::unreachable);
  EXPECT_THAT(down.error().message, HasSubstr("can't reach PostgreSQL at 127.0.0.1:"));
  EXPECT_FALSE(one->sink->ledger()->renew().has_value());
  server().start();
  EXPECT_EQ(recover(*one), 10u);
  EXPECT_TRUE(one->sink->ledger()->renew().has_value());
  ASSERT_TRUE(commit(*one, rows(10, 10), 0, 20).has_value());
  EXPECT_EQ(positions() + " " + count(), "0 20 20");
}

TEST_P(TimescaleFailures, a_lock_is_waited_for_no_longer_than_the_lease_allows) {
  lease_ = 3 * second;
  auto one = worker({0});
  auto locker = postgres::Connection::open({server().url(), "locker", minute});
  ASSERT_TRUE(locker->run("BEGIN; LOCK TABLE " + table() + " IN EXCLUSIVE MODE").has_value());
  const Timestamp begun = system_clock().steady();
  const auto done = commit(*one, rows(10), 0, 10);
  EXPECT_LT(system_clock().steady() - begun, lease_);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().kind, Error::Kind::unreachable);
  ASSERT_TRUE(locker->run("ROLLBACK").has_value());
  EXPECT_EQ(recover(*one), 0u);
  EXPECT_TRUE(commit(*one, rows(10), 0, 10).has_value());
}

}  // namespace
