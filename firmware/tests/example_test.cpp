// The example vehicle against a real server.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "real_server.hpp"

namespace weir::firmware {
namespace {

TEST(Vehicle, publishesEachSensorFromOnToOff) {
  const fakes::Servers servers{"nats"};
  const Stream stream{servers.nats()};
  const auto& url = servers.nats();
  const auto address = url.substr(url.find("//") + 2);
  const std::string command =
      WEIR_BUILD_DIR "/weir_vehicle " + address + " v7 2 42 position=5 speed=10 vibration=200 2>&1";
  FILE* out = popen(command.c_str(), "r");
  ASSERT_NE(out, nullptr);
  std::string text;
  std::array<char, 512> part{};
  while (fgets(part.data(), part.size(), out) != nullptr) text += part.data();
  EXPECT_EQ(pclose(out), 0) << text;
  std::map<std::string, std::vector<std::string>> samples;
  for (const auto& stored : stream.read()) {
    auto& all = samples[stored.subject];
    all.insert(all.end(), stored.samples.begin(), stored.samples.end());
  }
  ASSERT_EQ(samples.size(), 4U) << text;
  EXPECT_EQ(samples["vehicle.v7.power"].size(), 2U);
  EXPECT_TRUE(samples["vehicle.v7.power"].front().ends_with(" 1"));
  EXPECT_TRUE(samples["vehicle.v7.power"].back().ends_with(" 0"));
  EXPECT_NEAR(static_cast<double>(samples["vehicle.v7.position"].size()), 10, 2);
  EXPECT_NEAR(static_cast<double>(samples["vehicle.v7.speed"].size()), 20, 2);
  EXPECT_NEAR(static_cast<double>(samples["vehicle.v7.vibration"].size()), 400, 10);
  EXPECT_TRUE(std::ranges::is_sorted(samples["vehicle.v7.vibration"], {},
                                     [](const std::string& line) { return std::stoll(line.substr(4)); }));
}

}  // namespace
}  // namespace weir::firmware
