// One file of vectors for the firmware's hash and nats-server's mapping; the engine's own test reads it too.
#include <fstream>
#include <sstream>

#include "real_server.hpp"

namespace weir::firmware {
namespace {

struct Vector {
  std::string vehicle;
  std::uint32_t partitions, partition;
};

std::vector<Vector> vectors() {
  std::ifstream in{WEIR_SOURCE_DIR "/schemas/partition_vectors.txt"};
  std::vector<Vector> out;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('#')) continue;
    Vector vector;
    std::istringstream{line} >> vector.vehicle >> vector.partitions >> vector.partition;
    out.push_back(vector);
  }
  return out;
}

TEST(Partition, agreesWithTheVectors) {
  for (const auto& [vehicle, partitions, partition] : vectors()) {
    EXPECT_EQ(weir_partition(vehicle.c_str(), partitions), partition) << vehicle << " of " << partitions;
  }
  EXPECT_GT(vectors().size(), 90U);
}

// The account's mapping sends each vehicle to the partition of the vectors.
TEST(Partition, ofTheServersMappingIsThatOfTheVectors) {
  std::string conf = "mappings {\n";
  for (const std::uint32_t n : {1, 2, 7, 16, 64, 1000}) {
    conf +=
        weir::format("\"n{0}.*.*\": \"p.{{{{partition({0},1)}}}}.n{0}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}\"\n", n);
  }
  const fakes::Servers servers{"nats", conf + "}\n"};
  const Stream stream{servers.nats(), "p.>"};
  for (const auto& [vehicle, partitions, partition] : vectors()) {
    stream.publish(weir::format("n{}.{}.speed", partitions, vehicle));
  }
  const auto stored = stream.read();
  const auto all = vectors();
  ASSERT_EQ(stored.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto expected = weir::format("p.{}.n{}.{}.speed", all[i].partition, all[i].partitions, all[i].vehicle);
    EXPECT_EQ(stored[i].subject, expected);
  }
}

// A device that publishes to its partition itself, and one whose subject the account maps, share a stream.
TEST(Partition, ofTheDeviceIsThatOfTheMapping) {
  const fakes::Servers servers{"nats",
                               "mappings { \"vehicle.*.>\": \"p.{{partition(16,1)}}.vehicle.{{wildcard(1)}}.>\" }\n"};
  const Stream stream{servers.nats(), "p.>"};
  for (const std::uint32_t partitions : {0U, 16U}) {
    RealSensor sensor{servers.nats()};
    sensor.config.partitions = partitions;
    sensor.start();
    weir_sensor_sample(&sensor.sensor, 1, 1);
    ASSERT_TRUE(sensor.drain());
  }
  const auto stored = stream.read();
  ASSERT_EQ(stored.size(), 2U);
  EXPECT_EQ(stored[0].subject, "p.8.vehicle.v1.speed");
  EXPECT_EQ(stored[1].subject, "p.8.vehicle.v1.speed");
}

}  // namespace
}  // namespace weir::firmware
