// Runs firmware/tests/cases/*.txt: each line is a step; cases/README.md lists them. Every case runs four times, with
// links that pass whole buffers or one byte at a time, in either direction.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "device.hpp"

namespace weir::firmware {
namespace {

/// "\r\n" and "\xNN" as bytes.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char kind = text[++i];
    if (kind == 'x') {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += kind == 'r' ? '\r' : kind == 'n' ? '\n' : kind;
    }
  }
  return out;
}

std::string rest_of(std::istringstream& words) {
  std::string rest;
  std::getline(words >> std::ws, rest);
  return rest;
}

std::int64_t number_of(std::istringstream& words) {
  std::int64_t number = 0;
  if (!(words >> number)) throw std::runtime_error{"a number is missing"};
  return number;
}

class Case {
 public:
  Case(std::uint32_t receive_most, std::uint32_t send_most) {
    device_.memory.receive_most = receive_most;
    device_.memory.send_most = send_most;
  }

  void run(const std::filesystem::path& file) {
    std::ifstream in{file};
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      if (line.empty() || line[0] == '#') continue;
      SCOPED_TRACE(file.filename().string() + ":" + std::to_string(number) + ": " + line);
      try {
        step(line);
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
      }
      if (testing::Test::HasFatalFailure() || testing::Test::HasNonfatalFailure()) return;
    }
  }

 private:
  void step(const std::string& line) {
    std::istringstream words{line};
    std::string verb;
    words >> verb;
    if (verb == "config") return configure(words);
    if (!started_) {
      started_ = true;
      ASSERT_EQ(device_.start(), WEIR_OK);
    }
    if (verb == "samples") return samples(words);
    if (verb == "text") {
      const auto time = number_of(words) * ms;
      const auto text = rest_of(words);
      EXPECT_EQ(weir_sensor_text(&device_.sensor, time, text.data(), static_cast<std::uint32_t>(text.size())), WEIR_OK);
    } else if (verb == "position") {
      const auto time = number_of(words) * ms;
      std::string place[3];
      words >> place[0] >> place[1] >> place[2];
      double at[3];
      for (int i = 0; i < 3; ++i) at[i] = std::strtod(place[i].c_str(), nullptr);
      EXPECT_EQ(weir_sensor_position(&device_.sensor, time, at[0], at[1], at[2]), WEIR_OK);
    } else if (verb == "flush") {
      weir_sensor_flush(&device_.sensor);
    } else if (verb == "advance") {
      device_.advance(number_of(words) * ms);
    } else if (verb == "server") {
      server(words);
    } else if (verb == "link") {
      link(words);
    } else if (verb == "expect") {
      expect(words);
    } else {
      FAIL() << "unknown step";
    }
  }

  void configure(std::istringstream& words) {
    std::string name, value;
    words >> name >> value;
    const auto number = static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    auto& config = device_.config;
    const std::map<std::string, std::function<void()>> settings{
        {"frame_size", [&] { config.frame_size = number; }},
        {"outbox_size", [&] { config.outbox_size = number; }},
        {"max_age_ms", [&] { config.max_age_ms = number; }},
        {"ack_timeout_ms", [&] { config.ack_timeout_ms = number; }},
        {"backoff_max_ms", [&] { config.nats.backoff_max_ms = number; }},
        {"ping_interval_ms", [&] { config.nats.ping_interval_ms = number; }},
        {"partitions", [&] { config.partitions = number; }},
        {"clock_interval_ms", [&] { config.clock_interval_ms = number; }},
        {"clock_wait_ms", [&] { config.clock_wait_ms = number; }},
        {"tls",
         [&] {
           config.nats.tls = value == "first" ? WEIR_TLS_FIRST : value == "off" ? WEIR_TLS_OFF : WEIR_TLS_AFTER_INFO;
           device_.server.greets = value != "first";
         }},
        {"policy",
         [&] {
           config.policy = value == "oldest" ? WEIR_DROP_OLDEST : value == "newest" ? WEIR_DROP_NEWEST : WEIR_THIN_OUT;
         }},
        {"user", [&] { config.nats.user = keep(value), config.nats.password = "s\"cret"; }},
        {"token", [&] { config.nats.token = keep(value); }},
        {"tls_pending", [&] { device_.memory.tls_pending = number; }},
        {"open_pending", [&] { device_.memory.open_pending = number; }}};
    ASSERT_TRUE(settings.contains(name)) << "unknown setting";
    settings.at(name)();
  }

  void samples(std::istringstream& words) {
    auto time = number_of(words);
    for (double value = 0; words >> value; time += 10) {
      EXPECT_EQ(weir_sensor_sample(&device_.sensor, time * ms, value), WEIR_OK);
    }
  }

  void server(std::istringstream& words) {
    std::string what;
    words >> what;
    auto& server = device_.server;
    if (what == "says") return server.say(unescaped(rest_of(words)));
    if (what == "answers") return void(server.refusal = rest_of(words));
    if (what == "info") return void(server.info = rest_of(words));
    if (what == "delay_ms") return void(server.delay = number_of(words) * ms);
    if (what == "time_ahead_ms") return void(server.time_ahead = number_of(words) * ms);
    if (what == "releases") {  // the withheld acknowledgements, the last one first
      std::ranges::reverse(server.withheld);
      for (const auto& reply : server.withheld) server.deliver(reply, R"({"stream":"TELEMETRY","seq":1})");
      return server.withheld.clear();
    }
    const std::map<std::string, bool*> switches{
        {"stores", &server.stores},         {"acknowledges", &server.acknowledges},
        {"tells_time", &server.tells_time}, {"accepts", &server.accepts},
        {"pongs", &server.pongs},           {"greets", &server.greets}};
    std::string value;
    words >> value;
    ASSERT_TRUE(switches.contains(what)) << "the server can't";
    *switches.at(what) = value == "on";
  }

  void link(std::istringstream& words) {
    std::string what;
    words >> what;
    auto& memory = device_.memory;
    if (what == "cut") return weir_memory_port_cut(&memory);
    if (what == "down") return weir_memory_port_cut(&memory), void(memory.open_fails = true);
    if (what == "up") return void(memory.open_fails = memory.stalls = false);
    if (what == "stalls") return void(memory.stalls = true);
    FAIL() << "the link can't";
  }

  std::uint32_t counter(const std::string& name) {
    const auto& all = device_.sensor.statistics;
    const auto& nats = device_.sensor.nats.statistics;
    const std::map<std::string, std::uint32_t> counters{
        {"samples", all.samples},
        {"frames_sent", all.frames_sent},
        {"frames_stored", all.frames_stored},
        {"frames_untimed", all.frames_untimed},
        {"dropped_oldest", all.frames_dropped[WEIR_DROPPED_OLDEST]},
        {"dropped_newest", all.frames_dropped[WEIR_DROPPED_NEWEST]},
        {"dropped_thinned", all.frames_dropped[WEIR_DROPPED_THINNED]},
        {"dropped_rejected", all.frames_dropped[WEIR_DROPPED_REJECTED]},
        {"samples_dropped_oldest", all.samples_dropped[WEIR_DROPPED_OLDEST]},
        {"acks_missing", all.acks_missing},
        {"acks_negative", all.acks_negative},
        {"connects", nats.connects},
        {"losses", nats.losses},
        {"discarded", nats.messages_discarded},
        {"permission_errors", nats.permission_errors},
        {"last_error", static_cast<std::uint32_t>(-nats.last_error)},
        {"duplicates", static_cast<std::uint32_t>(device_.server.duplicates)},
        {"tls", device_.memory.is_tls ? 1U : 0U}};
    if (!counters.contains(name)) throw std::runtime_error{"unknown counter"};
    return counters.at(name);
  }

  void expect(std::istringstream& words) {
    std::string what;
    words >> what;
    const auto& server = device_.server;
    if (what == "stored") return expect_stored(words);
    if (what == "line") {
      const auto text = unescaped(rest_of(words));
      const auto found = std::ranges::any_of(server.lines, [&](const auto& line) { return line.contains(text); });
      EXPECT_TRUE(found) << testing::PrintToString(server.lines);
    } else if (what == "sample") {
      const auto text = rest_of(words);
      EXPECT_TRUE(std::ranges::contains(server.stored, text)) << testing::PrintToString(server.stored);
    } else if (what == "ready") {
      EXPECT_TRUE(weir_nats_is_ready(&device_.sensor.nats));
    } else if (what == "not_ready") {
      EXPECT_FALSE(weir_nats_is_ready(&device_.sensor.nats));
    } else if (what == "empty") {
      EXPECT_TRUE(weir_sensor_is_empty(&device_.sensor));
    } else if (what == "accounted") {
      expect_accounted();
    } else if (std::string is; words >> is && is == "at_least") {
      EXPECT_GE(counter(what), number_of(words));
    } else {
      EXPECT_EQ(counter(what), std::stol(is));
    }
  }

  /// The values in the stream, in its order: all of them.
  void expect_stored(std::istringstream& words) {
    std::vector<std::string> expected{std::istream_iterator<std::string>{words}, {}}, values;
    for (const auto& line : device_.server.stored) values.push_back(line.substr(line.rfind(' ') + 1));
    EXPECT_EQ(values, expected);
  }

  /// Nothing is lost uncounted: samples taken are stored or dropped, and drops are reported. The outbox is empty.
  void expect_accounted() {
    const auto& all = device_.sensor.statistics;
    std::uint32_t dropped = 0;
    for (int reason = 0; reason < WEIR_DROP_REASONS; ++reason) {
      dropped += all.samples_dropped[reason];
      EXPECT_EQ(device_.reported[reason], all.frames_dropped[reason]);
    }
    EXPECT_EQ(all.samples, device_.server.stored.size() + dropped);
    EXPECT_TRUE(weir_sensor_is_empty(&device_.sensor));
  }

  const char* keep(const std::string& text) { return kept_.emplace_back(text).c_str(); }

  Device device_;
  bool started_ = false;
  std::deque<std::string> kept_;
};

class Cases : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(Cases, pass) {
  for (const std::uint32_t receive : {0U, 1U}) {
    for (const std::uint32_t send : {0U, 1U}) {
      SCOPED_TRACE("receive_most " + std::to_string(receive) + ", send_most " + std::to_string(send));
      Case{receive, send}.run(GetParam());
      if (HasFailure()) return;
    }
  }
}

std::vector<std::filesystem::path> all_cases() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{WEIR_SOURCE_DIR "/firmware/tests/cases"}) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

INSTANTIATE_TEST_SUITE_P(Firmware, Cases, testing::ValuesIn(all_cases()),
                         [](const auto& file) { return file.param.stem().string(); });

}  // namespace
}  // namespace weir::firmware
