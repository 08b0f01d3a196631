/// Texts for state that is made of words: a word names one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// A table of texts by number. Numbers that were given back are the next to be taken.
class TextPool {
 public:
  /// The number of a text that is now the caller's, with whatever it held last.
  std::uint64_t take() {
    if (free_.empty()) {
      texts_.emplace_back();
      return texts_.size() - 1;
    }
    const std::uint64_t number = free_.back();
    free_.pop_back();
    return number;
  }
  void give(std::uint64_t number) { free_.push_back(number); }

  void set(std::uint64_t number, std::string_view text) { texts_[number] = text; }
  /// Valid until the next call of take() or set().
  std::string_view operator[](std::uint64_t number) const { return texts_[number]; }

  std::size_t bytes() const {
    return texts_.capacity() * sizeof(std::string) + free_.capacity() * sizeof(std::uint64_t);
  }

 private:
  std::vector<std::string> texts_;
  std::vector<std::uint64_t> free_;
};

}  // namespace weir
