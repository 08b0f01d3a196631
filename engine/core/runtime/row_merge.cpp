#include "core/runtime/row_merge.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <weir/format.hpp>

namespace weir {
namespace {

constexpr std::size_t most_texts = 1u << 20, most_tables = 64;

template <typename T>
void append(std::vector<T>& to, std::span<const T> from, std::size_t begin, std::size_t end) {
  to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(begin),
            from.begin() + static_cast<std::ptrdiff_t>(end));
}

}  // namespace

RowMerge::RowMerge(SchemaPtr schema, std::size_t inputs) : schema_{std::move(schema)}, inputs_(inputs) {}

void RowMerge::begin(const Origin& origin, Timestamp reached) {
  origin_ = origin;
  reached_ = reached;
  ended_ = false;
  for (Input& input : inputs_) input = {.batches = {}, .row = 0, .last = {}, .open = true};
}

RowMerge::Place RowMerge::place_of(const Batch& batch, std::size_t row) {
  return {batch.arrival[row], batch.message_of_row[row] + 1};  // that of a deadline becomes 0
}

void RowMerge::put(std::size_t number, const BatchPtr& batch) {
  if (batch->rows == 0) return;
  Input& input = inputs_[number];
  if (batch->message_of_row.size() != batch->rows) {
    wrong_ = weir::format("rows of input {} do not say of which message they are", number + 1);
    return;
  }
  for (std::size_t row = 0; row < batch->rows; ++row) {
    const Place place = place_of(*batch, row);
    if (place < input.last) wrong_ = weir::format("rows of input {} are not in the order of arrival", number + 1);
    input.last = place;
  }
  input.batches.push_back(batch);
}

RowMerge::Place RowMerge::next_of(const Input& input) {
  return input.batches.empty() ? input.last : place_of(*input.batches.front(), input.row);
}

/// Of those with rows, the one whose first row stands first.
std::optional<std::size_t> RowMerge::first_input() const {
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].batches.empty() && (!first || next_of(inputs_[i]) < next_of(inputs_[*first]))) first = i;
  }
  return first;
}

/// An open input from which a row may still come that stands before the first row of `first`.
std::optional<std::size_t> RowMerge::blocker_of(std::size_t first) const {
  const auto mine = std::tuple{next_of(inputs_[first]), first};
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].batches.empty() && inputs_[i].open && std::tuple{inputs_[i].last, i} < mine) return i;
  }
  return {};
}

bool RowMerge::finished() const { return std::ranges::none_of(inputs_, &Input::open); }

bool RowMerge::ready() const {
  if (!wrong_.empty()) return true;
  const auto first = first_input();
  return first ? !blocker_of(*first) : finished() && !ended_;
}

std::optional<std::size_t> RowMerge::blocked_by() const {
  const auto first = first_input();
  return first ? blocker_of(*first) : std::nullopt;
}

/// The rows of an input's first batch that stand before all that another has, or may still get.
RowMerge::Run RowMerge::take_run(std::size_t first) {
  Input& input = inputs_[first];
  Run run{input.batches.front(), input.row, input.row + 1};
  std::optional<std::tuple<Place, std::size_t>> bound;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (i == first || (inputs_[i].batches.empty() && !inputs_[i].open)) continue;
    const std::tuple other{next_of(inputs_[i]), i};
    bound = bound ? std::min(*bound, other) : other;
  }
  while (run.end < run.batch->rows && (!bound || std::tuple{place_of(*run.batch, run.end), first} < *bound)) ++run.end;
  input.row = run.end;
  if (run.end == run.batch->rows) {
    input.batches.pop_front();
    input.row = 0;
  }
  return run;
}

Result<BatchPtr> RowMerge::take() {
  if (!wrong_.empty()) return fail(Error::Kind::internal, wrong_);
  std::vector<Run> runs;
  for (auto first = first_input(); first && !blocker_of(*first); first = first_input())
    runs.push_back(take_run(*first));
  ended_ = finished();
  const Timestamp reached = ended_ ? reached_ : runs.back().batch->arrival[runs.back().end - 1];
  return merged(runs, reached);
}

