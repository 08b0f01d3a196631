#include "sources/simulate/fleet.hpp"

#include <algorithm>
#include <cmath>

namespace weir::fleet {
namespace {

constexpr double latitude_of_city = 52.52;
constexpr double longitude_of_city = 13.405;
constexpr double metres_per_degree = 111'320;
constexpr double narrowing = 0.6085;  // of a degree of longitude at that latitude
constexpr double city_radius = 9'000;
constexpr double zone_size = 1'000;

/// Sine of an angle in degrees; exact to 1e-9 and the same on every machine, which the C library does not promise.
double sine(double degrees) {
  degrees -= 360.0 * static_cast<double>(static_cast<std::int64_t>(degrees / 360.0));
  if (degrees > 180) degrees -= 360;
  if (degrees < -180) degrees += 360;
  if (degrees > 90) degrees = 180 - degrees;
  if (degrees < -90) degrees = -180 - degrees;
  const double x = degrees * 0.017453292519943295;
  const double s = x * x;
  return x *
         (1 + s * (-1.0 / 6 + s * (1.0 / 120 +
                                   s * (-1.0 / 5040 + s * (1.0 / 362880 + s * (-1.0 / 39916800 + s / 6227020800.0))))));
}
double cosine(double degrees) { return sine(degrees + 90); }

/// Rounded to a multiple of 1 / scale, as a sensor of limited resolution does.
double rounded(double value, double scale) {
  return static_cast<double>(static_cast<std::int64_t>(value * scale + (value < 0 ? -0.5 : 0.5))) / scale;
}

double wrapped(double degrees) { return degrees < 0 ? degrees + 360 : degrees >= 360 ? degrees - 360 : degrees; }

std::uint64_t draw(std::uint64_t& state) { return mix(state += 0x9E3779B97F4A7C15u); }

/// Between half and one and a half of the mean.
Duration around(Duration mean, std::uint64_t bits) {
  return static_cast<Duration>(static_cast<double>(mean) * (0.5 + unit(bits)));
}

double seconds(Duration length) { return static_cast<double>(length) * 1e-9; }

/// What may be driven in the zone of a place, m/s.
double speed_limit(double north, double east) {
  const auto cell = [](double metres) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(metres / zone_size + 1000));
  };
  constexpr std::array<double, 8> limits{30, 30, 50, 50, 50, 50, 70, 100};
  return limits[mix(cell(north), cell(east)) % limits.size()] / 3.6;
}

}  // namespace

Fleet::Fleet(const Plan& plan) : plan_{plan} {
  for (std::size_t i = 0; i < period_.size(); ++i) {
    if (plan.sensors[i].rate > 0) period_[i] = std::max<Duration>(1, static_cast<Duration>(1e9 / plan.sensors[i].rate));
  }
  vehicles_.resize(plan.vehicles);
  for (std::uint32_t i = 0; i < plan.vehicles; ++i) {
    Vehicle& vehicle = vehicles_[i];
    vehicle.random = mix(plan.seed, 2 * std::uint64_t{i});
    vehicle.losses = mix(plan.seed, 2 * std::uint64_t{i} + 1);
    vehicle.north = (unit(draw(vehicle.random)) - 0.5) * 1.4 * city_radius;
    vehicle.east = (unit(draw(vehicle.random)) - 0.5) * 1.4 * city_radius;
    vehicle.heading = static_cast<double>(draw(vehicle.random) % 360);
    vehicle.charge = static_cast<float>(40 + 60 * unit(draw(vehicle.random)));
    vehicle.fuel = static_cast<float>(30 + 70 * unit(draw(vehicle.random)));
    vehicle.change = plan.start + static_cast<Duration>(unit(draw(vehicle.random)) * 5e9);
    if (plan.loss_every == 0) continue;
    vehicle.lost = plan.start + around(plan.loss_every, draw(vehicle.losses));
    vehicle.back = vehicle.lost + around(plan.loss_for, draw(vehicle.losses));
  }
}

Timestamp Fleet::next(std::uint32_t number) const {
  const Vehicle& vehicle = vehicles_[number];
  if (!vehicle.driving) return vehicle.change;
  return std::min(vehicle.change, std::ranges::min(vehicle.due));
}

Timestamp Fleet::linked(std::uint32_t number, Timestamp at) {
  Vehicle& vehicle = vehicles_[number];
  while (at >= vehicle.back) {
    vehicle.lost = vehicle.back + around(plan_.loss_every, draw(vehicle.losses));
    vehicle.back = vehicle.lost + around(plan_.loss_for, draw(vehicle.losses));
  }
  return at < vehicle.lost ? at : vehicle.back;
}

