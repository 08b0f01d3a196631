/// Bad input beyond the payload, from samples to the pipeline's text: each has a clear reason, nothing is lost, nothing
/// is dropped uncounted.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>

#include <weir/format.hpp>

#include "conformance/lane.hpp"
#include "core/config/text.hpp"
#include "fakes/registry.hpp"

namespace weir::conformance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr const char* joined = R"(
  { "id": "last", "transform": "keyed-last-value", "from": "signals" },
  { "id": "rows", "transform": "window-join", "from": "last", "every": "1s", "wait": "2s" },
  { "id": "db", "sink": "drop", "from": "rows", "columns": { "speed": {} } })";

std::string sample(const std::string& time, const std::string& value) {
  return weir::format(R"({{"field":"speed","time":{},"value":{}}})", time, value);
}

TEST(BadInput, any_time_is_kept_where_nobody_asks_when_it_came) {
  Lane lane{"json"};
  const std::vector<std::string> times{"0",
                                       "-1",
                                       "\"1969-12-31T23:59:59.5Z\"",
                                       "\"2100-01-01T00:00:00Z\"",
                                       "-9223372036854775807",
                                       "9223372036854775807"};
  std::vector<std::string> payloads;
  for (const auto& time : times) payloads.push_back(sample(time, "1"));
  const auto out = lane.feed(payloads);
  EXPECT_THAT(out.dead_letters, IsEmpty());
  ASSERT_EQ(out.batches.size(), 1u);
  const auto kept = out.batches[0].batch->columns[samples::time].int64s();
  EXPECT_THAT((std::vector<Timestamp>{kept.begin(), kept.end()}),
              ElementsAre(0, -1, -second / 2, 4'102'444'800 * second, -INT64_MAX, INT64_MAX));
}

TEST(BadInput, times_far_from_arrival_leave_a_vehicles_rows_alone) {
  Lane lane{"json", joined, R"("keys": 10)"};
  std::size_t rows = 0;
  std::vector<Sink::DeadLetter> letters;
  const auto feed = [&](const std::vector<std::string>& payloads, Timestamp arrival) {
    auto out = lane.feed(payloads, arrival);
    rows += rows_of(out);
    std::ranges::move(out.dead_letters, std::back_inserter(letters));
  };
  const auto at = [](Timestamp time) { return std::to_string(time); };
  for (int i = 0; i < 20; ++i) {
    feed({sample(at(now + i * second), "1"), sample("0", "2"), sample("\"2100-01-01T00:00:00Z\"", "3"),
          sample("-9223372036854775807", at(i)), sample("9223372036854775807", at(i))},
         now + i * second);
  }
  feed({sample(at(now + 20 * second), "1")}, now + 60 * second);
  EXPECT_EQ(rows, 21u) << "one for each second from the first sample to the last";
  EXPECT_EQ(letters.size() + lane.counters.value("rows", "dead_letters_over_limit"), 80u);
  EXPECT_THAT(lane.refused("rows"), testing::UnorderedElementsAre("behind_arrival 40", "ahead_of_arrival 40"));
  EXPECT_EQ(letters[0].node, "rows");
  EXPECT_THAT(letters[0].payload, StartsWith(R"({"field":"speed","time":0)"));
}

TEST(BadInput, a_message_is_one_dead_letter_for_each_reason_however_many_samples_are_refused) {
  Lane lane{"json", joined, R"("keys": 10)"};
  std::string ahead = "[", sep;
  for (int i = 0; i < 1000; ++i) ahead += std::exchange(sep, ",") + sample(std::to_string(now + minute + i), "1");
  const auto out = lane.feed({ahead + "," + sample("0", "1") + "]", sample(std::to_string(now + minute), "1")});
  std::vector<std::string> reasons;
  for (const auto& letter : out.dead_letters)
    reasons.push_back(weir::format("{} {}", letter.position, letter.reason.text()));
  EXPECT_THAT(reasons, ElementsAre("1 ahead_of_arrival: by more than max_ahead; 1000 of its message",
                                   StartsWith("1 behind_arrival"), "2 ahead_of_arrival: by more than max_ahead"));
  EXPECT_EQ(lane.counters.value("rows", "invalid"), 1002u) << "each sample";
}

TEST(BadInput, what_the_columns_do_not_want_is_a_dead_letter_or_counted) {
  Lane lane{"json", joined, R"("keys": 10)"};
  const auto out = lane.feed({R"({"field":"speed","value":"fast"})", R"({"field":"speed","value":{"lat":1,"lon":2}})",
                              R"({"field":"rain","value":1})", R"({"field":"speed","value":1})"});
  EXPECT_THAT(lane.refused("rows"), ElementsAre("not_a_number 2"));
  EXPECT_EQ(lane.counters.value("rows", "other_fields"), 1u);
  EXPECT_EQ(out.dead_letters.size(), 2u);
}

TEST(BadInput, rows_of_a_port_that_nobody_reads_are_counted) {
  Lane lane{"json", joined, R"("keys": 10)"};
  lane.feed({sample(std::to_string(now), "1"), sample(std::to_string(now + 10 * second), "1")}, now + 10 * second);
  lane.feed({sample(std::to_string(now + 11 * second), "1")}, now + 30 * second);
  lane.feed({sample(std::to_string(now), "2")}, now + 31 * second);
  EXPECT_EQ(lane.counters.value("rows", "late"), 1u);
  std::vector<std::string> unread;
  for (const auto& line : lane.counters.lines()) {
    if (line.name == "unconnected_rows") unread.push_back(weir::format("{}.{} {}", line.node, line.reason, line.value));
  }
  EXPECT_THAT(unread, testing::UnorderedElementsAre("rows.sessions 1", "rows.late 1"));
}

TEST(BadInput, fields_beyond_the_tables_bound_are_refused_and_counted) {
  Lane lane{"json"};
  std::vector<std::string> payloads;
  for (int i = 0; i < 5000; ++i) payloads.push_back(weir::format(R"({{"field":"f{}","value":1}})", i));
  const auto out = lane.feed(payloads);
  EXPECT_EQ(rows_of(out), 3840u);
  EXPECT_EQ(out.dead_letters.size() + lane.counters.value("signals", "dead_letters_over_limit"), 1160u);
  EXPECT_THAT(lane.refused("signals"), ElementsAre("too_many_fields 1160"));
  EXPECT_THAT(out.dead_letters.back().reason.text(), HasSubstr("the limit is 3840"));
}

/// Resident memory in bytes (procfs: statm, second field, in pages).
std::size_t resident() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long long total = 0, pages = 0;
  EXPECT_EQ(std::fscanf(file, "%llu %llu", &total, &pages), 2);
  std::fclose(file);
  return pages * 4096;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint32_t strangers = 500'000;
constexpr bool measures_memory = false;  // a sanitizer keeps what was freed
#else
constexpr std::uint32_t strangers = 10'000'000;
constexpr bool measures_memory = true;
#endif

TEST(BadInput, ten_million_keys_stay_within_the_declared_bound) {
  constexpr std::uint32_t known = 10'000, pull = 4096;
  Lane lane{"text", R"(
    { "id": "last", "transform": "keyed-last-value", "from": "signals" },
    { "id": "rows", "transform": "window-join", "from": "last", "every": "1s", "wait": "2s" },
    { "id": "db", "sink": "drop", "from": "rows", "columns": { "f": {} } })",
            weir::format(R"("keys": {})", known)};
  std::uint64_t letters = 0, rows = 0;
  Position sequence = 0;
  // Keys first, first + 1, …, one sample each.
  const auto feed = [&](std::uint32_t first, std::uint32_t count, Timestamp arrival) {
    auto messages = std::make_shared<Messages>();
    auto names = std::make_shared<std::vector<std::string>>();
    for (std::uint32_t i = 0; i < count; ++i) names->push_back(weir::format("vehicle-{:09}", first + i));
    for (const auto& name : *names)
      messages->items.push_back(
          {.payload = "1.5", .sequence = ++sequence, .arrival = arrival, .key = name, .field = "f"});
    messages->owner = names;
    const auto out = lane.feed(std::move(messages));
    letters += out.dead_letters.size();
    rows += rows_of(out);
  };
  const auto feed_all = [&](std::uint32_t first, std::uint32_t end, Timestamp arrival) {
    for (; first < end; first += std::min(pull, end - first)) feed(first, std::min(pull, end - first), arrival);
  };
  feed_all(0, strangers / 5, now);
  const std::size_t before = resident();
  feed_all(strangers / 5, strangers, now);
  const std::size_t after = resident();
  if (measures_memory) {
    EXPECT_LT(after, before + (8u << 20)) << "grew by " << (after - before) / 1024 << " kB";
  }
  EXPECT_EQ(letters, 1000u) << "those of a minute";
  EXPECT_EQ(letters + lane.counters.value("signals", "dead_letters_over_limit"), strangers - known);
  EXPECT_THAT(lane.refused("signals"), ElementsAre(weir::format("too_many_keys {}", strangers - known)));
  EXPECT_EQ(lane.chain().keys()->size(), known);
  // Those who were there first go on.
  feed_all(0, known, now + second);
  feed_all(0, known, now + 5 * second);
  EXPECT_EQ(letters, 1000u);
  EXPECT_GE(rows, known);
}

TEST(BadInput, a_malformed_pipeline_is_shown_where_it_is) {
  const auto first = [](std::string_view text) {
    const auto checked = check_pipeline(text, "p.json", fakes::registry(), {});
    EXPECT_FALSE(checked.pipeline);
    EXPECT_FALSE(checked.findings.empty());
    return checked.findings.empty() ? std::string{} : render(std::span{checked.findings}.first(1), Format::text);
  };
  EXPECT_THAT(first(""), StartsWith("p.json:1:1: error: "));
  EXPECT_THAT(first("\xff\xfe\x00\x01"), StartsWith("p.json:1:1: error: "));
  EXPECT_THAT(first(std::string(2 << 20, '[')), StartsWith("p.json:1:"));
  EXPECT_THAT(first("{\n  \"name\": \"p\",\n  \"nodes\": [\n"), StartsWith("p.json:"));
  EXPECT_THAT(first("[]"), StartsWith("p.json:1:1: error: "));
  EXPECT_THAT(
      first(
          R"({ "name": "p", "nodes": [ { "id": "s", "source": "nats", "url": "nats://u:pa55@host:port" }, { "id": "d", "sink": "drop", "from": "s" } ] })"),
      testing::AllOf(HasSubstr("host:port: the port must be a number"), testing::Not(HasSubstr("pa55"))));
  for (const std::string sink : {R"("duckdb", "path": "p.duckdb")", R"("timescale", "url": "postgresql://h/d")"}) {
    EXPECT_THAT(first(weir::format(R"({{ "name": "p", "nodes": [ {{ "id": "s", "source": "nats" }},
 {{ "table": "weir_progress", "id": "d", "from": "s", "sink": {} }} ] }})",
                                   sink)),
                StartsWith("p.json:2:13: error: \"d\": \"weir_progress\" is a table that weir itself keeps"));
  }
}

TEST(BadInput, a_column_of_the_database_itself_is_an_error_of_lint) {
  const auto said = [](const std::string& sink, const std::string& column) {
    const std::string text = R"({ "name": "p", "limits": { "keys": 9 }, "nodes": [
      { "id": "in", "source": "simulate", "for": "1s" },
      { "id": "rows", "transform": "window-join", "from": "in", "every": "1s" },
      { "id": "db", "from": "rows", )" +
                             sink + R"(, "columns": { ")" + column + R"(": {} } } ] })";
    return render(check_pipeline(text, "p.json", fakes::registry(), {}).findings, Format::text);
  };
  const std::string postgres = R"("sink": "timescale", "url": "postgresql://h/d", "table": "t")";
  const std::string file = R"("sink": "duckdb", "path": "x.duckdb", "table": "t")";
  for (const auto& [sink, taken] : {std::pair{postgres, "ctid"}, {file, "rowid"}}) {
    EXPECT_THAT(said(sink, taken), testing::AllOf(HasSubstr("error"), HasSubstr(taken)));
    EXPECT_THAT(said(sink, "speed"), Not(HasSubstr("error")));
  }
}

}  // namespace
}  // namespace weir::conformance
