/// sink/timescale against real servers: what it makes, writes and checks.
#include <gmock/gmock.h>

#include <limits>
#include <thread>

#include "clients/postgres.hpp"
#include "fakes/timescale_fixture.hpp"

namespace {
using namespace weir;
using fakes::encode;
using fakes::lane;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TimescaleRows : public fakes::TimescaleSink {
 protected:
  Validity nulls(std::size_t rows) { return Validity::none(rows); }
};

INSTANTIATE_TEST_SUITE_P(Servers, TimescaleRows, testing::Values(true, false),
                         [](const auto& server) { return server.param ? "timescale" : "plain"; });

TEST_P(TimescaleRows, makes_the_table_and_commits_rows_with_their_progress) {
  auto one = worker();
  const auto start = one->sink->ledger()->acquire(3);
  ASSERT_TRUE(start.has_value()) << start.error().message;
  EXPECT_EQ(start->place.position, 0u);
  const auto done = commit(*one, rows(100), 3, 42);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_THAT(done->refused, IsEmpty());
  EXPECT_EQ(count(), "100");
  EXPECT_EQ(ask("SELECT vehicle, time, speed, charge FROM " + table() + " ORDER BY time OFFSET 9 LIMIT 1"),
            "v2 2026-01-01 00:00:09+00 9 9.125");
  EXPECT_EQ(
      ask("SELECT pipeline, node, partition, position, arrival, snapshot, fingerprint, stream, stream_created FROM " +
          schema_ + ".weir_progress"),
      "fleet db 3 42 43 s f S 5");
  const auto again = one->sink->ledger()->acquire(3);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->place.position, 42u);
  EXPECT_EQ(again->place.arrival, 43);
  EXPECT_EQ(again->stream, (StreamIdentity{"S", 5}));
  EXPECT_EQ(again->place.stamp, 44);
  EXPECT_EQ(again->place.consumed, 45u);
  EXPECT_EQ(again->sinks, "db nats");
  EXPECT_EQ(ask("SELECT count(*) FROM pg_index WHERE indisunique AND indrelid = '" + table() + "'::regclass"), "0");
  if (GetParam()) {
    EXPECT_EQ(
        ask("SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = '" + schema_ + "'"),
        "1");
  }
}

TEST_P(TimescaleRows, commits_all_lanes_in_one_transaction) {
  auto one = worker({0, 1, 2});
  std::vector<Encoded> parts;
  for (const Partition p : {0u, 1u, 2u}) parts.push_back(encode(*one->sink, rows(10, 10 * p), p, 100 + p));
  for (const Encoded& part : parts) ASSERT_TRUE(one->sink->write(part).has_value());
  const LaneCommit lanes[]{lane(0, 100), lane(1, 101), lane(2, 102)};
  ASSERT_TRUE(one->sink->commit(lanes).has_value());
  EXPECT_EQ(positions(), "0 100 1 101 2 102");
  EXPECT_EQ(count(), "30");
  EXPECT_EQ(ask("SELECT count(DISTINCT xmin::text) FROM (SELECT xmin FROM " + table() + " UNION ALL SELECT xmin FROM " +
                schema_ + ".weir_progress) AS all_rows"),
            "1");
  EXPECT_EQ(one->context.counted("transactions"), 1u);
}

TEST_P(TimescaleRows, moves_progress_without_rows_and_keeps_the_last_arrival) {
  auto one = worker({0});
  ASSERT_TRUE(commit(*one, rows(1), 0, 5).has_value());
  const LaneCommit naming[]{{0, {.place = {.position = 5}, .snapshot = "newer", .fingerprint = "f"}}};
  ASSERT_TRUE(one->sink->commit(naming).has_value());
  EXPECT_EQ(ask("SELECT position, arrival, snapshot FROM " + schema_ + ".weir_progress"), "5 6 newer");
}

TEST_P(TimescaleRows, stores_nulls_infinities_and_cut_times) {
  auto batch = rows(3);
  const double inf = std::numeric_limits<double>::infinity();
  batch->columns[1] = Column::timestamp({1'999, -1, 4'102'444'800 * second});
  batch->columns[2] = Column::float64({inf, -inf, std::numeric_limits<double>::quiet_NaN()});
  batch->columns[3] = Column{};
  auto one = worker({0});
  ASSERT_TRUE(commit(*one, batch, 0, 1).has_value());
  EXPECT_EQ(ask("SELECT time, speed, charge FROM " + table() + " ORDER BY time"),
            "1969-12-31 23:59:59.999999+00 -Infinity NULL 1970-01-01 00:00:00.000001+00 Infinity NULL 2100-01-01 "
            "00:00:00+00 NaN NULL");
}

