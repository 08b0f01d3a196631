#include "core/sink_rows.hpp"

#include <cassert>
#include <string_view>
#include <utility>

#include "core/counted.hpp"

namespace weir {
namespace {

constexpr std::array<std::string_view, 4> qualities{"measured", "interpolated", "carried", "null"};

}  // namespace

SinkRows::SinkRows(const Node& node, const Schema& input, Counters& counters)
    : counters_{counters}, of_messages_{node.op->spec.of_messages} {
  if (node.columns.empty()) return;
  completion_ = std::make_unique<Completion>(node.columns, node.write_empty);
  [[maybe_unused]] const auto settled = completion_->settle(input);
  assert(settled && "checked before");
  for (std::size_t i = 0; i < qualities.size(); ++i)
    numbers_[i] = counted::declare(counters, node.id, counted::cells, qualities[i]);
  numbers_[qualities.size()] = counted::declare(counters, node.id, counted::empty_rows);
}

std::optional<SinkRows::Part> SinkRows::take(const BatchPtr& batch, bool muted) {
  if (of_messages_ ? !batch->messages : batch->rows == 0) return {};
  BatchPtr rows = batch;
  if (completion_) {
    const auto before = completion_->counts();
    rows = completion_->complete(batch);
    if (!muted) count(before);
  }
  const std::uint64_t number = given_;
  given_ += rows->rows;
  if (muted || (rows->rows == 0 && !of_messages_)) return {};
  return Part{std::move(rows), number};
}

void SinkRows::count(const Completion::Counts& before) {
  const Completion::Counts& now = completion_->counts();
  counters_.add(numbers_[0], now.measured - before.measured);
  counters_.add(numbers_[1], now.interpolated - before.interpolated);
  counters_.add(numbers_[2], now.carried - before.carried);
  counters_.add(numbers_[3], now.null - before.null);
  counters_.add(numbers_[4], now.empty_rows - before.empty_rows);
}

}  // namespace weir
