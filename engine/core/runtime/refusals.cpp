#include "core/runtime/refusals.hpp"

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>

namespace weir {

void Refusals::add(const Batch& in, std::size_t row, const Reason& reason) {
  if (!in.messages || row >= in.message_of_row.size()) {
    letters_.push_back(dead_letter_of(in, row, node_, reason));
    return;
  }
  const Message& message = in.messages->items[in.message_of_row[row]];
  Made& made = made_[{&message, reason.code}];
  if (made.rows++ != 0) return;
  made.letter = letters_.size();
  letters_.push_back(dead_letter_of(in, row, node_, reason));
}

void Refusals::finish() {
  for (const auto& [of, made] : made_) {
    if (made.rows > 1) letters_[made.letter].reason.add_detail(weir::format("{} of its message", made.rows));
  }
}

}  // namespace weir