TEST_P(TimescaleRows, writes_samples_as_plain_columns) {
  auto batch = std::make_shared<Batch>();
  batch->schema = samples::schema();
  batch->rows = 2;
  auto names = std::make_shared<Dictionary>();
  Texts texts;
  texts.push("");
  texts.push("ok");
  batch->columns = {Column::dictionary({{*names->intern("a"), *names->intern("b")}, names}),
                    Column::dictionary({{*names->intern("speed"), *names->intern("note")}, names}),
                    Column::timestamp({second, 2 * second}),
                    Column::float64({1.5, 0}),
                    Column{},
                    Column{},
                    Column::string(texts)};
  auto one = make(settings(), batch->schema);
  ASSERT_TRUE(one->sink->open().has_value());
  ASSERT_TRUE(one->sink->ledger()->acquire(0).has_value());
  ASSERT_TRUE(commit(*one, batch, 0, 1).has_value());
  EXPECT_EQ(ask("SELECT vehicle, field, extract(epoch FROM time)::int, x, y, text FROM " + table() + " ORDER BY time"),
            "a speed 1 1.5 NULL  b note 2 0 NULL ok");
}

TEST_P(TimescaleRows, comments_columns_with_their_units) {
  const std::vector<RowColumn> columns{{.field = "speed", .unit = "km/h"}, {.field = "charge", .unit = "it's %"}};
  auto with = settings();
  with.set("columns", columns);
  auto one = make(with, rows::schema(columns));
  ASSERT_TRUE(one->sink->open().has_value());
  EXPECT_EQ(ask("SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = '" + table() +
                "'::regclass AND attname IN ('charge', 'speed') ORDER BY attname"),
            "it's % km/h");
}

TEST_P(TimescaleRows, indexes_what_it_is_told_to) {
  const auto index = [&](const std::string& by) {
    ask("DROP TABLE IF EXISTS " + table());
    auto with = settings();
    with.set("index", by);
    EXPECT_TRUE(make(with, rows(0)->schema)->sink->open().has_value());
    return ask(
        "SELECT coalesce(string_agg(substring(indexdef FROM 'USING .*'), ' ' ORDER BY indexname), 'no index') FROM pg_indexes WHERE "
        "tablename = 'vehicle_second' AND schemaname = '" +
        schema_ + "'");
  };
  EXPECT_EQ(index("time"), "USING brin (\"time\")");
  EXPECT_EQ(index("key"), "USING brin (\"time\") USING btree (vehicle, \"time\" DESC)");
  EXPECT_EQ(index("none"), "no index");
}

TEST_P(TimescaleRows, adds_columns_where_it_may) {
  ask("CREATE SCHEMA " + schema_ + "; CREATE TABLE " + table() + " (vehicle text NOT NULL, time timestamptz NOT NULL)");
  auto with = settings();
  with.set("schema", std::string{"add-columns"});
  auto first = make(with, rows(0)->schema);
  auto second = make(with, rows(0)->schema);
  Result<void> other;
  {
    const std::jthread beside{[&] { other = second->sink->open(); }};
    const auto opened = first->sink->open();
    EXPECT_TRUE(opened) << opened.error().message;
  }
  EXPECT_TRUE(other) << other.error().message;
  EXPECT_EQ(ask("SELECT count(*) FROM pg_attribute WHERE attnum > 0 AND attrelid = '" + table() + "'::regclass"),
            std::to_string(rows(0)->schema->columns.size()));
  ask("ALTER TABLE " + table() + " ALTER COLUMN speed TYPE real");
  EXPECT_FALSE(make(with, rows(0)->schema)->sink->open().has_value()) << "changes none";
}

