/// Codecs as the registry makes them, and samples as texts to compare.
#pragma once

#include <charconv>
#include <cmath>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include <weir/operator.hpp>

#include "fakes/context.hpp"

namespace weir::fakes {

inline std::unique_ptr<Codec> make_codec(const Operator& op, const Settings& settings = {}) {
  FakeContext context;
  return op.make_codec(settings, context);
}

/// The shortest text of a number.
inline std::string text_of(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// "key field time value" for each sample; a point is "latitude,longitude[,altitude]", a text is quoted, no time is
/// "-".
class Samples final : public SampleSink {
 public:
  std::vector<std::string> lines;
  void add(const Sample& sample) override {
    std::string line{sample.key};
    line.append(" ")
        .append(sample.field)
        .append(" ")
        .append(sample.time ? std::to_string(*sample.time) : "-")
        .append(" ");
    if (sample.kind == Sample::Kind::text) {
      line += '"' + std::string{sample.text} + '"';
    } else {
      line += text_of(sample.x);
      if (sample.kind == Sample::Kind::point) line += ',' + text_of(sample.y);
      if (sample.kind == Sample::Kind::point && !std::isnan(sample.z)) line += ',' + text_of(sample.z);
    }
    lines.push_back(std::move(line));
  }
  void refuse(Reason reason) override { lines.push_back("refused: " + reason.text()); }
};

/// What a payload decodes to, and "refused: <reason>" for each sample that is, or as one line for the whole. Key "k"
/// and field `field` are in the subject.
inline std::vector<std::string> decoded(const Codec& codec, std::string_view payload, std::string_view field = "f") {
  Samples samples;
  const auto result = codec.decode({.subject = "s", .payload = payload, .key = "k", .field = field}, samples);
  if (!result) return {"refused: " + result.error().text()};
  return std::move(samples.lines);
}

}  // namespace weir::fakes
