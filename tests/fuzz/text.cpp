// Whatever bytes come: a reason or one finite number, which reads back the same when written.
#include "fakes/codecs.hpp"
#include "fuzz/keeper.hpp"

namespace weir {
Operator weir_operator_codecs_text();

namespace {

using fuzz::Keeper;
using fuzz::require;

void check(std::string_view payload) {
  static const auto codec = fakes::make_codec(weir_operator_codecs_text());
  Keeper first;
  const auto decoded = codec->decode({.payload = payload, .key = "k", .field = "f"}, first);
  require(first.samples.size() == (decoded ? 1 : 0));
  if (!decoded) return;
  const auto encoded = codec->encode(first.samples, true, true);
  require(encoded.has_value());
  Keeper second;
  require(codec->decode({.payload = *encoded}, second).has_value());
  require(std::isfinite(first.samples[0].x) && first.samples[0].x == second.samples[0].x);
}

}  // namespace
}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