TEST_P(TimescaleRows, refuses_a_table_that_differs_and_prints_the_statement_to_run) {
  ask("CREATE SCHEMA " + schema_ + "; CREATE TABLE " + table() +
      " (vehicle text, time timestamptz NOT NULL, speed real, depot text NOT NULL)");
  auto one = make(settings(), rows(0)->schema);
  const auto opened = one->sink->open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  EXPECT_THAT(
      opened.error().message,
      HasSubstr("column \"speed\" is real, not double precision; column \"charge\" is missing; column \"depot\""));
  const std::string& message = opened.error().message;
  EXPECT_EQ(ask("SELECT count(*) FROM pg_class WHERE relname = 'weir_progress' AND relnamespace = '" + schema_ +
                "'::regnamespace"),
            "0");
  ask(message.substr(message.find("ALTER TABLE")));
  EXPECT_TRUE(one->sink->open().has_value());
}

TEST_P(TimescaleRows, needs_no_right_to_make_what_is_there) {
  worker();
  ask("DROP ROLE IF EXISTS writer; CREATE ROLE writer LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA " + schema_ +
      " TO writer; GRANT ALL ON ALL TABLES IN SCHEMA " + schema_ + " TO writer");
  auto with = settings();
  const std::string url = server().url();
  with.set("url", "postgresql://writer:secret" + url.substr(url.find('@')));
  auto one = make(with, rows(0)->schema);
  const auto opened = one->sink->open();
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  ASSERT_TRUE(one->sink->ledger()->acquire(0).has_value());
  EXPECT_TRUE(commit(*one, rows(5), 0, 1).has_value());
  one.reset();
  ask("DROP OWNED BY writer; DROP ROLE writer");
}

TEST_P(TimescaleRows, does_not_take_a_missing_right_for_another_workers_lease) {
  worker();
  ask("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA " + schema_ +
      " TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA " + schema_ + " TO reader; GRANT INSERT ON " + table() +
      " TO reader");
  auto with = settings();
  const std::string url = server().url();
  with.set("url", "postgresql://reader:secret" + url.substr(url.find('@')));
  auto one = make(with, rows(0)->schema);
  auto acquired = one->sink->open().and_then([&] { return one->sink->ledger()->acquire(0); });
  ASSERT_FALSE(acquired.has_value());
  EXPECT_EQ(acquired.error().kind, Error::Kind::refused) << "a worker waits where a partition is held";
  EXPECT_THAT(acquired.error().message, HasSubstr("permission denied"));
  one.reset();
  ask("DROP OWNED BY reader; DROP ROLE reader");
}

TEST_P(TimescaleRows, says_what_a_hypertable_lacks) {
  auto with = settings();
  with.set("hypertable", std::string{"always"});
  ask("CREATE SCHEMA " + schema_ + "; CREATE TABLE " + table() +
      " (vehicle text, time timestamptz, speed float8, charge float8)");
  auto one = make(with, rows(0)->schema);
  const auto opened = one->sink->open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_THAT(opened.error().message,
              HasSubstr(GetParam() ? "SELECT create_hypertable(" : "CREATE EXTENSION timescaledb"));
}

