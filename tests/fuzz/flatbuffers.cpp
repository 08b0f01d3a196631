// Whatever bytes come: a reason or samples, no more of them than the payload can hold, and the same after a round trip.
#include <algorithm>

#include "fakes/codecs.hpp"
#include "fuzz/keeper.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();

namespace {

using fuzz::Keeper;
using fuzz::require;

std::vector<std::string> lines(const std::vector<Sample>& samples) {
  fakes::Samples out;
  for (const Sample& sample : samples) out.add(sample);
  std::ranges::sort(out.lines);
  return out.lines;
}

void check(std::string_view payload) {
  static const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
  Keeper first;
  const auto decoded = codec->decode({.payload = payload, .key = "k", .field = "f"}, first);
  require(first.samples.size() <= payload.size() / 4);
  if (!decoded) {
    require(!decoded.error().empty());
    return;
  }
  const auto encoded = codec->encode(first.samples, false, false);
  require(encoded.has_value());
  Keeper second;
  require(codec->decode({.payload = *encoded}, second).has_value());
  require(lines(first.samples) == lines(second.samples));
}

}  // namespace
}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
