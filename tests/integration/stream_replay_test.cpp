/// Streams and replays: a stream is read as a recording, and a recording published into one.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/rfc3339.hpp>

#include "fakes/nats_fixture.hpp"
#include "fakes/servers.hpp"
#include "integration/replays.hpp"

namespace weir {
namespace {

/// A stream, and a pipeline that reads it.
class StreamReplays : public integration::Replays {
 protected:
  std::string reader(const std::string& more = R"(, "encoding": "text")",
                     const std::string& stream = "TELEMETRY") const {
    return directory_.write(stream + ".json", weir::format(R"({{
      "name": "text", "limits": {{ "keys": 1000 }},
      "nodes": [
        {{ "id": "signals", "source": "nats", "url": "{}", "stream": "{}", "create": true{} }},
        {{ "id": "rows", "transform": "window-join", "from": "signals", "every": "10ms", "wait": "20ms" }},
        {{ "id": "out", "sink": "stdout", "from": "signals" }},
        {{ "id": "db", "sink": "drop", "from": "rows", "columns": {{ "speed": {{}} }} }} ] }})",
                                                           servers_.nats(), stream, more));
  }
  void make_streams(const std::string& file) {
    const Said made =
        weir({"record", "--pipeline", file, "-o", directory_.file("none.weir"), "-s", "signals.create=true"});
    ASSERT_EQ(made.exit, 0) << made.text;
  }
  Said to_nats(const std::string& recording, const std::string& stream, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"replay",  recording, "--to-nats", stream,        "--url", servers_.nats(),
                                   "--speed", "max",     "-q",        "--log-level", "info"};
    words.insert(words.end(), more.begin(), more.end());
    const std::string log = directory_.file("to-nats" + std::to_string(++runs_of_it_));
    fakes::WeirProcess process{std::move(words), log};
    const int exit = process.wait();
    return {exit, process.log()};
  }
  static std::vector<std::string> sorted_lines(const std::string& text) {
    std::istringstream in{text};
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    std::ranges::sort(out);
    return out;
  }

  fakes::Servers servers_{"nats"};
  fakes::NatsPeer peer_{servers_.nats()};

 private:
  int runs_of_it_ = 0;
};

TEST_F(StreamReplays, a_stream_is_read_from_then_to_then_and_left_as_it_is) {
  const std::string file = reader();
  make_streams(file);
  constexpr std::size_t count = 500;
  peer_.publish_many(count);
  peer_.wait_for("TELEMETRY", count);
  const auto pass = [](Duration time) {
    const Timestamp end = system_clock().now() + time;
    while (system_clock().now() < end) system_clock().wait(5 * millisecond, {});
  };
  const Timestamp middle = system_clock().now();
  pass(50 * millisecond);
  peer_.publish_many(count - 2, count);
  // At the end there is a tick between two samples, which `wait` keeps open: of a vehicle whose fields aren't known
  // yet.
  peer_.publish("vehicle.new.speed", "1");
  peer_.connection->flush(10 * second).value();
  pass(15 * millisecond);
  peer_.publish("vehicle.new.speed", "2");
  peer_.wait_for("TELEMETRY", 2 * count);
  const Said all = weir({"replay", "nats:TELEMETRY", file, "--sink", "out=stdout"});
  ASSERT_EQ(all.exit, 0) << all.text.substr(0, 500);
  ASSERT_EQ(std::ranges::count(all.text, '\n'), 2 * count) << all.text.substr(0, 500);
  const Said before = weir(
      {"replay", "nats:TELEMETRY", file, "--sink", "out=stdout", "--until", format_rfc3339(middle + 25 * millisecond)});
  const Said after = weir(
      {"replay", "nats:TELEMETRY", file, "--sink", "out=stdout", "--since", format_rfc3339(middle + 25 * millisecond)});
  EXPECT_EQ(before.exit, 0);
  EXPECT_EQ(std::ranges::count(before.text, '\n'), count) << before.text.substr(0, 500);
  EXPECT_TRUE(before.text + after.text == all.text);
  // That tick is due while nothing comes.
  const Said waited =
      weir({"replay", "nats:TELEMETRY", file, "--until", format_rfc3339(system_clock().now() + 1500 * millisecond)});
  EXPECT_EQ(waited.exit, 0) << waited.text;
  EXPECT_EQ(peer_.jetstream->state("TELEMETRY").value().last, 2 * count) << "wrote markers";
  // The recording of it gives the same rows, ticks that are open at the end among them.
  const std::string recorded = directory_.file("recorded.weir"), rows = directory_.file("rows.parquet");
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", recorded}).exit, 0);
  ASSERT_EQ(weir({"replay", recorded, file, "--save", "db=" + rows}).exit, 0);
  const Said same = weir({"replay", "nats:TELEMETRY", file, "--diff", "db=" + rows});
  EXPECT_EQ(same.exit, 0) << same.text;
  EXPECT_FALSE(same.has("db: 0 rows")) << same.text;
}