void Fleet::drive(std::uint32_t number, Timestamp until, std::vector<Reading>& out) {
  Vehicle& vehicle = vehicles_[number];
  for (;;) {
    if (!vehicle.driving) {
      if (vehicle.change >= until) return;
      depart(number, vehicle, out);
    }
    const Timestamp step_end = vehicle.step + second;
    read(number, vehicle, std::min({step_end, vehicle.change, until}), out);
    if (vehicle.change < until && vehicle.change <= step_end) {
      park(vehicle, out);
    } else if (step_end <= until && step_end < vehicle.change) {
      move(vehicle, 1);
      vehicle.step = step_end;
      steer(vehicle);
    } else {
      return;
    }
  }
}

void Fleet::depart(std::uint32_t number, Vehicle& vehicle, std::vector<Reading>& out) {
  const Timestamp now = vehicle.change;
  out.push_back({.time = now, .x = 1, .sensor = Sensor::power});
  vehicle.driving = true;
  vehicle.step = now;
  vehicle.speed = 0;
  const std::uint64_t length = draw(vehicle.random);
  vehicle.change = plan_.park == 0 ? end_of_time : now + std::max<Duration>(second, around(plan_.drive, length));
  for (std::size_t i = 0; i < vehicle.due.size(); ++i) {
    const double share = unit(mix(plan_.seed ^ i, number ^ static_cast<std::uint64_t>(now)));
    vehicle.due[i] = period_[i] == 0
                         ? end_of_time
                         : now + 1 + static_cast<Duration>(share * static_cast<double>(std::min(period_[i], second)));
  }
  steer(vehicle);
}

