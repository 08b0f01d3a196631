/// Memory for the messages of a source that makes them itself.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <weir/message.hpp>

namespace weir {

/// Messages and the bytes that they point to.
struct MessageBlock {
  Messages messages;
  std::string bytes;  ///< must not grow beyond its capacity while a message points to it

  bool has_room(std::size_t size) const { return bytes.capacity() - bytes.size() >= size; }
  /// Appends bytes, for which there must be room; the view stays.
  std::string_view add(std::string_view text) {
    const std::size_t begin = bytes.size();
    bytes.append(text);
    return std::string_view{bytes}.substr(begin);
  }
};

/// Lends blocks and takes them back when nobody reads them any more, for the next to take.
///
/// Threads   take() from one; blocks may come back from any, also after this object is gone.
class MessageBlocks {
 public:
  /// An empty block with room for `capacity` bytes.
  std::shared_ptr<MessageBlock> take(std::size_t capacity) {
    std::unique_ptr<MessageBlock> block;
    {
      const std::lock_guard lock{shelf_->mutex};
      if (!shelf_->blocks.empty()) {
        block = std::move(shelf_->blocks.back());
        shelf_->blocks.pop_back();
      }
    }
    if (!block) block = std::make_unique<MessageBlock>();
    block->messages.items.clear();
    block->bytes.clear();
    block->bytes.reserve(capacity);
    return {block.release(), [shelf = shelf_](MessageBlock* back) {
              std::unique_ptr<MessageBlock> kept{back};
              const std::lock_guard lock{shelf->mutex};
              if (shelf->blocks.size() < most_kept) shelf->blocks.push_back(std::move(kept));
            }};
  }

 private:
  static constexpr std::size_t most_kept = 16;
  struct Shelf {
    std::mutex mutex;
    std::vector<std::unique_ptr<MessageBlock>> blocks;
  };

  std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
};

}  // namespace weir
