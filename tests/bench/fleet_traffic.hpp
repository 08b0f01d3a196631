/// Frames of a fleet for the benchmarks that need real servers.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weir/codec.hpp>

namespace weir::bench {

/// Makes what a vehicle sends, as a FlatBuffer: one sample of each field, all of the same instant, or of several.
///
/// Threads   one.
class Frames {
 public:
  /// `fields`: names; "position" is a point, the rest are numbers.
  explicit Frames(std::span<const std::string_view> fields);

  std::string frame(Timestamp time, double value);
  /// Of so many instants, a second apart from each other.
  std::string frame(Timestamp first, std::size_t seconds, double value);
  /// One sample alone; its field stands in the subject.
  std::string single(std::size_t field, Timestamp time, double value);

 private:
  std::string encode(std::span<const Sample> samples, bool field_outside);

  std::unique_ptr<Codec> codec_;
  std::vector<Sample> samples_;
};

}  // namespace weir::bench