void Fleet::park(Vehicle& vehicle, std::vector<Reading>& out) {
  const Timestamp now = vehicle.change;
  out.push_back({.time = now, .x = 0, .sensor = Sensor::power});
  move(vehicle, seconds(now - vehicle.step));
  const Duration pause = std::max<Duration>(second, around(plan_.park, draw(vehicle.random)));
  vehicle.driving = false;
  vehicle.change = now + pause;
  vehicle.charge =
      std::min(95.0F, vehicle.charge + static_cast<float>(seconds(pause) * 11'000 * 100 / 216e6));  // 11 kW
  if (vehicle.fuel < 10) vehicle.fuel = 100;
  vehicle.temperature = 20 + (vehicle.temperature - 20) / static_cast<float>(1 + seconds(pause) / 600);
}

void Fleet::read(std::uint32_t number, Vehicle& vehicle, Timestamp until, std::vector<Reading>& out) {
  for (std::size_t i = 0; i < vehicle.due.size(); ++i) {
    while (vehicle.due[i] < until) {
      out.push_back(observe(vehicle, static_cast<Sensor>(i), vehicle.due[i]));
      vehicle.due[i] += distance(number, i, vehicle.due[i]);
    }
  }
}

/// To the reading after the one at `time`.
Duration Fleet::distance(std::uint32_t number, std::size_t sensor, Timestamp time) const {
  const double jitter = plan_.sensors[sensor].jitter;
  if (jitter == 0) return period_[sensor];
  const double share = unit(mix(mix(plan_.seed, number) ^ sensor, static_cast<std::uint64_t>(time))) - 0.5;
  return std::max<Duration>(
      1, period_[sensor] + static_cast<Duration>(static_cast<double>(period_[sensor]) * jitter * share));
}

/// Decides what the driver does in the next second, and what that does to the car.
void Fleet::steer(Vehicle& vehicle) {
  const std::uint64_t bits = draw(vehicle.random);
  const auto chance = [&](unsigned shift) { return static_cast<unsigned>((bits >> shift) & 0xFF); };
  if (vehicle.hold > 0) {
    --vehicle.hold;
  } else if (chance(0) < 3) {
    vehicle.hold = static_cast<std::uint8_t>(8 + chance(8) / 16);
  }
  const double across = cosine(vehicle.heading) * -vehicle.east - sine(vehicle.heading) * -vehicle.north;
  const double towards = cosine(vehicle.heading) * -vehicle.north + sine(vehicle.heading) * -vehicle.east;
  const bool outside = vehicle.north * vehicle.north + vehicle.east * vehicle.east > city_radius * city_radius;
  if (outside && (towards < 0 || std::abs(across) > towards)) {
    vehicle.turning = across > 0 ? 1 : -1;
  } else if (vehicle.turning != 0) {
    vehicle.turning = static_cast<std::int8_t>(vehicle.turning + (vehicle.turning > 0 ? -1 : 1));
  } else if (!outside && chance(16) < 8) {
    vehicle.turning = chance(24) < 128 ? 6 : -6;
  }
  double wanted = vehicle.hold > 0 ? 0 : speed_limit(vehicle.north, vehicle.east) * (0.85 + chance(32) / 1024.0);
  if (vehicle.turning != 0) wanted = std::min(wanted, 7.0);
  vehicle.gain = std::max(std::clamp((wanted - vehicle.speed) / 4, -3.0, 1.8), -vehicle.speed);
  vehicle.turn = vehicle.turning == 0 || vehicle.speed < 1 ? 0 : vehicle.turning > 0 ? 15 : -15;

  const double speed = vehicle.speed + vehicle.gain / 2;
  const double force = speed > 0 ? 1'800 * vehicle.gain + 0.4 * speed * speed + 180 : 0;
  const double power = force * speed;
  vehicle.torque = static_cast<float>(force * 0.32 / 9);
  vehicle.charge_rate = static_cast<float>(-((power > 0 ? power : 0.6 * power) + 500) * 100 / 216e6);  // of 60 kWh
  vehicle.fuel_rate = static_cast<float>(-2e-4 - std::max(power, 0.0) * 1e-8);
  const double cooling = (static_cast<double>(vehicle.temperature) - 20) / 90;
  vehicle.temperature_rate = static_cast<float>(std::max(-vehicle.gain, 0.0) * speed * 0.08 + speed * 0.002 - cooling);
}

void Fleet::move(Vehicle& vehicle, double time) {
  const double way = vehicle.speed * time + vehicle.gain * time * time / 2;
  const double heading = vehicle.heading + vehicle.turn * time / 2;
  vehicle.north += way * cosine(heading);
  vehicle.east += way * sine(heading);
  vehicle.heading = wrapped(vehicle.heading + vehicle.turn * time);
  vehicle.speed = std::max(0.0, vehicle.speed + vehicle.gain * time);
  const auto share = static_cast<float>(time);
  vehicle.charge = std::clamp(vehicle.charge + vehicle.charge_rate * share, 0.0F, 100.0F);
  vehicle.fuel = std::clamp(vehicle.fuel + vehicle.fuel_rate * share, 0.0F, 100.0F);
  vehicle.temperature += vehicle.temperature_rate * share;
}

Reading Fleet::observe(const Vehicle& vehicle, Sensor sensor, Timestamp at) {
  const double time = seconds(at - vehicle.step);
  const auto after = [&](float value, float rate) {
    return static_cast<double>(value) + static_cast<double>(rate) * time;
  };
  Reading out{.time = at, .sensor = sensor};
  switch (sensor) {
    case Sensor::position: {
      const double way = vehicle.speed * time + vehicle.gain * time * time / 2;
      const double heading = vehicle.heading + vehicle.turn * time / 2;
      const double north = vehicle.north + way * cosine(heading);
      const double east = vehicle.east + way * sine(heading);
      out.x = rounded(latitude_of_city + north / metres_per_degree, 1e7);
      out.y = rounded(longitude_of_city + east / (metres_per_degree * narrowing), 1e7);
      out.z = rounded(40 + 15 * sine(north / 5) + 10 * sine(east / 8), 10);
      break;
    }
    case Sensor::speed:
      out.x = rounded((vehicle.speed + vehicle.gain * time) * 3.6, 100);
      break;
    case Sensor::heading:
      out.x = wrapped(rounded(vehicle.heading + vehicle.turn * time, 10));
      break;
    case Sensor::torque:
      out.x = rounded(static_cast<double>(vehicle.torque), 10);
      break;
    case Sensor::charge:
      out.x = rounded(std::clamp(after(vehicle.charge, vehicle.charge_rate), 0.0, 100.0), 1000);
      break;
    case Sensor::fuel:
      out.x = rounded(std::clamp(after(vehicle.fuel, vehicle.fuel_rate), 0.0, 100.0), 1000);
      break;
    case Sensor::temperature:
      out.x = rounded(after(vehicle.temperature, vehicle.temperature_rate), 100);
      break;
    case Sensor::power:
      break;
  }
  return out;
}

}  // namespace weir::fleet
