#include "core/runtime/pieces.hpp"

#include <algorithm>
#include <utility>

namespace weir {

std::size_t weight(const Messages& messages) {
  std::size_t bytes = 0;
  for (const Message& message : messages.items) bytes += message.payload.size() + message_overhead;
  return bytes;
}

MessagesPtr first_of(const MessagesPtr& messages, std::size_t count) {
  const auto begin = messages->items.begin();
  return std::make_shared<Messages>(Messages{{begin, begin + static_cast<std::ptrdiff_t>(count)}, messages});
}

std::vector<MessagesPtr> cut(MessagesPtr messages, const std::vector<Position>& borders, std::size_t most) {
  const auto& items = messages->items;
  std::vector<std::size_t> ends;
  for (const Position border : borders) {
    const auto end = std::ranges::upper_bound(items, border, {}, &Message::sequence);
    ends.push_back(static_cast<std::size_t>(end - items.begin()));
  }
  ends.push_back(items.size());
  std::ranges::sort(ends);
  std::vector<MessagesPtr> pieces;
  std::size_t begin = 0;
  for (const std::size_t border : ends) {
    while (begin < border) {
      const std::size_t end = begin + std::min(border - begin, most);
      if (begin == 0 && end == items.size()) return {std::move(messages)};
      const auto at = [&](std::size_t n) { return items.begin() + static_cast<std::ptrdiff_t>(n); };
      pieces.push_back(std::make_shared<Messages>(Messages{{at(begin), at(end)}, messages}));
      begin = end;
    }
  }
  return pieces;
}

}  // namespace weir
