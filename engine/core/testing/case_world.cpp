#include "core/testing/case_world.hpp"

#include <algorithm>
#include <iterator>

#include <weir/shapes.hpp>

namespace weir {
namespace {

/// A sample's value as a script would write it.
TableCell value_of(const CaseRows::Cells& row) {
  if (!row[samples::text].null) return row[samples::text];
  TableCell out = row[samples::x];
  for (const std::size_t more : {samples::y, samples::z}) {
    if (!row[more].null) out.text += "/" + row[more].text;
  }
  return out;
}

}  // namespace

CaseRows CaseRows::of(const Schema& schema) {
  CaseRows out;
  for (const ColumnType& column : schema.columns) {
    out.columns.push_back(column.name);
    out.types.push_back(column.type);
  }
  out.columns.emplace_back("arrival");
  out.types.push_back(Type::timestamp);
  if (schema.shape == Shape::samples) {
    out.columns.emplace_back("value");
    out.types.push_back(Type::float64);
  }
  return out;
}

void CaseRows::add(const Batch& batch, std::size_t row) {
  Cells cells;
  for (const Column& column : batch.columns) cells.push_back(cell_of(column, row));
  cells.push_back({format_instant(batch.arrival[row])});
  if (batch.schema->shape == Shape::samples) cells.push_back(value_of(cells));
  rows.push_back(std::move(cells));
  positions.push_back(batch.origin.last);
}

void CaseRows::add(const Batch& batch) {
  for (std::size_t row = 0; row < batch.rows; ++row) add(batch, row);
}

void CaseRows::cut(Position after) {
  const auto beyond = std::ranges::upper_bound(positions, after);
  rows.resize(static_cast<std::size_t>(beyond - positions.begin()));
  positions.erase(beyond, positions.end());
}

Result<Committed> CaseSink::commit(std::span<const LaneCommit> lanes) {
  const bool fails = state_.failures > 0;
  if (fails) --state_.failures;
  const auto unreachable = [&] {
    forget();
    return fail(Error::Kind::unreachable, "the script has this commit fail");
  };
  if (fails && !state_.answer_lost) return unreachable();
  for (const Encoded& rows : written_) keep(rows, lanes.front().next.place.arrival);
  std::ranges::copy(letters_, std::back_inserter(state_.dead_letters));
  if (state_.claims.transactional) state_.progress = lanes.front().next;
  if (fails) return unreachable();
  forget();
  return Committed{};
}

void CaseSink::keep(const Encoded& rows, Timestamp now) {
  for (std::size_t row = 0; rows.batch && row < rows.batch->rows; ++row) {
    if (state_.claims.idempotent) {
      const auto [known, is_new] = state_.ids.try_emplace({rows.numbering, rows.number + row}, now);
      const bool forgotten = state_.claims.window != 0 && now - known->second > state_.claims.window;
      if (!is_new && !forgotten) continue;
      known->second = now;
    }
    state_.rows.add(*rows.batch, row);
  }
}

bool CaseSink::write_dead_letter(const DeadLetter& letter) {
  if (state_.claims.transactional) letters_.push_back(letter);
  return state_.claims.transactional;
}

Result<std::vector<std::size_t>> CaseLetters::keep(const std::vector<Sink::DeadLetter>& letters) {
  // What is here because the commit then failed is not kept twice.
  for (const Sink::DeadLetter& letter : letters) {
    const bool here = std::ranges::any_of(letters_, [&](const Sink::DeadLetter& one) {
      return one.position == letter.position && one.ordinal == letter.ordinal && one.node == letter.node &&
             one.row == letter.row && one.arrival == letter.arrival;
    });
    if (!here) letters_.push_back(letter);
  }
  return {};
}

}  // namespace weir