TEST_P(TimescaleRows, drops_old_chunks_one_by_one_where_the_licence_has_no_job_for_it) {
  constexpr Duration day = 24 * 60 * minute;
  worker().reset();
  constexpr int days = 60;
  ask("INSERT INTO " + table() + " SELECT 'v', now() - d * interval '1 day', d, d FROM generate_series(0, " +
      std::to_string(days) + ") d");
  auto reading = postgres::Connection::open({server().url(), "reader", minute});
  const std::string chunks = " FROM timescaledb_information.chunks WHERE hypertable_schema = '" + schema_ + "'";
  const std::string oldest =
      GetParam() ? ask("SELECT format('%I.%I', chunk_schema, chunk_name)" + chunks + " ORDER BY range_start LIMIT 1")
                 : table();
  ASSERT_TRUE(reading->run("BEGIN; LOCK TABLE " + oldest + " IN ACCESS SHARE MODE").has_value());
  lease_ = 3 * second;
  auto with = settings();
  with.set("retention", 3 * day);
  with.set("compress", day);
  auto one = make(with, rows(0)->schema);
  ASSERT_TRUE(one->sink->open().has_value());
  ASSERT_TRUE(one->sink->ledger()->acquire(0).has_value());
  const auto chunks_become = [&](const std::string& number) {
    for (int i = 0; i < 500 && ask("SELECT count(*)" + chunks) != number; ++i)
      system_clock().wait(20 * millisecond, {});
    return ask("SELECT count(*)" + chunks) == number;
  };
  if (!GetParam()) {
    EXPECT_EQ(count(), std::to_string(days + 1));
    EXPECT_THAT(testing::PrintToString(one->context.warnings()), HasSubstr("is not a hypertable; nothing is deleted"));
    return;
  }
  // Chunks are days: today's and three more are not wholly older, and the oldest one is being read.
  EXPECT_TRUE(chunks_become("5"));
  EXPECT_EQ(ask("SELECT count(*), max(speed) FROM " + table()), "5 " + std::to_string(days));
  EXPECT_TRUE(one->sink->ledger()->renew().has_value());
  for (int i = 0; i < 100 && one->context.warnings().size() < 2; ++i) system_clock().wait(20 * millisecond, {});
  ASSERT_EQ(one->context.warnings().size(), 2u);
  EXPECT_THAT(one->context.warnings()[0], HasSubstr("community licence"));
  EXPECT_THAT(one->context.warnings()[1], HasSubstr("lock timeout"));
  ASSERT_TRUE(reading->run("ROLLBACK").has_value());
  one = make(with, rows(0)->schema);
  EXPECT_TRUE(one->sink->open().has_value());
  EXPECT_TRUE(chunks_become("4"));
  EXPECT_EQ(ask("SELECT count(*), max(speed) FROM " + table()), "4 3");
}

TEST_P(TimescaleRows, names_what_differs_in_the_chunks_of_a_hypertable_that_is_there) {
  if (!GetParam()) return;
  worker().reset();
  ask("SELECT set_chunk_time_interval('" + table() + "', interval '7 days')");
  auto one = make(settings(), rows(0)->schema);
  EXPECT_TRUE(one->sink->open().has_value());
  EXPECT_THAT(one->context.warnings(),
              ElementsAre(AllOf(HasSubstr("chunk: new chunks of "), HasSubstr(" span 7 days, the pipeline says "),
                                HasSubstr("or run: SELECT public.set_chunk_time_interval("))));
  ask("DROP TABLE " + table() + "; CREATE TABLE " + table() +
      " (vehicle text NOT NULL, time timestamptz NOT NULL, speed float8, charge float8, seen timestamptz NOT NULL "
      "DEFAULT now()); SELECT create_hypertable('" +
      table() + "', by_range('seen'))");
  auto other = make(settings(), rows(0)->schema);
  const auto opened = other->sink->open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind, Error::Kind::changed);
  EXPECT_THAT(opened.error().message, HasSubstr("is cut into chunks by its column seen, not by time"));
}

/// The jobs are made by hand, as this edition makes none.
TEST_P(TimescaleRows, names_a_job_that_does_not_do_what_the_pipeline_says) {
  if (!GetParam()) return;
  constexpr Duration day = 24 * 60 * minute;
  worker().reset();
  const auto add_job = [&](const std::string& policy, const std::string& config) {
    ask("INSERT INTO _timescaledb_catalog.bgw_job (application_name, schedule_interval, max_runtime, max_retries, "
        "retry_period, proc_schema, proc_name, scheduled, fixed_schedule, hypertable_id, config) "
        "SELECT 'by hand', '1 day', '0', -1, '1 hour', '_timescaledb_functions', '" +
        policy + "', false, false, id, '" + config + "' FROM _timescaledb_catalog.hypertable WHERE schema_name = '" +
        schema_ + "'");
  };
  add_job("policy_retention", R"({"drop_after": "72:00:00"})");
  add_job("policy_compression", R"({"compress_after": "1 day"})");
  const auto opened = [&](Duration retention) {
    auto with = settings();
    if (retention > 0) with.set("retention", retention);
    with.set("compress", day);
    auto one = make(with, rows(0)->schema);
    EXPECT_TRUE(one->sink->open().has_value());
    return testing::PrintToString(one->context.warnings());
  };
  EXPECT_THAT(opened(3 * day), testing::Not(HasSubstr("a job")));
  EXPECT_THAT(
      opened(30 * day),
      AllOf(HasSubstr("retention: a job drops chunks of "), HasSubstr(" after 72:00:00, the pipeline says "),
            HasSubstr("; change the pipeline, or run: SELECT public.remove_retention_policy("),
            HasSubstr("; SELECT public.add_retention_policy("), HasSubstr("interval '2592000000000 microseconds');")));
  EXPECT_THAT(opened(0), AllOf(HasSubstr("the pipeline says nothing of it; change the pipeline, or run: SELECT "),
                               testing::Not(HasSubstr("add_retention_policy"))));
}

