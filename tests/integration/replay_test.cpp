/// What else a replay does than run a pipeline on a file: rows compared and saved, parts, what is told of recordings.
#include <gmock/gmock.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include <weir/format.hpp>

#include "integration/replays.hpp"

namespace weir {
namespace {

using integration::Replays;

TEST_F(Replays, a_diff_tells_whether_the_rows_are_those_that_were_saved) {
  for (const char* name : {"rows.parquet", "rows.csv", "rows.jsonl"}) {
    const std::string file = directory_.file(name);
    const Said saved = replay({"--save", file});
    ASSERT_EQ(saved.exit, 0) << saved.text;
    EXPECT_TRUE(saved.has("rows of db are in " + file)) << saved.text;
    const Said same = replay({"--diff", file});
    EXPECT_EQ(same.exit, 0) << same.text;
    EXPECT_TRUE(same.has(" rows, all as expected")) << same.text;
  }
  const std::string file = directory_.file("rows.parquet");
  const Said other = replay({"--diff", "db=" + file, "-s", "db.columns.speed.fill=step"});
  EXPECT_EQ(other.exit, 1);
  EXPECT_TRUE(other.has("  changed ")) << other.text;
  EXPECT_TRUE(other.has("  speed: ")) << other.text;
  EXPECT_TRUE(other.has(" → ")) << other.text;
  EXPECT_FALSE(other.has("  charge: ")) << "it did not change\n" << other.text;
  EXPECT_TRUE(other.has(" more\n")) << other.text;
  const Said shorter = replay({"--diff", file, "--until", "2026-01-01T00:00:30Z"});
  EXPECT_EQ(shorter.exit, 1);
  EXPECT_TRUE(shorter.has(" 0 changed, ")) << shorter.text;
  EXPECT_TRUE(shorter.has(" 0 unexpected")) << shorter.text;
}

TEST_F(Replays, a_table_and_printed_rows_can_be_expected_too) {
  const std::string table = directory_.file("rows.duckdb");
  ASSERT_EQ(replay({"--sink", "db=duckdb:" + table}).exit, 0);
  const Said same = replay({"--diff", table});
  EXPECT_EQ(same.exit, 0) << same.text;
  const Said printed = replay({"--sink", "db=stdout"});
  ASSERT_EQ(printed.exit, 0);
  const Said again = replay({"--diff", directory_.write("printed.jsonl", printed.text)});
  EXPECT_EQ(again.exit, 0) << again.text;
}

TEST_F(Replays, what_can_not_be_compared_is_said_before_the_replay) {
  const std::string csv = directory_.write("rows.csv", "vehicle,time\n");
  EXPECT_EQ(replay({"--diff", directory_.file("none.csv")}).exit, 66);
  EXPECT_EQ(replay({"--diff", directory_.write("rows.txt", "")}).exit, 64);
  EXPECT_EQ(replay({"--diff", "dB=" + csv}).exit, 64);
  EXPECT_EQ(replay({"--save", directory_.file("rows.xls")}).exit, 64);
  const Said printed = replay({"--diff", csv, "--sink", "db=stdout"});
  EXPECT_EQ(printed.exit, 64);
  EXPECT_TRUE(printed.has("keeps no rows")) << printed.text;
  const std::string two =
      pipeline(R"(, { "id": "other", "sink": "stdout", "from": "rows", "columns": { "speed": {} } })");
  const Said which = weir({"replay", tape(), two, "--diff", csv});
  EXPECT_EQ(which.exit, 64);
  EXPECT_TRUE(which.has("NODE one of db, other")) << which.text;
}

TEST_F(Replays, mistakes_of_the_pipeline_are_told_where_it_has_them) {
  const std::string whole = tape();
  const auto written = [&](const char* vehicles, const char* every) {
    return directory_.write("bad.json", weir::format(R"({{ "name": "bad", "limits": {{ "keys": 9 }}, "nodes": [
    {{ "id": "signals", "source": "simulate", "for": "60s",
       "vehicles": {} }},
    {{ "id": "rows", "transform": "window-join", "from": "signals", "every": {} }},
    {{ "id": "db", "sink": "stdout", "from": "rows", "columns": {{ "speed": {{}} }} }} ] }})",
                                                     vehicles, every));
  };
  const std::string joins = written("20", "\"often\"");
  const Said replayed = weir({"replay", whole, joins});
  EXPECT_EQ(replayed.exit, 78);
  EXPECT_TRUE(replayed.has(joins + ":4:")) << replayed.text;
  EXPECT_FALSE(replayed.has("replay of")) << replayed.text;
  const std::string source = written("\"many\"", "\"1s\"");
  const Said recorded = weir({"record", "--pipeline", source, "-o", directory_.file("other.weir")});
  EXPECT_EQ(recorded.exit, 78);
  EXPECT_TRUE(recorded.has(source + ":3:")) << recorded.text;
  EXPECT_FALSE(recorded.has("record of")) << recorded.text;
}