BatchPtr RowMerge::merged(const std::vector<Run>& runs, Timestamp reached) {
  auto out = std::make_shared<Batch>();
  out->schema = schema_;
  out->origin = origin_;
  out->reached = reached;
  for (const Run& run : runs) out->rows += run.end - run.begin;
  for (std::size_t i = 0; i < schema_->columns.size(); ++i) out->columns.push_back(merged_column(runs, i, out->rows));
  for (const Run& run : runs) {
    append<Timestamp>(out->arrival, run.batch->arrival, run.begin, run.end);
    append<std::uint32_t>(out->message_of_row, run.batch->message_of_row, run.begin, run.end);
  }
  const auto one_messages = [&](const Run& run) { return run.batch->messages == runs.front().batch->messages; };
  if (!runs.empty() && std::ranges::all_of(runs, one_messages)) out->messages = runs.front().batch->messages;
  return out;
}

Column RowMerge::merged_column(const std::vector<Run>& runs, std::size_t number, std::size_t rows) {
  const auto absent = [number](const Run& run) { return run.batch->columns[number].absent(); };
  if (std::ranges::all_of(runs, absent)) return {};
  Validity valid;
  std::size_t row = 0;
  for (const Run& run : runs) {
    for (std::size_t i = run.begin; i < run.end; ++i, ++row) {
      if (!run.batch->columns[number].valid(i)) valid.clear(row, rows);
    }
  }
  const auto values = [&]<typename T>(std::vector<T> out, auto of) {
    out.reserve(rows);
    for (const Run& run : runs) {
      if (absent(run)) {
        out.resize(out.size() + run.end - run.begin);
      } else {
        append<T>(out, of(run.batch->columns[number]), run.begin, run.end);
      }
    }
    return out;
  };
  const auto int64s = [](const Column& column) { return column.int64s(); };
  switch (schema_->columns[number].type) {
    case Type::int64:
      return Column::int64(values(std::vector<std::int64_t>{}, int64s), std::move(valid));
    case Type::timestamp:
      return Column::timestamp(values(std::vector<Timestamp>{}, int64s), std::move(valid));
    case Type::float64:
      return Column::float64(values(std::vector<double>{}, [](const Column& c) { return c.float64s(); }),
                             std::move(valid));
    case Type::boolean:
      return Column::boolean(values(std::vector<std::uint8_t>{}, [](const Column& c) { return c.booleans(); }),
                             std::move(valid));
    case Type::dictionary:
      return merged_ids(runs, number, std::move(valid), rows);
    case Type::string:
      break;
  }
  Texts texts;
  for (const Run& run : runs) {
    const Column& column = run.batch->columns[number];
    for (std::size_t i = run.begin; i < run.end; ++i) texts.push(column.absent() ? "" : column.text(i));
  }
  return Column::string(std::move(texts), std::move(valid));
}

/// Inputs that share their table, as the lane's, go on with it.
Column RowMerge::merged_ids(const std::vector<Run>& runs, std::size_t number, Validity valid, std::size_t rows) {
  std::vector<std::uint32_t> out;
  out.reserve(rows);
  std::shared_ptr<const Dictionary> shared;
  bool alike = true;
  for (const Run& run : runs) {
    const Column& column = run.batch->columns[number];
    if (column.absent()) continue;
    if (shared == nullptr) shared = column.ids().dictionary;
    alike = alike && column.ids().dictionary == shared;
  }
  // Tables that are gone, and texts that nobody says any more, take no place for ever.
  if (const auto own = own_.find(number);
      own != own_.end() && (own->second.dictionary->size() > most_texts || own->second.ids.size() > most_tables))
    own_.erase(own);
  for (const Run& run : runs) {
    const Column& column = run.batch->columns[number];
    if (column.absent()) {
      out.resize(out.size() + run.end - run.begin);
    } else if (alike) {
      append<std::uint32_t>(out, column.ids().ids, run.begin, run.end);
    } else {
      const auto& own = ids_in_own(number, column.ids().dictionary);
      for (std::size_t i = run.begin; i < run.end; ++i) out.push_back(own[column.ids().ids[i]]);
    }
  }
  return Column::dictionary({std::move(out), alike ? shared : own_[number].dictionary}, std::move(valid));
}

const std::vector<std::uint32_t>& RowMerge::ids_in_own(std::size_t column,
                                                       const std::shared_ptr<const Dictionary>& from) {
  Own& own = own_[column];
  auto& ids = own.ids[from];
  for (auto id = static_cast<std::uint32_t>(ids.size()); id < from->size(); ++id)
    ids.push_back(own.dictionary->intern(from->at(id)).value());
  return ids;
}

}  // namespace weir
