#include "core/observe/counters.hpp"

#include <functional>

namespace weir {

Counters::~Counters() {
  for (auto& slot : slots_) delete slot.load();
}

std::size_t Counters::Hash::operator()(const Key& key) const {
  constexpr std::hash<std::string_view> hash;
  return (hash(key.node) * 31 + hash(key.name)) * 31 + hash(key.reason);
}

std::size_t Counters::declare(std::string_view node, std::string_view name, std::string_view doc,
                              std::string_view reason) {
  constexpr std::size_t most_reasons = 64;
  const std::scoped_lock lock{mutex_};
  if (const auto known = numbers_.find({node, name, reason}); known != numbers_.end()) return known->second;
  const auto family = families_.find({node, name, {}});
  const std::size_t reasons = family == families_.end() ? 0 : family->second.reasons;
  if (reasons == most_reasons) return family->second.newest;  // "other"
  if (size_ + 1 == most) make("", "other", "what counters beyond the first 4095 would have counted", "");
  if (size_ == most) return most - 1;
  return make(node, name, doc, reasons + 1 == most_reasons ? "other" : reason);
}

std::size_t Counters::make(std::string_view node, std::string_view name, std::string_view doc,
                           std::string_view reason) {
  auto* slot = new Slot;
  slot->node = node;
  slot->name = name;
  slot->doc = doc;
  slot->reason = reason;
  slots_[size_].store(slot, std::memory_order_release);
  numbers_.emplace(Key{slot->node, slot->name, slot->reason}, size_);
  Family& family = families_[{slot->node, slot->name, {}}];
  ++family.reasons;
  return family.newest = size_++;
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

Histogram& Counters::histogram(const HistogramSpec& what) {
  const std::scoped_lock lock{mutex_};
  return histograms_.try_emplace(what.name, what).first->second;
}

std::vector<const Histogram*> Counters::histograms() const {
  const std::scoped_lock lock{mutex_};
  std::vector<const Histogram*> out;
  for (const auto& [name, histogram] : histograms_) out.push_back(&histogram);
  return out;
}

}  // namespace weir