TEST_F(StreamReplays, a_masked_recording_is_replayed_like_the_real_one_and_names_nobody) {
  const std::string four = reader(R"(, "partitions": 4, "encoding": "json")");
  make_streams(four);
  for (int i = 0; i < 400; ++i) {
    const std::string key = "vin-" + std::to_string(i % 40);
    const std::string payload = i % 2 == 0 ? std::to_string(i) : weir::format(R"({{"key":"{}","value":{}}})", key, i);
    peer_.publish(weir::format("p.{}.vehicle.{}.speed", partition_of(key, 4), key), payload);
  }
  peer_.publish(weir::format("p.{}.vehicle.vin-7.speed", partition_of("vin-7", 4)), "no JSON of vin-7");
  peer_.wait_for_all("TELEMETRY", 4, 401);
  const std::string real = directory_.file("real.weir"), masked = directory_.file("masked.weir");
  ASSERT_EQ(weir({"record", "--pipeline", four, "-o", real}).exit, 0);
  // In two parts, with the secret that the first one made.
  const std::string half = format_rfc3339(peer_.jetstream->time_of("TELEMETRY-0", 40).value().value());
  ASSERT_EQ(weir({"record", "--pipeline", four, "-o", masked, "--mask", "--until", half}).exit, 0);
  const Said made = weir({"record", "--pipeline", four, "-o", masked, "--mask"});
  ASSERT_EQ(made.exit, 0) << made.text;
  const Said rows = weir({"replay", real, four, "--sink", "out=stdout"});
  const Said without = weir({"replay", masked, four, "--sink", "out=stdout"});
  ASSERT_EQ(without.exit, 0) << without.text;
  EXPECT_EQ(std::ranges::count(without.text, '\n'), 400) << "some were refused\n" << without.text.substr(0, 500);
  EXPECT_FALSE(without.has("vin-")) << without.text.substr(0, 500);
  const auto values = [](const std::string& text) {  // without the key, which comes first
    std::vector<std::string> out = sorted_lines(text);
    for (std::string& line : out) line.erase(0, line.find(','));
    std::ranges::sort(out);
    return out;
  };
  EXPECT_TRUE(values(without.text) == values(rows.text));
  std::set<std::string> keys;
  for (const std::string& line : sorted_lines(without.text)) keys.insert(line.substr(0, line.find(',')));
  EXPECT_EQ(keys.size(), 40u);
  const Said info = weir({"info", masked});
  EXPECT_TRUE(info.has("400 of 4 partitions")) << "what hides a key is left out\n" << info.text;
  EXPECT_TRUE(info.has("keys masked by secret ")) << info.text;
  std::filesystem::remove(masked + ".secret");
  const Said lost = weir({"record", "--pipeline", four, "-o", masked, "--mask"});
  EXPECT_EQ(lost.exit, 78);
  EXPECT_TRUE(lost.has("masked.weir.secret is not there")) << lost.text;
}

TEST_F(StreamReplays, what_a_stream_can_not_be_asked_for_is_said) {
  const std::string file = reader();
  const Said none = weir({"replay", "nats:TELEMETRY", file});
  EXPECT_NE(none.exit, 0) << "made a stream that it only was to read";
  EXPECT_TRUE(none.has("there is no stream TELEMETRY")) << none.text;
  EXPECT_EQ(weir({"replay", "nats:TELEMETRY", file, "--speed", "1x"}).exit, 64);
  EXPECT_EQ(weir({"replay", "nats:TELEMETRY", file, "--since", "yesterday"}).exit, 64);
  EXPECT_EQ(weir({"replay", "nats:TELEMETRY", file, "--until", "tomorrow"}).exit, 64);
  EXPECT_EQ(weir({"replay", "nats:TELEMETRY", pipeline()}).exit, 64) << "the fleet is simulated";
  EXPECT_EQ(weir({"replay", "nats:TELEMETRY", "--to-nats", "OTHER"}).exit, 64);
}

