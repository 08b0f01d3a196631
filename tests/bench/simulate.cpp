#include "bench/simulate.hpp"

#include <weir/format.hpp>

#include "bench/run.hpp"
#include "fakes/codecs.hpp"
#include "fakes/nats_fixture.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
Operator weir_operator_sources_simulate();
}  // namespace weir

namespace weir::bench {
namespace {

constexpr std::uint64_t enough = 3'000'000;  // samples
constexpr int repetitions = 3;

struct Way {
  const char* name;
  Duration frame;
  const char* subject;
};

/// Samples made in a second of processor time.
double rate_of(const Way& way, const Codec& codec, bool faults) {
  const Operator op = weir_operator_sources_simulate();
  fakes::NatsContext context{0, &codec};
  auto settings = fakes::settings_of(
      op,
      {{"vehicles", std::int64_t{10'000}}, {"frame", std::int64_t{way.frame}}, {"subject", std::string{way.subject}}});
  if (faults) settings.set("faults", std::make_shared<const Settings>("faults"));
  auto source = op.make_source(settings, context);
  must(source->open(0));
  while (context.counted("published") < enough / 10) must(source->pull({}, {}));
  const std::uint64_t before = context.counted("published");
  const double begin = processor_seconds();
  while (context.counted("published") < before + enough) must(source->pull({}, {}));
  return static_cast<double>(context.counted("published") - before) / (processor_seconds() - begin);
}

}  // namespace

void measure_simulate(Show show) {
  const auto codec = fakes::make_codec(weir_operator_codecs_flatbuffers());
  for (const Way& way :
       {Way{"a message per sample", 0, "vehicle.{key}.{field}"}, Way{"a frame a second", second, "vehicle.{key}"}}) {
    std::vector<double> clean, faulty;
    for (int i = 0; i < repetitions; ++i) {
      clean.push_back(rate_of(way, *codec, false));
      faulty.push_back(rate_of(way, *codec, true));
    }
    Figure figure;
    figure.what = weir::format("(g) samples/s per core: source/simulate, {}", way.name);
    figure.weir = scaled(median(clean));
    figure.value = median(clean);
    figure.goal = Figure::Goal::at_least;
    figure.limit = 3e6;
    figure.limit_text = "3 M";
    figure.note = weir::format("with all faults {}", scaled(median(faulty)));
    show(figure);
  }
}

}  // namespace weir::bench
