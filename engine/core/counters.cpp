#include "core/counters.hpp"

#include <cassert>

namespace weir {

Counters::~Counters() {
  for (auto& slot : slots_) delete slot.load();
}

std::size_t Counters::declare(std::string_view node, std::string_view name, std::string_view doc,
                              std::string_view reason) {
  constexpr std::size_t most_reasons = 64;
  reason = reason.substr(0, reason.find(':'));
  const std::scoped_lock lock{mutex_};
  std::size_t reasons = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    const Slot& slot = *slots_[i].load(std::memory_order_relaxed);
    if (slot.node != node || slot.name != name) continue;
    if (slot.reason == reason) return i;
    ++reasons;
    if (reasons == most_reasons) return i;  // the last one made is "other"
  }
  assert(size_ < most && "more counters than anything should need");
  auto* slot = new Slot;
  slot->node = node;
  slot->name = name;
  slot->doc = doc;
  slot->reason = reasons + 1 == most_reasons ? "other" : reason;
  slots_[size_].store(slot, std::memory_order_release);
  return size_++;
}

std::vector<Counters::Line> Counters::lines() const {
  const std::scoped_lock lock{mutex_};
  std::vector<Line> out;
  out.reserve(size_);
  for (std::size_t i = 0; i < size_; ++i) {
    const Slot& slot = *slots_[i].load(std::memory_order_relaxed);
    out.push_back({slot.node, slot.name, slot.reason, slot.doc, slot.value.load(std::memory_order_relaxed)});
  }
  return out;
}

std::uint64_t Counters::value(std::string_view node, std::string_view name) const {
  std::uint64_t sum = 0;
  for (const Line& line : lines()) {
    if (line.node == node && line.name == name) sum += line.value;
  }
  return sum;
}

}  // namespace weir
