/// What fuzz targets of decoders share.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <weir/codec.hpp>

namespace weir::fuzz {

/// Keeps samples with their texts.
class Keeper final : public SampleSink {
 public:
  std::vector<Sample> samples;
  void add(const Sample& sample) override {
    samples.push_back(sample);
    for (auto* text : {&samples.back().key, &samples.back().field, &samples.back().text}) {
      texts_.push_back(std::make_unique<std::string>(*text));
      *text = *texts_.back();
    }
  }
  void refuse(Reason) override {}

 private:
  std::vector<std::unique_ptr<std::string>> texts_;
};

inline void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace weir::fuzz
