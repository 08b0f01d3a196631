// Against a real nats-server: what is stored, with logins, TLS, a clock, and a server that ends.
#include "real_server.hpp"

namespace weir::firmware {
namespace {

using Lines = std::vector<std::string>;

TEST(Server, storesSamplesInOrder) {
  const fakes::Servers servers{"nats"};
  const Stream stream{servers.nats()};
  RealSensor sensor{servers.nats()};
  sensor.start();
  for (int i = 1; i <= 100; ++i) ASSERT_EQ(weir_sensor_sample(&sensor.sensor, i, i / 2.0), WEIR_OK);
  ASSERT_EQ(weir_sensor_position(&sensor.sensor, 101, 52.5, 13.4, 40), WEIR_OK);
  ASSERT_EQ(weir_sensor_text(&sensor.sensor, 102, "open", 4), WEIR_OK);
  ASSERT_TRUE(sensor.drain());
  const auto samples = stream.samples();
  ASSERT_EQ(samples.size(), 102U);
  EXPECT_EQ(samples[0], "1 0.5");
  EXPECT_EQ(samples[99], "100 50");
  EXPECT_EQ(samples[100], "101 52.5,13.4,40");
  EXPECT_EQ(samples[101], "102 \"open\"");
  EXPECT_EQ(stream.read().front().subject, "vehicle.v1.speed");
}

TEST(Server, storesAFrameOnceInItsDuplicateWindow) {
  const fakes::Servers servers{"nats"};
  const Stream stream{servers.nats()};
  RealSensor sensor{servers.nats()};
  sensor.start();
  weir_sensor_sample(&sensor.sensor, 1, 1);
  weir_sensor_flush(&sensor.sensor);
  ASSERT_TRUE(sensor.poll_until([&] { return stream.size() == 1; }));
  weir_nats_close(&sensor.sensor.nats);  // before the acknowledgement is read
  weir_sensor_sample(&sensor.sensor, 2, 2);
  ASSERT_TRUE(sensor.drain());
  EXPECT_EQ(stream.samples(), (Lines{"1 1", "2 2"}));
  EXPECT_GE(sensor.sensor.statistics.frames_sent, 2U);
  EXPECT_EQ(sensor.sensor.statistics.frames_stored, 2U);
}

TEST(Server, keepsOrderOverItsRestart) {
  fakes::Servers servers{"nats"};
  const Stream stream{servers.nats()};
  RealSensor sensor{servers.nats()};
  sensor.start();
  Lines expected;
  int next = 0;
  const auto add = [&](int samples) {
    for (int i = 0; i < samples; ++i) {
      next++;
      weir_sensor_sample(&sensor.sensor, next, next);
      weir_sensor_flush(&sensor.sensor);
      weir_sensor_poll(&sensor.sensor);
      expected.push_back(std::to_string(next) + " " + std::to_string(next));
    }
  };
  add(20);
  servers.kill("nats");
  add(20);
  ASSERT_TRUE(sensor.poll_until([&] { return sensor.sensor.nats.statistics.losses > 2; }));
  servers.start("nats");
  add(20);
  ASSERT_TRUE(sensor.drain());
  EXPECT_EQ(stream.samples(), expected);
}

TEST(Server, clockIsThatOfTheTimeServer) {
  const fakes::Servers servers{"nats"};
  Stream stream{servers.nats()};
  stream.tell_time();
  RealSensor sensor{servers.nats(), false};
  sensor.config.clock_interval_ms = 1000;
  sensor.start();
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  weir_sensor_sample(&sensor.sensor, sensor.port.now(sensor.port.context), 1);
  ASSERT_TRUE(sensor.drain());
  const auto sample = stream.samples().at(0);
  const double wall = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  EXPECT_NEAR(std::stod(sample) / 1e9, wall, 0.5);
  std::int64_t utc = 0, error = 0;
  ASSERT_TRUE(weir_sensor_utc(&sensor.sensor, sensor.port.now(sensor.port.context), &utc, &error));
  EXPECT_LT(error, 500'000'000);
}

TEST(Server, takesUserAndPassword) {
  const fakes::Servers servers{"nats", "authorization { user: weir, password: \"s3cret/@:x\" }\n"};
  const Stream stream{servers.nats(), "vehicle.>",
                      [](natsOptions* options) { check(natsOptions_SetUserInfo(options, "weir", "s3cret/@:x")); }};
  RealSensor sensor{servers.nats()};
  sensor.config.nats.user = "weir";
  sensor.config.nats.password = "gue55ed";
  sensor.start();
  weir_sensor_sample(&sensor.sensor, 1, 1);
  ASSERT_TRUE(sensor.poll_until([&] { return sensor.sensor.nats.statistics.last_error == WEIR_ERROR_AUTHORIZATION; }));
  sensor.config.nats.password = "s3cret/@:x";
  ASSERT_TRUE(sensor.drain());
  EXPECT_EQ(stream.samples(), Lines{"1 1"});
}

TEST(Server, takesAToken) {
  const fakes::Servers servers{"nats", "authorization { token: s3cret }\n"};
  const Stream stream{servers.nats(), "vehicle.>",
                      [](natsOptions* options) { check(natsOptions_SetToken(options, "s3cret")); }};
  RealSensor sensor{servers.nats()};
  sensor.config.nats.token = "s3cret";
  sensor.start();
  weir_sensor_sample(&sensor.sensor, 1, 1);
  ASSERT_TRUE(sensor.drain());
  EXPECT_EQ(stream.samples(), Lines{"1 1"});
}

TEST(Server, thatRejectsTheSubjectIsReported) {
  const fakes::Servers servers{
      "nats",
      "authorization { users: [ { user: a, password: a }, { user: b, password: b, permissions: { publish: "
      "\"other.>\" } } ] }\n"};
  const Stream stream{servers.nats(), "vehicle.>",
                      [](natsOptions* options) { check(natsOptions_SetUserInfo(options, "a", "a")); }};
  RealSensor sensor{servers.nats()};
  sensor.config.nats.user = sensor.config.nats.password = "b";
  sensor.start();
  weir_sensor_sample(&sensor.sensor, 1, 1);
  weir_sensor_flush(&sensor.sensor);
  EXPECT_TRUE(sensor.poll_until([&] { return sensor.sensor.nats.statistics.permission_errors == 1; }));
  EXPECT_FALSE(weir_sensor_is_empty(&sensor.sensor));
}

}  // namespace
}  // namespace weir::firmware
