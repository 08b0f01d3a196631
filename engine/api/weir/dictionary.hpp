/// Strings met again and again (keys, fields), each stored once and named by a small number.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace weir {

/// An append-only table of distinct strings. Ids are dense, from 0, in order of first appearance, and never change
/// meaning.
///
/// Threads   one thread may intern while others read ids that reached them through a batch (the hand-over of the batch
///           orders the two). Strings never move.
/// Bound     at most `limit` strings; beyond it intern() answers nothing and the caller counts the refusal.
class Dictionary {
 public:
  static constexpr std::uint32_t default_limit = 1u << 24;

  explicit Dictionary(std::uint32_t limit = default_limit);
  ~Dictionary();
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;

  /// The id of `text`, adding it if it is new; nothing if the table is full.
  std::optional<std::uint32_t> intern(std::string_view text);

  /// The id of `text` if it is there. Only from the thread that interns.
  std::optional<std::uint32_t> find(std::string_view text) const;

  /// The string of an id below size(); valid for the life of the dictionary.
  std::string_view at(std::uint32_t id) const {
    return chunks_[id >> chunk_bits].load(std::memory_order_acquire)[id & chunk_mask];
  }

  std::uint32_t size() const { return size_.load(std::memory_order_acquire); }
  std::uint32_t limit() const { return limit_; }
  /// Bytes held, for the state metrics.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t chunk_bits = 12;
  static constexpr std::uint32_t chunk_size = 1u << chunk_bits;
  static constexpr std::uint32_t chunk_mask = chunk_size - 1;

  struct Slot {
    std::uint32_t hash;
    std::uint32_t id_plus_one;
  };

  std::string_view store(std::string_view text);
  void grow();

  std::uint32_t limit_;
  std::atomic<std::uint32_t> size_{0};
  std::atomic<std::size_t> bytes_{0};
  std::vector<std::atomic<std::string_view*>> chunks_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<char[]>> arena_;
  std::size_t arena_used_ = 0;
  std::size_t arena_size_ = 0;
};

}  // namespace weir
