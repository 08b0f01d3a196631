#include "transforms/window-join/held_samples.hpp"

#include <algorithm>
#include <utility>

namespace weir::window_join {

HeldSamples::HeldSamples(const std::vector<FieldKind>& kinds) : kinds_{FieldKind::number}, places_{0} {
  for (const FieldKind kind : kinds) {
    kinds_.push_back(kind);
    places_.push_back(static_cast<std::uint32_t>(row_words_));
    row_words_ += stride(kinds_.size() - 1);
  }
  const std::size_t head = sizeof(Vehicle) + slots() * sizeof(Series) + (slots() + 31) / 32 * sizeof(std::uint32_t);
  head_words_ = (head + 15) / 16 * 2;
  bytes_ahead_ = std::min((head_words_ + row_words_) * sizeof(Word), 12 * Blocks::line);
}

HeldSamples::~HeldSamples() {
  for (std::uint32_t key = 0; key < vehicles_.size(); ++key) {
    if (vehicles_[key] != nullptr) free(vehicles_[key]);
  }
}

Vehicle* HeldSamples::lay_out(const Vehicle& head) {
  Vehicle* v = vehicles_.make(bytes_of(head.rows), head);
  std::fill(words(*v) + sizeof(Vehicle) / sizeof(Word), words(*v) + head_words_, 0);
  return v;
}

void HeldSamples::free(Vehicle* v) {
  for (std::size_t slot = 1; slot < slots(); ++slot) drop_front(*v, slot, count(*v, slot));
  delete v->later;
  vehicles_.give(v, bytes_of(v->rows));
}

void HeldSamples::grow(Vehicle*& v) {
  move(v, std::min(std::max<std::size_t>(first_rows, v->rows * 2u), Series::most));
}

void HeldSamples::shrink(Vehicle*& v) {
  std::size_t older = reaches(*v) < 2 ? 0 : reaches(*v);
  for (std::size_t slot = 1; slot < slots(); ++slot) older = std::max(older, count(*v, slot) - (count(*v, slot) != 0));
  const std::size_t rows = older == 0 ? 0 : std::max(first_rows, older);
  if (v->rows > rows && v->rows >= 2 * rows) move(v, rows);
}

void HeldSamples::move(Vehicle*& v, std::size_t rows) {
  Vehicle head = *v;
  head.rows = static_cast<std::uint16_t>(rows);
  Vehicle* to = lay_out(head);
  std::copy_n(words(*v) + sizeof(Vehicle) / sizeof(Word), head_words_ + row_words_ - sizeof(Vehicle) / sizeof(Word),
              words(*to) + sizeof(Vehicle) / sizeof(Word));
  for (std::size_t slot = 0; slot < slots(); ++slot) series(*to, slot).head = 0;
  for (std::size_t i = 0; i < reaches(*v); ++i) std::copy_n(reach_entry(*v, i), 2, reach_entry(*to, i));
  for (std::size_t slot = 1; slot < slots(); ++slot) {
    for (std::size_t i = 0; i + 1 < count(*v, slot); ++i)
      std::copy_n(entry(*v, slot, i), stride(slot), entry(*to, slot, i));
  }
  vehicles_.give(v, bytes_of(v->rows));
  v = to;
}

void HeldSamples::prefetch_older(std::uint32_t key, Timestamp time) const {
  Vehicle* v = vehicles_[key];
  if (v == nullptr || v->rows == 0) return;
  const std::size_t slot = slots() - 1;
  const bool reaching = time >= v->next_reach;
  if (!reaching && paired(*v, slot)) return;
  const Series& s = series(*v, slot);
  const std::size_t width = std::min(row_words_ * sizeof(Word), 4 * Blocks::line);
  const auto fetch = [&](std::size_t row) {
    const auto* begin = reinterpret_cast<const char*>(older_entry(*v, slot, row) - places_[slot]);
    for (std::size_t at = 0; at < width; at += Blocks::line) __builtin_prefetch(begin + at, 1);
    __builtin_prefetch(begin + width - 1, 1);
  };
  fetch(around(s.head + std::max<std::size_t>(s.size, 1) - 1u, v->rows));
  if (!reaching) return;
  fetch(s.head);
  __builtin_prefetch(reach_entry(*v, reaches(*v)), 1);
}

std::size_t HeldSamples::upper_bound(Vehicle& v, std::size_t slot, Timestamp at) const {
  std::size_t begin = 0, end = count(v, slot);
  for (int steps = 0; steps < 4 && end > 0; ++steps, --end) {
    if (time(v, slot, end - 1) <= at) return end;
  }
  while (begin < end) {
    const std::size_t middle = (begin + end) / 2;
    if (time(v, slot, middle) <= at) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

void HeldSamples::insert(Vehicle*& v, std::size_t slot, std::size_t i, Timestamp at, const SampleValue& value) {
  const std::size_t size = count(*v, slot);
  if (i == size && size != 0) return append(v, slot, at, value);
  if (size > v->rows) grow(v);
  if (size != 0) {
    const Word* newest = newest_entry(*v, slot);
    ++series(*v, slot).size;
    std::copy_n(newest, stride(slot), entry(*v, slot, size - 1));
    for (std::size_t j = size - 1; j > i; --j) std::copy_n(entry(*v, slot, j - 1), stride(slot), entry(*v, slot, j));
  } else {
    series(*v, slot) = {0, 1};
  }
  if (is_text(slot)) entry(*v, slot, i)[1] = texts_.take();
  put(slot, entry(*v, slot, i), at, value);
}

void HeldSamples::drop_front(Vehicle& v, std::size_t slot, std::size_t n) {
  if (n == 0) return;
  if (is_text(slot)) {
    for (std::size_t i = 0; i < n; ++i) texts_.give(entry(v, slot, i)[1]);
  }
  Series& s = series(v, slot);
  s.size = static_cast<std::uint16_t>(s.size - n);
  s.head = static_cast<std::uint16_t>(s.size < 2 ? 0 : around(s.head + n, v.rows));
  if (s.size < 2) set_paired(v, slot, false);
}

void HeldSamples::erase(Vehicle& v, std::size_t slot, std::size_t i) {
  if (is_text(slot)) texts_.give(entry(v, slot, i)[1]);
  const std::size_t size = count(v, slot);
  for (; i + 2 < size; ++i) std::copy_n(entry(v, slot, i + 1), stride(slot), entry(v, slot, i));
  --series(v, slot).size;
}

void HeldSamples::add_reach(Vehicle*& v, Timestamp tick, Timestamp arrival) {
  if (reaches(*v) == reach_rows(v->rows)) grow(v);
  Series& s = series(*v, reach);
  assert(s.size < Series::most);
  Word* to = reach_entry(*v, s.size++);
  to[0] = std::bit_cast<Word>(tick);
  to[1] = std::bit_cast<Word>(arrival);
}

void HeldSamples::drop_reaches(Vehicle& v, Timestamp until) const {
  Series& s = series(v, reach);
  while (s.size != 0 && reach_tick(v, 0) <= until) {
    s.head = static_cast<std::uint16_t>(around(s.head + 1u, reach_rows(v.rows)));
    --s.size;
  }
}

void HeldSamples::save(StateWriter& state, Vehicle& v) const {
  state.put(static_cast<std::uint16_t>(reaches(v)));
  for (std::size_t i = 0; i < reaches(v); ++i) state.put(reach_tick(v, i)), state.put(reach_arrival(v, i));
  for (std::size_t slot = 1; slot < slots(); ++slot) {
    state.put(static_cast<std::uint16_t>(count(v, slot)));
    for (std::size_t i = 0; i < count(v, slot); ++i) {
      const Word* from = entry(v, slot, i);
      state.put(from[0]);
      if (is_text(slot)) {
        state.put_text(text(from));
      } else {
        for (std::size_t word = 1; word < stride(slot); ++word) state.put(from[word]);
      }
    }
  }
}

bool HeldSamples::load(StateReader& state, Vehicle*& v, const std::vector<Stored>& fields) {
  const auto count_of_reaches = state.get<std::uint16_t>();
  if (count_of_reaches == Series::most) return false;
  for (std::size_t i = 0; i < count_of_reaches && state.ok(); ++i) {
    const auto tick = state.get<Timestamp>();
    if (i > 0 && tick <= reach_tick(*v, i - 1)) return false;
    add_reach(v, tick, state.get<Timestamp>());
  }
  for (const Stored& field : fields) {
    const auto size = state.get<std::uint16_t>();
    for (std::size_t i = 0; i < size; ++i) {
      if (!load_entry(state, v, field)) return false;
    }
  }
  return state.ok();
}

bool HeldSamples::load_entry(StateReader& state, Vehicle*& v, Stored to) {
  const auto at = state.get<Timestamp>();
  SampleValue value;
  if (to.kind == FieldKind::text) {
    value.text = state.get_text();
  } else {
    value.x = state.get<double>();
    if (to.kind == FieldKind::point) value.y = state.get<double>(), value.z = state.get<double>();
  }
  if (to.slot == nowhere || !state.ok()) return state.ok();
  const std::size_t size = count(*v, to.slot);
  if (size + 1 == Series::most || (size != 0 && at < newest(*v, to.slot))) return false;
  insert(v, to.slot, size, at, value);
  return true;
}

}  // namespace weir::window_join
