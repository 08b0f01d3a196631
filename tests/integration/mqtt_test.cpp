/// Devices that speak MQTT, through nats-server's own listener, into a pipeline.
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <regex>

#include "integration/job_fixture.hpp"

namespace weir::integration {
namespace {

class Mqtt : public Job {
 protected:
  /// Starts the server again with MQTT beside NATS, and these lines.
  void listen(const std::string& more = {}) {
    nats_.stop("nats");
    nats_.configure_nats("mqtt { listen: \"127.0.0.1:-1\" }\n" + more);
    nats_.start("nats");
    std::ifstream log{nats_.nats_data().parent_path() / "log"};
    const std::string text{std::istreambuf_iterator<char>{log}, {}};
    std::smatch port;
    ASSERT_TRUE(std::regex_search(text, port, std::regex{"MQTT clients on mqtt://127.0.0.1:([0-9]+)"})) << text;
    port_ = port[1];
  }
  void publish(const std::string& vehicle, Duration after, double speed, int quality) const {
    const std::string payload = weir::format(R"({{"time":{},"value":{}}})", origin_ + after, speed);
    const std::string command = weir::format("mosquitto_pub -h 127.0.0.1 -p {} -q {} -t vehicle/{}/speed -m '{}'",
                                             port_, quality, vehicle, payload);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  std::string port_;
};

TEST_F(Mqtt, ATopicIsTheSubjectWithDots) {
  listen();
  run();
  publish("a", 500 * millisecond, 10, 0);
  publish("a", 1500 * millisecond, 20, 1);
  publish("a", 2500 * millisecond, 30, 0);
  expect_rows("1 15 2 25");
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
}

TEST_F(Mqtt, TheAccountsMappingPutsItIntoAPartition) {
  listen(R"(mappings { "vehicle.*.>": "p.{{partition(2,1)}}.vehicle.{{wildcard(1)}}.>" })");
  run({.partitions = 2});
  for (const char* vehicle : {"a", "b"}) {
    publish(vehicle, 500 * millisecond, 10, 1);
    publish(vehicle, 1500 * millisecond, 20, 0);
  }
  const std::string all = "SELECT key, speed FROM vehicle_second ORDER BY key";
  for (int i = 0; i < 500 && database_.ask(all) != "a 15 b 15"; ++i) pause(20 * millisecond);
  EXPECT_EQ(database_.ask(all), "a 15 b 15") << job_->log();
  EXPECT_EQ(job_->end(SIGTERM), 0) << job_->log();
}

}  // namespace
}  // namespace weir::integration