TEST_F(StreamReplays, a_recording_is_published_once_however_often) {
  const std::string file = reader();
  make_streams(file);
  constexpr std::size_t count = 300;
  natsMsg* message = nullptr;
  ASSERT_EQ(natsMsg_Create(&message, "vehicle.v1.speed", nullptr, "7", 1), NATS_OK);
  for (const auto& [name, value] : {std::pair{"Trace", "a"}, {"Trace", "b"}, {"Nats-Msg-Id", "of its own"}})
    ASSERT_EQ(natsMsgHeader_Add(message, name, value), NATS_OK);
  ASSERT_EQ(natsConnection_PublishMsg(peer_.connection->handle(), message), NATS_OK);
  natsMsg_Destroy(message);
  peer_.publish_many(count);
  peer_.publish("p.0.clock.TELEMETRY", "1");
  peer_.connection->flush(10 * second).value();
  peer_.wait_for("TELEMETRY", count + 2);
  const std::string made = directory_.file("made.weir");
  ASSERT_EQ(weir({"record", "--pipeline", file, "-o", made}).exit, 0);
  // Into the very stream, which knows the ids of what was recorded from it.
  for (int i = 0; i < 2; ++i) {
    const Said done = to_nats(made, "TELEMETRY");
    EXPECT_EQ(done.exit, 0) << done.text;
    EXPECT_TRUE(done.has(weir::format("published {}", count + 1))) << done.text;
    EXPECT_EQ(done.has("duplicates"), i == 1) << done.text;
    EXPECT_EQ(peer_.jetstream->state("TELEMETRY").value().last, 2 * count + 3) << "markers, or something twice";
  }
  natsMsg* first = nullptr;
  ASSERT_EQ(js_GetMsg(&first, peer_.jetstream->handle(), "TELEMETRY", count + 3, nullptr, nullptr), NATS_OK);
  EXPECT_STREQ(natsMsg_GetSubject(first), "vehicle.v1.speed");
  EXPECT_EQ(std::string(natsMsg_GetData(first), 1), "7");
  const char** values = nullptr;
  int number = 0;
  ASSERT_EQ(natsMsgHeader_Values(first, "Trace", &values, &number), NATS_OK);
  EXPECT_EQ(number, 2);
  std::free(values);  // NOLINT: the library's
  natsMsg_Destroy(first);
}

TEST_F(StreamReplays, partitions_are_published_into_theirs) {
  const std::string four = reader(R"(, "partitions": 4, "encoding": "text")");
  make_streams(four);
  constexpr int count = 400;
  for (int i = 0; i < count; ++i) {
    const std::string key = "v" + std::to_string(i % 50);
    peer_.publish(weir::format("p.{}.vehicle.{}.speed", partition_of(key, 4), key), std::to_string(i));
  }
  peer_.wait_for_all("TELEMETRY", 4, count);
  const std::string made = directory_.file("made.weir");
  ASSERT_EQ(weir({"record", "--pipeline", four, "-o", made}).exit, 0);
  const auto stored = [&] {
    std::uint64_t sum = 0;
    for (int k = 0; k < 4; ++k) sum += peer_.jetstream->state(weir::format("TELEMETRY-{}", k)).value().messages;
    return sum;
  };
  ASSERT_EQ(stored(), count);
  const Said done = to_nats(made, "TELEMETRY");
  EXPECT_EQ(done.exit, 0) << done.text;
  EXPECT_EQ(stored(), 2 * count);
  const Said rows = weir({"replay", "nats:TELEMETRY", four, "--sink", "out=stdout"});
  EXPECT_EQ(std::ranges::count(rows.text, '\n'), 2 * count) << "some are where their key does not belong";
  EXPECT_EQ(to_nats(made, "TELEMETRY", {"--partitions", "5"}).exit, 78);
}

TEST_F(StreamReplays, what_names_its_vehicle_in_its_payload_goes_to_no_partition_at_random) {
  const std::string gateways = R"(, "subject": "gateway.*", "encoding": "json")";
  const std::string one = reader(gateways, "GATEWAYS");
  const std::string four = reader(gateways + R"(, "partitions": 4)", "FOUR");
  make_streams(one);
  make_streams(four);
  peer_.publish("gateway.1", R"({"key":"a","field":"speed","value":1})");
  peer_.publish("gateway.1", R"({"key":"b","field":"speed","value":2})");
  peer_.wait_for("GATEWAYS", 2);
  const std::string made = directory_.file("made.weir");
  ASSERT_EQ(weir({"record", "--pipeline", one, "-o", made}).exit, 0);
  const Said into_four = to_nats(made, "FOUR");
  EXPECT_EQ(into_four.exit, 70);
  EXPECT_TRUE(into_four.has("message 1 of partition 0 names its vehicle in its payload")) << into_four.text;
  EXPECT_TRUE(into_four.has("publish to as many as there were partitions, 1")) << into_four.text;
  EXPECT_EQ(to_nats(made, "GATEWAYS").exit, 0);
  EXPECT_EQ(peer_.jetstream->state("GATEWAYS").value().messages, 4u);
}

