#include "sources/nats/acknowledger.hpp"

#include <algorithm>
#include <utility>

namespace weir::nats {

Acknowledger::Acknowledger(Connection& connection, const Clock& clock, Duration every)
    : clock_{clock},
      every_{every},
      connection_{&connection},
      reporter_{[this](const std::stop_token& stop) { report(stop); }} {}

void Acknowledger::hold(const MessageBatch& batch, Position last) {
  Held held{.last = last, .since = clock_.steady(), .replies = {}};
  held.replies.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) held.replies.emplace_back(batch[i].reply);
  const std::lock_guard lock{mutex_};
  held_.push_back(std::move(held));
}

void Acknowledger::answer_all(const Held& held, std::size_t count, std::string_view text) {
  // An answer that can't be sent is not repeated: the server gives the message to somebody again.
  for (std::size_t i = 0; i < count; ++i) (void)connection_->publish(held.replies[i], text);
  if (count > 0) last_reply_ = held.replies[count - 1];
}

void Acknowledger::acknowledge(Position up_to) {
  const std::lock_guard lock{mutex_};
  while (!held_.empty()) {
    auto& held = held_.front();
    const Position first = held.last - held.replies.size() + 1;
    if (up_to < first) break;
    const auto count = static_cast<std::size_t>(std::min(up_to, held.last) - first + 1);
    answer_all(held, count, "+ACK");
    if (count < held.replies.size()) {
      held.replies.erase(held.replies.begin(), held.replies.begin() + static_cast<std::ptrdiff_t>(count));
      break;
    }
    held_.pop_front();
  }
}

void Acknowledger::give_back() {
  const std::lock_guard lock{mutex_};
  for (const auto& held : held_) answer_all(held, held.replies.size(), "-NAK");
  held_.clear();
}

void Acknowledger::use(Connection& connection) {
  const std::lock_guard lock{mutex_};
  connection_ = &connection;
}

std::string Acknowledger::last_reply() const {
  const std::lock_guard lock{mutex_};
  return last_reply_;
}

void Acknowledger::report(const std::stop_token& stop) {
  while (clock_.wait(every_, stop)) {
    const std::lock_guard lock{mutex_};
    const Timestamp now = clock_.steady();
    for (auto& held : held_) {
      if (now - held.since < every_ / 2) break;
      answer_all(held, held.replies.size(), "+WPI");
    }
  }
}

}  // namespace weir::nats
