#include "clients/nats_intake.hpp"

#include <algorithm>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/rfc3339.hpp>

namespace weir::nats {

Intake::Intake(const Settings& settings, const Context& context)
    : access{Access::from(settings)},
      pattern{SubjectPattern::parse(settings.text("subject")).value_or(SubjectPattern{})},
      partitions{static_cast<std::uint32_t>(settings.integer("partitions"))},
      partition{context.partition()},
      names{settings.has("stream") ? settings.text("stream") : "", partitions, partition, pattern} {
  connection = weir::format("weir {} {} {}", context.pipeline(), context.node(), partition);
}

void Intake::dissect(Message& out, std::string_view subject) const {
  if (subject.starts_with(names.prefix)) subject.remove_prefix(names.prefix.size());
  out.subject = subject;
  take_apart(pattern, out);
  if (!out.refused.empty()) return;
  if (partitions > 1 && pattern.has_key() && partition_of(out.key, partitions) != partition) {
    out.refused = "the key does not belong to this partition";
  }
}

Pulled Haul::give(std::shared_ptr<Haul> haul) {
  auto& items = haul->messages.items;
  if (items.empty()) return {};
  auto& headers = haul->headers;
  std::vector<std::size_t> begins;
  for (std::size_t i = 0; i < haul->bundle.size(); ++i) {
    if (!haul->bundle.has_headers(i)) continue;
    begins.resize(i + 1, headers.size());
    haul->bundle.headers(i, headers);
    begins.push_back(headers.size());
  }
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    items[i].headers = std::span{headers}.subspan(begins[i], begins[i + 1] - begins[i]);
  }
  const Messages* messages = &haul->messages;
  return {Pulled::State::messages, std::shared_ptr<const Messages>{std::move(haul), messages}};
}

Acknowledger::Acknowledger(Connection& connection, const Clock& clock, Duration every)
    : clock_{clock},
      every_{every},
      connection_{&connection},
      reporter_{[this](const std::stop_token& stop) { report(stop); }} {}

void Acknowledger::hold(const Bundle& bundle, Position last) {
  Held held{.last = last, .since = clock_.steady(), .replies = {}};
  held.replies.reserve(bundle.size());
  for (std::size_t i = 0; i < bundle.size(); ++i) held.replies.emplace_back(bundle[i].reply);
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

std::optional<Timestamp> start_time(const Settings& settings) {
  return settings.text("start") == "time" ? parse_rfc3339(settings.text("since")) : std::nullopt;
}

}  // namespace weir::nats
