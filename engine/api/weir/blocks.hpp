/// Memory for the state of many keys: small blocks that come and go, without a call to malloc for each.
#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <utility>
#include <vector>

namespace weir {

/// Hands out blocks of a few sizes, cut from large slabs, and takes them back for the next of the same size.
///
/// Threads   one at a time.
/// Memory    blocks of whole cache lines begin at one, others at half of one. Slabs go back to the system when the
///           object ends; blocks over 256 kB at once.
class Blocks {
 public:
  Blocks() = default;
  ~Blocks();
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;

  static constexpr std::size_t line = 64;

  /// The size of the block that take(bytes) answers: `bytes`, rounded up to half lines, those over 2 kB by a quarter at
  /// most.
  static std::size_t rounded(std::size_t bytes);

  /// A block of at least `bytes` bytes, not initialised. Throws std::bad_alloc.
  void* take(std::size_t bytes);

  /// Takes a block back. `bytes` is what take() was asked for, or rounded() of it.
  void give(void* block, std::size_t bytes);

  /// Bytes in blocks that are out.
  std::size_t used() const { return used_; }
  /// Bytes held from the system, without the end of the newest slab that no block has touched.
  std::size_t bytes() const { return held_ - rest_; }

 private:
  struct Free {
    Free* next;
  };
  static constexpr std::size_t half_line = line / 2;
  static constexpr std::size_t small = 2048;  ///< up to here there is a class for each half line
  static constexpr std::size_t largest = 256u << 10;
  static constexpr std::size_t first_slab = 64u << 10;
  static constexpr std::size_t largest_slab = 8u << 20;

  static std::size_t class_of(std::size_t rounded_bytes);
  void add_slab(std::size_t at_least);

  std::array<Free*, 112> free_{};
  std::vector<std::pair<void*, std::size_t>> slabs_;
  std::byte* next_ = nullptr;  ///< unused rest of the newest slab
  std::size_t rest_ = 0;
  std::size_t used_ = 0;
  std::size_t held_ = 0;
};

}  // namespace weir
