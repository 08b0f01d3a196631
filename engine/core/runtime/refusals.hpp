/// The dead letters of one step of a transform.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/batch.hpp>
#include <weir/sink.hpp>

namespace weir {

/// Makes dead letters of refused rows: one of each message and reason, however many rows of it are
/// refused, since every letter has the whole message with it; of rows without a message one each.
///
/// Threads   one.
class Refusals {
 public:
  /// Appends to `letters`.
  Refusals(std::string_view node, std::vector<Sink::DeadLetter>& letters) : node_{node}, letters_{letters} {}

  void add(const Batch& in, std::size_t row, const Reason& reason);
  /// Has the letters say of how many rows they are. Last.
  void finish();

 private:
  struct Made {
    std::size_t letter = 0;
    std::size_t rows = 0;
  };
  std::string_view node_;
  std::vector<Sink::DeadLetter>& letters_;
  std::map<std::pair<const Message*, std::string>, Made> made_;
};

}  // namespace weir
