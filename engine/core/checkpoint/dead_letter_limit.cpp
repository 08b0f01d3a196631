#include "core/checkpoint/dead_letter_limit.hpp"

#include <algorithm>

#include "core/observe/counted.hpp"

namespace weir {

void DeadLetterLimit::apply(std::vector<Sink::DeadLetter>& letters, bool replaying) {
  std::ranges::stable_sort(letters, {}, &Sink::DeadLetter::position);
  for (std::size_t i = 1; i < letters.size(); ++i) {
    if (letters[i].position == letters[i - 1].position) letters[i].ordinal = letters[i - 1].ordinal + 1;
  }
  std::erase_if(letters, [&](const Sink::DeadLetter& letter) {
    if (quota_.takes(letter)) return false;
    if (!replaying) counters_.add(counted::declare(counters_, letter.node, counted::unkept, letter.reason.code), 1);
    return true;
  });
  if (replaying) letters.clear();
}

}  // namespace weir
