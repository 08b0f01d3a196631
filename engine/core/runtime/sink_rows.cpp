#include "core/runtime/sink_rows.hpp"

#include <algorithm>
#include <cassert>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <weir/shapes.hpp>

#include "core/observe/counted.hpp"

namespace weir {
namespace {

/// When the rows are of: ticks, or the times of events. Empty: a transform that keeps them does not make these again.
std::span<const std::int64_t> times_of(const Batch& batch) {
  const Shape shape = batch.schema->shape;
  if (shape != Shape::brackets && shape != Shape::rows && shape != Shape::events) return {};
  const auto column = std::ranges::find(batch.schema->columns, Type::timestamp, &ColumnType::type);
  if (column == batch.schema->columns.end()) return {};
  return batch.columns[static_cast<std::size_t>(column - batch.schema->columns.begin())].int64s();
}

}  // namespace

SinkRows::SinkRows(const Node& node, const Schema& input, Counters& counters)
    : counters_{counters}, of_messages_{node.op->spec.of_messages} {
  suppressed_ = counted::declare(counters, node.id, counted::suppressed_rows, "before_restart");
  if (node.columns.empty()) return;
  completion_ = std::make_unique<Completion>(node.columns, node.write_empty);
  [[maybe_unused]] const auto bound = completion_->bind_schema(input);
  assert(bound && "checked before");
  for (std::size_t i = 0; i < cells_.size(); ++i)
    cells_[i] = counted::declare(counters, node.id, counted::cells, Completion::quality_names[i]);
  empty_rows_ = counted::declare(counters, node.id, counted::empty_rows);
}

/// Before they are completed: cells that nobody gets are not counted.
BatchPtr SinkRows::without_written(const BatchPtr& batch, bool replaying) const {
  if (written_ == no_time || batch->rows == 0) return batch;
  const auto ticks = times_of(*batch);
  if (ticks.empty()) return batch;
  std::vector<std::uint8_t> keep(batch->rows);
  std::ranges::transform(ticks, keep.begin(), [this](Timestamp tick) { return tick > written_ ? 1 : 0; });
  BatchPtr kept = select(batch, keep);
  if (!replaying) counters_.add(suppressed_, batch->rows - kept->rows);
  return kept;
}

BatchPtr SinkRows::complete(const BatchPtr& rows, bool replaying) {
  if (!completion_) return rows;
  const auto before = completion_->counts();
  BatchPtr completed = completion_->complete(rows);
  if (!replaying) count(before);
  return completed;
}

/// Where the sink has some of the rows, those are only numbered.
BatchPtr SinkRows::without_skipped(const BatchPtr& batch) {
  if (skip_.rows == 0 || batch->origin.after < skip_.behind) return batch;
  const auto skipped = std::min<std::uint64_t>(skip_.rows, batch->rows);
  skip_.rows -= skipped;
  std::vector<std::uint8_t> first(batch->rows);
  std::fill_n(first.begin(), skipped, 1);
  given_ += complete(select(batch, first), true)->rows;
  for (std::uint8_t& keep : first) keep = keep == 0 ? 1 : 0;
  return select(batch, first);
}

std::optional<SinkRows::Part> SinkRows::take(const BatchPtr& batch, bool replaying) {
  in_step_ += batch->rows;
  BatchPtr rows = without_skipped(without_written(batch, replaying));
  if (of_messages_ ? !rows->messages : rows->rows == 0) return {};
  for (const Timestamp tick : times_of(*rows)) latest_ = std::max(latest_, tick);
  rows = complete(rows, replaying);
  const std::uint64_t number = given_;
  given_ += rows->rows;
  if (replaying || (rows->rows == 0 && !of_messages_)) return {};
  return Part{std::move(rows), number};
}

void SinkRows::count(const Completion::Counts& before) {
  const Completion::Counts& now = completion_->counts();
  for (std::size_t i = 0; i < cells_.size(); ++i) counters_.add(cells_[i], now.cells[i] - before.cells[i]);
  counters_.add(empty_rows_, now.empty_rows - before.empty_rows);
}

}  // namespace weir