TEST_P(TimescaleRows, buries_dead_letters_with_the_rows) {
  auto one = worker({0, 1});
  ASSERT_TRUE(one->sink->write_dead_letter({0, 7, 2, 1'700'000'000'000'000'001, "signals", "no field\xFF",
                                            std::string("a\0b", 3), std::string("\0\xFF", 2)}));
  ASSERT_TRUE(commit(*one, rows(1), 0, 7).has_value());
  EXPECT_EQ(
      ask("SELECT pipeline, node, partition, position, ordinal, arrival, arrival_ns, reason, subject, payload FROM " +
          schema_ + ".weir_dead_letters"),
      "fleet signals 0 7 2 2023-11-14 22:13:20+00 1700000000000000001 no field\xEF\xBF\xBD a\xEF\xBF\xBD"
      "b \\x00ff");
}

TEST_P(TimescaleRows, tells_of_progress_of_others_for_the_same_table) {
  auto one = worker({0, 2});
  EXPECT_THAT(*one->sink->ledger()->peers(2), IsEmpty());
  ask("INSERT INTO " + schema_ +
      ".weir_progress (pipeline, node, partition, position, stream, target) SELECT pipeline, 'old', partition, "
      "partition, 'S', target FROM " +
      schema_ + ".weir_progress UNION SELECT 'another', 'db', partition, 7, 'S', target FROM " + schema_ +
      ".weir_progress UNION VALUES ('another', 'events', 2, 7, 'S', 'event')");
  EXPECT_EQ(one->sink->ledger()->peers(0)->size(), 1u) << "old has committed nothing of it";
  const auto peers = one->sink->ledger()->peers(2);
  ASSERT_TRUE(peers.has_value() && peers->size() == 2);
  EXPECT_EQ((*peers)[0].pipeline, "another");
  EXPECT_EQ((*peers)[1].node, "old");
  EXPECT_TRUE((*peers)[1].same_table);
  EXPECT_EQ((*peers)[1].stream, "S");
}

TEST_P(TimescaleRows, lists_and_forgets_progress_without_being_opened) {
  auto never_opened = make(settings(), rows(0)->schema);
  EXPECT_THAT(*never_opened->sink->ledger()->progress(), IsEmpty());
  auto one = worker({0, 2});
  ASSERT_TRUE(commit(*one, rows(1), 2, 9).has_value());
  const auto lines = never_opened->sink->ledger()->progress();
  ASSERT_TRUE(lines.has_value() && lines->size() == 2);
  EXPECT_EQ((*lines)[1].partition, 2u);
  EXPECT_EQ((*lines)[1].progress.place.position, 9u);
  EXPECT_GT((*lines)[1].lease_left, 20 * second);
  EXPECT_GT((*lines)[1].updated, system_clock().now() - minute);
  const auto held = never_opened->sink->ledger()->reset(std::nullopt);
  EXPECT_EQ(held.error().kind, Error::Kind::held);
  EXPECT_THAT(held.error().message, HasSubstr(" s; stop that worker first, or wait that long if it is dead"));
  EXPECT_EQ(positions(), "0 0 2 9");
  one->sink->ledger()->release(2);
  EXPECT_EQ(*never_opened->sink->ledger()->reset(Partition{2}), 1u);
  EXPECT_EQ(*never_opened->sink->ledger()->reset(Partition{2}), 0u);
  EXPECT_EQ(*never_opened->sink->ledger()->reset(Partition{7}), 0u);
  EXPECT_EQ(never_opened->sink->ledger()->progress()->size(), 1u) << "as if it had never run";
  const auto blank = one->sink->ledger()->acquire(2);
  ASSERT_TRUE(blank.has_value());
  EXPECT_EQ(blank->place.position, 0u);
  EXPECT_EQ(blank->snapshot, "");
  EXPECT_EQ(blank->stream, StreamIdentity{});
  EXPECT_EQ(blank->resets, 1u);
}

}  // namespace
