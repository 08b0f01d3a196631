/// State by key: each key's in a block of its own, as large as it needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include <weir/blocks.hpp>

namespace weir {

/// Blocks that begin with a `Head`, found by the id of their key. Whoever lays a block out knows how long it is and
/// what follows the head; this is only where blocks come from and where they are found again.
///
/// Threads   one at a time.
/// Memory    8 B per key id beside the blocks. Blocks end with the object; their heads are not destroyed.
template <typename Head>
class KeyBlocks {
 public:
  /// Makes room for the ids below `keys`. What operator[] answered before ends.
  void expect(std::uint32_t keys) {
    if (keys > heads_.size()) heads_.resize(std::max<std::size_t>(keys, heads_.size() + heads_.size() / 2));
  }
  /// Ids below this have room.
  std::uint32_t size() const { return static_cast<std::uint32_t>(heads_.size()); }

  /// A key's block, null while it has none. expect() comes first.
  Head*& operator[](std::uint32_t key) { return heads_[key]; }
  Head* operator[](std::uint32_t key) const { return heads_[key]; }

  /// A block of `bytes` that begins with `head`, for the caller to put in a key's place.
  Head* make(std::size_t bytes, const Head& head) {
    static_assert(alignof(Head) <= Blocks::line / 2);
    return std::construct_at(static_cast<Head*>(blocks_.take(bytes)), head);
  }
  /// Takes a block back. `bytes` is what make() was asked for.
  void give(Head* block, std::size_t bytes) { blocks_.give(block, bytes); }

  /// The steps on the way to a key's state: memory is far away, and keys come in any order. The second reads the place,
  /// so the first should have been taken a few keys earlier.
  void prefetch_place(std::uint32_t key) const { __builtin_prefetch(&heads_[key]); }
  void prefetch(std::uint32_t key, std::size_t bytes) const {
    // As a number: a key may have no block yet, and a null pointer must not be added to.
    const auto block = reinterpret_cast<std::uintptr_t>(heads_[key]);
    for (std::size_t at = 0; at < bytes; at += Blocks::line) __builtin_prefetch(reinterpret_cast<void*>(block + at), 1);
  }

  std::size_t bytes() const { return blocks_.bytes() + heads_.capacity() * sizeof(Head*); }

 private:
  Blocks blocks_;
  std::vector<Head*> heads_;  ///< by id
};

}  // namespace weir
