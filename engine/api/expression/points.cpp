#include <h3/h3api.h>

#include <numbers>

#include "expression/block.hpp"

namespace weir::expression {
namespace {

constexpr double radians = std::numbers::pi / 180;

bool is_point(double lat, double lon) { return std::abs(lat) <= 90 && std::isfinite(lon); }

/// Metres on the sphere with the Earth's mean radius (IUGG: Moritz, "Geodetic Reference System 1980"), by the
/// haversine formula, which is exact for near points (Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984).
constexpr auto metres = [](double lat_a, double lon_a, double lat_b, double lon_b) {
  constexpr double mean_radius = 6'371'008.8;
  const double north = std::sin((lat_b - lat_a) * radians / 2), east = std::sin((lon_b - lon_a) * radians / 2);
  const double haversine = north * north + std::cos(lat_a * radians) * std::cos(lat_b * radians) * east * east;
  return Maybe{2 * mean_radius * std::asin(std::sqrt(std::min(1.0, haversine))),
               is_point(lat_a, lon_a) && is_point(lat_b, lon_b)};
};

/// The direction in which the great circle from a to b begins: Snyder, "Map Projections: A Working Manual", USGS 1395
/// (1987), equation 5-4b.
constexpr auto degrees_from_north = [](double lat_a, double lon_a, double lat_b, double lon_b) {
  const double from = lat_a * radians, to = lat_b * radians, turned = (lon_b - lon_a) * radians;
  const double east = std::sin(turned) * std::cos(to);
  const double north = std::cos(from) * std::sin(to) - std::sin(from) * std::cos(to) * std::cos(turned);
  const double angle = std::atan2(east, north) / radians;
  const double positive = angle < 0 ? angle + 360 : angle;
  return Maybe{positive < 360 ? positive : 0.0, is_point(lat_a, lon_a) && is_point(lat_b, lon_b)};
};

/// A form that is `f` of two points.
template <auto f>
Values between_points(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]), b = block.values(n.args[1]);
  return block.mapped_rows(n.type, f, block.both(a.valid, b.valid), block.as<double>(a), block.longitudes(a),
                           block.as<double>(b), block.longitudes(b));
}

/// There is no direction to where one is: NULL, as with an unknown point.
Values bearing(Block& block, const Node& n) {
  const Values a = block.values(n.args[0]), b = block.values(n.args[1]);
  const double *lat_a = block.as<double>(a), *lon_a = block.longitudes(a);
  const double *lat_b = block.as<double>(b), *lon_b = block.longitudes(b);
  const Byte* given = block.both(a.valid, b.valid);
  const Byte* apart = block.filled<Byte>(
      [=](std::size_t i) { return given[i] & static_cast<Byte>(lat_a[i] != lat_b[i] || lon_a[i] != lon_b[i]); });
  return block.mapped_rows(n.type, degrees_from_north, apart, lat_a, lon_a, lat_b, lon_b);
}

Values point(Block& block, const Node& n) { return block.point(block.values(n.args[0]), block.values(n.args[1])); }

/// Halves longitude and latitude in turn, five bits a character (Niemeyer, geohash.org, 2008). 0 characters: undefined.
std::size_t write_geohash(double lat, double lon, std::int64_t characters, char* out) {
  if (!is_point(lat, lon) || std::abs(lon) > 180 || characters < 1 || characters > 12) return 0;
  std::array<double, 2> low{-180, -90}, high{180, 90};
  const std::array<double, 2> at{lon, lat};
  std::size_t axis = 0;
  for (std::int64_t i = 0; i < characters; ++i) {
    std::size_t bits = 0;
    for (int bit = 0; bit < 5; ++bit, axis ^= 1) {
      const double middle = (low.at(axis) + high.at(axis)) / 2;
      const bool upper = at.at(axis) >= middle;
      (upper ? low : high).at(axis) = middle;
      bits = 2 * bits + (upper ? 1 : 0);
    }
    *out++ = std::string_view{"0123456789bcdefghjkmnpqrstuvwxyz"}[bits];
  }
  return static_cast<std::size_t>(characters);
}

std::size_t write_h3(double lat, double lon, std::int64_t resolution, char* out) {
  if (!is_point(lat, lon) || resolution < 0 || resolution > 15) return 0;
  const LatLng at{lat * radians, lon * radians};
  H3Index cell = 0;
  if (latLngToCell(&at, static_cast<int>(resolution), &cell) != E_SUCCESS) return 0;
  if (h3ToString(cell, out, 17) != E_SUCCESS) return 0;
  return std::string_view{out}.size();
}

/// A form that is the name of the cell that a point lies in.
template <auto write>
Values cell(Block& block, const Node& n) {
  const Values at = block.values(n.args[0]), size = block.values(n.args[1]);
  const double *lat = block.as<double>(at), *lon = block.longitudes(at);
  const auto* sizes = block.as<std::int64_t>(size);
  const Byte* given = block.both(at.valid, size.valid);
  const auto named = [&](std::size_t i) {
    char* out = block.memory.allocate_object<char>(17);
    return Text{out, given[i] != 0 ? write(lat[i], lon[i], sizes[i], out) : 0};
  };
  const Text* names = block.filled<Text>(named);
  return {n.type, block.valid_where(given, [=](std::size_t i) { return !names[i].empty(); }), names};
}

constexpr std::array<Takes, 3> point_and_size{Takes::point, Takes::whole, Takes::whole};

constexpr auto point_table = std::to_array<Form>({
    {.name = "point",
     .precedence = function,
     .least = 2,
     .most = 2,
     .takes = numbers,
     .result = Type::float64,
     .evaluate = point,
     .arguments = "lat, lon",
     .doc = "a point, in degrees; where columns p_lat and p_lon are, p is one too",
     .makes_point = true},
    {"distance", function, 2, 2, points, Type::float64, between_points<metres>, "p, q",
     "metres on the great circle of the Earth's mean radius, 6,371,008.8 m"},
    {"bearing", function, 2, 2, points, Type::float64, bearing, "p, q",
     "degrees from north, clockwise, in which the great circle from p to q begins"},
    {"geohash", function, 2, 2, point_and_size, Type::string, cell<write_geohash>, "p, n",
     "the geohash of n characters, 1 to 12"},
    {"h3", function, 2, 2, point_and_size, Type::string, cell<write_h3>, "p, n",
     "H3's cell of resolution n, 0 to 15, as a text"},
});

}  // namespace

std::span<const Form> point_forms() { return point_table; }

}  // namespace weir::expression
