/// A fleet that drives through a city, as its sensors see it: the model behind source/simulate.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <weir/types.hpp>

namespace weir::fleet {

enum class Sensor : std::uint8_t { position, speed, heading, torque, charge, fuel, temperature, power };
inline constexpr std::size_t sensor_count = 8;
inline constexpr std::array<std::string_view, sensor_count> sensor_names{"position", "speed", "heading",     "torque",
                                                                         "charge",   "fuel",  "temperature", "power"};

/// How often a sensor is read. `power` has no rate: it is read when it changes.
struct Pace {
  double rate = 0;    ///< readings per second while driving; 0: never
  double jitter = 0;  ///< share of the period, 0 to 1, by which the distance of two readings varies
};

struct Plan {
  std::uint64_t seed = 1;
  std::uint32_t vehicles = 1;
  Timestamp start = 0;      ///< nothing is read before it; every vehicle departs within the five seconds after it
  Duration drive = 0;       ///< mean length of a trip, which varies by half
  Duration park = 0;        ///< mean length of a pause; 0: trips do not end
  Duration loss_every = 0;  ///< mean time between two losses of a vehicle's link; 0: it is never lost
  Duration loss_for = 0;    ///< mean length of a loss
  std::array<Pace, sensor_count> sensors{};
};

/// What a sensor said. position: x, y, z are latitude, longitude (degrees), altitude (m); else x is speed (km/h),
/// heading (degrees from north), torque (Nm), charge (%), fuel (%), temperature of the brake fluid (°C), power (1 on, 0
/// off).
struct Reading {
  Timestamp time = 0;
  double x = 0, y = 0, z = 0;
  Sensor sensor = Sensor::position;
};

/// Mixes bits: equal inputs give equal outputs, different ones look unrelated.
constexpr std::uint64_t mix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  return bits ^ (bits >> 31);
}
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) { return mix(a + 0x9E3779B97F4A7C15u * (b + 1)); }

/// From 0 to below 1.
constexpr double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

/// The vehicles. Each is a stream of its own: what it does depends on the plan's seed and its number only; its sensors
/// do not change how it drives, nor each other. The cut of time into calls of drive() never shows. Uses no function
/// whose result differs between machines. 200 bytes a vehicle.
///
/// Threads   one.
class Fleet {
 public:
  explicit Fleet(const Plan& plan);

  /// Appends a vehicle's readings from where the last call ended up to before `until`; each sensor's in order of time.
  void drive(std::uint32_t vehicle, Timestamp until, std::vector<Reading>& out);

  /// When the vehicle's next reading will be.
  Timestamp next(std::uint32_t vehicle) const;

  /// `at` if the vehicle's link works then, else when it is back. Calls for a vehicle must ask for ascending times.
  Timestamp linked(std::uint32_t vehicle, Timestamp at);

  /// Says that the vehicle will be asked about soon.
  void prefetch(std::uint32_t vehicle) const {
    const auto* bytes = reinterpret_cast<const char*>(&vehicles_[vehicle]);
    for (std::size_t at = 0; at < sizeof(Vehicle); at += 64) __builtin_prefetch(bytes + at, 1);
  }

  bool driving(std::uint32_t vehicle) const { return vehicles_[vehicle].driving; }

 private:
  /// One second of driving is one step: speed, heading and the rest change evenly within it.
  struct Vehicle {
    std::uint64_t random;  ///< state of its generator
    std::uint64_t losses;  ///< the same for its link
    Timestamp step = 0;    ///< when this step began
    Timestamp change = 0;  ///< when this trip or pause ends
    Timestamp lost = end_of_time, back = end_of_time;
    double north = 0, east = 0;    ///< metres from the centre of the city
    double heading = 0, turn = 0;  ///< degrees, degrees per second
    double speed = 0, gain = 0;    ///< m/s, m/s²
    float torque = 0;
    float charge = 0, charge_rate = 0;
    float fuel = 0, fuel_rate = 0;
    float temperature = 20, temperature_rate = 0;
    std::uint8_t hold = 0;    ///< seconds left of a stop at lights
    std::int8_t turning = 0;  ///< seconds left of a turn; negative: to the left
    bool driving = false;
    std::array<Timestamp, sensor_count - 1> due{};
  };

  void depart(std::uint32_t number, Vehicle& vehicle, std::vector<Reading>& out);
  void park(Vehicle& vehicle, std::vector<Reading>& out);
  void read(std::uint32_t number, Vehicle& vehicle, Timestamp until, std::vector<Reading>& out);
  void steer(Vehicle& vehicle);
  static void move(Vehicle& vehicle, double seconds);
  static Reading observe(const Vehicle& vehicle, Sensor sensor, Timestamp time);
  Duration distance(std::uint32_t number, std::size_t sensor, Timestamp time) const;

  Plan plan_;
  std::array<Duration, sensor_count - 1> period_{};
  std::vector<Vehicle> vehicles_;
};

}  // namespace weir::fleet