TEST_F(Replays, a_secret_without_masks_is_told_by_its_option) {
  const Said refused =
      weir({"record", "--pipeline", pipeline(), "-o", directory_.file("other.weir"), "--mask-secret", "x"});
  EXPECT_EQ(refused.exit, 64);
  EXPECT_TRUE(refused.has("needs --mask")) << refused.text;
}

TEST_F(Replays, a_sink_that_is_not_there_is_told_with_those_that_are) {
  const Said refused = replay({"--sink", "dbx=stdout"});
  EXPECT_EQ(refused.exit, 64);
  EXPECT_TRUE(refused.has("there is no sink \"dbx\"; there are: \"db\"")) << refused.text;
}

TEST_F(Replays, nothing_is_measured_by_a_damaged_recording) {
  const std::string whole = tape(), damaged = directory_.file("damaged.weir"), csv = directory_.file("rows.csv");
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(whole));
  bool told = false;
  for (const std::streamoff at : {size / 2, size - 400, size - 40}) {
    std::filesystem::copy_file(whole, damaged, std::filesystem::copy_options::overwrite_existing);
    std::fstream file{damaged, std::ios::in | std::ios::out | std::ios::binary};
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte).flush();
    const Said saved = weir({"replay", damaged, pipeline(), "--save", csv});
    EXPECT_EQ(saved.exit, 70) << at << " of " << size << "\n" << saved.text;
    told |= saved.has("damaged.weir is damaged, so rows of it are neither saved nor compared");
    EXPECT_FALSE(std::filesystem::exists(csv));
  }
  EXPECT_TRUE(told);
}

TEST_F(Replays, a_part_in_which_nothing_arrived_is_said) {
  const auto part = [&](std::vector<std::string> options) { return replay(std::move(options)); };
  EXPECT_TRUE(part({"--since", "20:00"}).has("--since 20:00: not an instant"));
  EXPECT_EQ(part({"--since", "20:00"}).exit, 64);
  const Said backwards = part({"--since", "2026-01-01T00:00:40Z", "--until", "2026-01-01T00:00:30Z"});
  EXPECT_TRUE(backwards.exit == 64 && backwards.has("--until is not after --since")) << backwards.text;
  const Said beyond = part({"--since", "2027-01-01T00:00:00Z"});
  EXPECT_TRUE(beyond.exit == 64 && beyond.has("nothing arrived then: ")) << beyond.text;
  const Said before = part({"--until", "2025-01-01T00:00:00Z"});
  EXPECT_TRUE(before.exit == 64 && before.has("tape.weir goes from 2026-01-01T00:00:")) << before.text;
  EXPECT_EQ(weir({"replay", "nats:", pipeline()}).exit, 64);
}

TEST_F(Replays, info_tells_programs_what_is_in_a_recording) {
  const Said info = weir({"info", "--format=json", tape()});
  ASSERT_EQ(info.exit, 0) << info.text;
  rapidjson::Document json;
  ASSERT_FALSE(json.Parse(info.text.c_str()).HasParseError()) << info.text;
  EXPECT_STREQ(json["pipeline"].GetString(), "fleet");
  EXPECT_EQ(json["vehicles"].GetUint64(), 20u);
  EXPECT_GT(json["messages"].GetUint64(), 100u);
  EXPECT_GT(json["fields"]["speed"].GetUint64(), 100u);
  EXPECT_EQ(json["gaps"].GetUint64(), json["first_gaps"].Size());
  EXPECT_EQ(json["damages"].Size(), 0u);
  EXPECT_TRUE(std::string_view{json["begin"].GetString()}.starts_with("2026-01-01T00:0")) << info.text;
  // An instant that is not known is not there.
  const std::string none = directory_.file("none.weir");
  ASSERT_EQ(weir({"record", "--pipeline", pipeline(), "-o", none, "--follow", "--key", "nobody"}).exit, 0);
  const Said empty = weir({"info", "--format=json", none});
  ASSERT_FALSE(json.Parse(empty.text.c_str()).HasParseError()) << empty.text;
  EXPECT_EQ(json["samples"].GetUint64(), 0u);
  EXPECT_FALSE(json.HasMember("earliest"));
}

TEST_F(Replays, what_is_left_out_of_a_recording_is_counted) {
  const std::string log = directory_.file("log");
  fakes::WeirProcess process{
      {"record", "--pipeline", pipeline(), "-o", directory_.file("one.weir"), "--follow", "--key", "7", "-q"}, log};
  ASSERT_EQ(process.wait(), 0);
  const std::string said = process.log();
  const auto counted = [&](std::string_view name) {
    const std::size_t at = said.find(name);
    return at == std::string::npos ? 0 : std::stoull(said.substr(at + name.size()));
  };
  const auto recorded = counted(" record.recorded "), left_out = counted(" record.left_out ");
  EXPECT_GT(recorded, 0u) << said;
  EXPECT_NE(said.find(" 0 rows out,"), std::string::npos) << "samples that were recorded are no rows\n" << said;
  EXPECT_GT(left_out, 10 * recorded / 2) << said;
  // Those recorded are with markers, which are nobody's.
  EXPECT_GE(recorded + left_out, counted(" signals.messages ")) << said;
}

}  // namespace
}  // namespace weir
