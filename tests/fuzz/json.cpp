// Whatever bytes come: a reason or samples, and the same samples after a round trip. The first byte chooses the
// settings.
#include "fakes/codecs.hpp"
#include "fuzz/keeper.hpp"

namespace weir {
Operator weir_operator_codecs_json();

namespace {

using fuzz::Keeper;
using fuzz::require;

std::unique_ptr<Codec> make(const char* unit, const char* time, const char* value, const char* fields = nullptr) {
  Settings settings{"json"};
  settings.set("time", std::string{time});
  settings.set("value", std::string{value});
  settings.set("key", std::string{"key"});
  settings.set("field", std::string{"field"});
  settings.set("time_unit", std::string{unit});
  settings.set("text_numbers", fields != nullptr);
  if (fields != nullptr) {
    settings.set("each", std::string{"each"});
    auto map = std::make_shared<Settings>();
    map->set("position", std::string{"gps.lat, gps.lon"});
    map->set("speed", std::string{fields});
    settings.set("fields", std::shared_ptr<const Settings>{std::move(map)});
  }
  return fakes::make_codec(weir_operator_codecs_json(), settings);
}

void check(std::uint8_t choice, std::string_view payload) {
  static const std::unique_ptr<Codec> codecs[] = {make("ns", "time", "value"), make("s", "time", "value"),
                                                  make("rfc3339", "a.time", "a.0"),
                                                  make("ms", "time", "value", "can.speed.1")};
  const Codec& codec = *codecs[choice % 4];
  Keeper first;
  const auto decoded = codec.decode({.payload = payload, .key = "k", .field = (choice & 4) != 0 ? "f" : ""}, first);
  require(first.samples.size() <= payload.size());
  for (const Lack lack : {Lack::time, Lack::samples}) codec.explain({.payload = payload}, lack);
  if (!decoded) {
    require(!decoded.error().empty());
    return;
  }
  if (choice % 4 > 1) return;
  const auto encoded = codec.encode(first.samples, false, false);
  require(encoded.has_value());
  fakes::Samples before, after;
  for (const Sample& sample : first.samples) before.add(sample);
  require(codec.decode({.payload = *encoded}, after).has_value());
  require(before.lines == after.lines);
}

}  // namespace
}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) weir::check(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