TEST_F(StreamReplays, messages_of_a_stream_that_was_made_anew_are_no_repetitions) {
  const fakes::Servers other{"nats"};
  fakes::NatsPeer there{other.nats()};
  fakes::ForeignStream copy{"COPY", "vehicle.>"};
  ASSERT_EQ(copy.add(there), NATS_OK);
  const std::string file = directory_.write("copy.json", weir::format(R"({{
    "name": "copy", "limits": {{ "keys": 1000 }},
    "nodes": [
      {{ "id": "signals", "source": "nats", "url": "{}", "stream": "TELEMETRY", "create": true, "encoding": "text" }},
      {{ "id": "copy", "sink": "nats-messages", "from": "signals", "url": "{}", "stream": "COPY" }} ] }})",
                                                                      servers_.nats(), other.nats()));
  const auto run_until = [&](std::uint64_t stored) {
    fakes::WeirProcess process{{"run", file}, directory_.file("run.log")};
    const Timestamp end = system_clock().steady() + 20 * second;
    while (there.jetstream->state("COPY").value().last < stored && system_clock().steady() < end)
      system_clock().wait(5 * millisecond, {});
    EXPECT_EQ(there.jetstream->state("COPY").value().last, stored) << process.log();
    EXPECT_EQ(process.end(SIGTERM), 0) << process.log();
  };
  make_streams(reader());
  peer_.publish_many(2);
  run_until(2);
  peer_.jetstream->remove("TELEMETRY");
  make_streams(reader());
  peer_.publish_many(2, 2);
  run_until(4);
}

TEST_F(StreamReplays, a_stream_that_is_made_anew_while_it_is_filled_is_noticed) {
  const std::string recorded = tape();
  fakes::ForeignStream taken{"AGAIN", "vehicle.>"};
  ASSERT_EQ(taken.add(peer_), NATS_OK);
  fakes::WeirProcess filling{{"replay", recorded, "--to-nats", "AGAIN", "--url", servers_.nats(), "--speed", "20x"},
                             directory_.file("filling")};
  peer_.wait_for("AGAIN", 50);
  filling.send(SIGSTOP);  // else it may see that the stream is gone before there is another
  ASSERT_EQ(js_DeleteStream(peer_.jetstream->handle(), "AGAIN", nullptr, nullptr), NATS_OK);
  ASSERT_EQ(taken.add(peer_), NATS_OK);
  filling.send(SIGCONT);
  EXPECT_EQ(filling.wait(), 70) << filling.log();
  EXPECT_THAT(filling.log(), testing::HasSubstr("stream AGAIN was deleted and recreated while it was filled"));
}

TEST_F(StreamReplays, a_stream_that_would_not_tell_what_it_has_is_refused) {
  const std::string recorded = tape();
  fakes::ForeignStream silent{"SILENT", "vehicle.>"};
  silent.config.NoAck = true;
  ASSERT_EQ(silent.add(peer_), NATS_OK);
  const Said said = to_nats(recorded, "SILENT");
  EXPECT_EQ(said.exit, 78);
  EXPECT_TRUE(said.has("stream SILENT acknowledges nothing (no_ack)")) << said.text;
}

TEST_F(StreamReplays, a_stream_that_can_not_take_a_recording_is_said) {
  const std::string recorded = tape();
  const Said none = to_nats(recorded, "NIX");
  EXPECT_EQ(none.exit, 78);
  EXPECT_TRUE(none.has("there is no stream NIX")) << none.text;
  fakes::ForeignStream other{"OTHER", "other.>"};
  ASSERT_EQ(other.add(peer_), NATS_OK);
  const Said strange = to_nats(recorded, "OTHER");
  EXPECT_EQ(strange.exit, 70);
  EXPECT_TRUE(strange.has("stream OTHER does not take vehicle.")) << strange.text;
  EXPECT_EQ(peer_.jetstream->state("OTHER").value().last, 0u);
  fakes::ForeignStream narrow{"NARROW", "vehicle.>"};
  narrow.config.MaxMsgSize = 64;
  ASSERT_EQ(narrow.add(peer_), NATS_OK);
  const Said large = to_nats(recorded, "NARROW");
  EXPECT_EQ(large.exit, 70);
  EXPECT_TRUE(large.has("too_large_for_stream")) << large.text;
  EXPECT_EQ(weir({"replay", recorded, pipeline(), "--to-nats", "OTHER"}).exit, 64);
  EXPECT_EQ(weir({"replay", recorded, "--to-nats", "OTHER", "--diff", "x.csv"}).exit, 64);
  EXPECT_EQ(weir({"replay", recorded}).exit, 64);
}

}  // namespace
}  // namespace weir
