#include "bench/fleet_traffic.hpp"

#include "bench/run.hpp"
#include "fakes/codecs.hpp"

namespace weir {
Operator weir_operator_codecs_flatbuffers();
}

namespace weir::bench {

Frames::Frames(std::span<const std::string_view> fields)
    : codec_{fakes::make_codec(weir_operator_codecs_flatbuffers())} {
  for (const std::string_view field : fields) {
    samples_.push_back(
        {.field = field, .y = 13.4, .z = 40, .kind = field == "position" ? Sample::Kind::point : Sample::Kind::number});
  }
}

std::string Frames::frame(Timestamp time, double value) {
  for (Sample& sample : samples_) {
    sample.time = time;
    sample.x = value;
  }
  return encode(samples_, false);
}

std::string Frames::frame(Timestamp first, std::size_t seconds, double value) {
  std::vector<Sample> all;
  for (std::size_t i = 0; i < seconds; ++i) {
    for (Sample sample : samples_) {
      sample.time = first + static_cast<Duration>(i) * second;
      sample.x = value;
      all.push_back(sample);
    }
  }
  return encode(all, false);
}

std::string Frames::single(std::size_t field, Timestamp time, double value) {
  Sample& sample = samples_[field];
  sample.time = time;
  sample.x = value;
  return encode({&sample, 1}, true);
}

std::string Frames::encode(std::span<const Sample> samples, bool field_outside) {
  auto payload = codec_->encode(samples, true, field_outside);
  if (!payload) give_up(payload.error());
  return *std::move(payload);
}

}  // namespace weir::bench
