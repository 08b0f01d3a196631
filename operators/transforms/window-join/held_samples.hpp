/// The samples that window-join holds, by vehicle and field.
#pragma once

#include <bit>
#include <cassert>

#include <weir/key_blocks.hpp>
#include <weir/sample_rows.hpp>
#include <weir/shapes.hpp>
#include <weir/state.hpp>
#include <weir/text_pool.hpp>

#include "transforms/window-join/vehicle.hpp"

namespace weir::window_join {

using Word = std::uint64_t;

/// Every vehicle has one block: head, a Series per slot and a bit per slot, then a row of every field's newest entry,
/// a ring of reaches, and `rows` rows for the older entries, a ring per field. So fields that are sampled together
/// stand in the same cache lines, and a sample that only replaces the newest touches nothing behind those.
///
/// An entry is a time and a value: of a number x; of a point x, y, z; of a text its number in the pool.
/// A reach is a tick with the arrival of the vehicle's first sample at or beyond it; ticks ascend. Slot 0 counts them.
///
/// Threads   one at a time.
/// Memory    a vehicle with no more than one sample of each field has no older rows; blocks grow with the longest
/// series,
///           and shrink when asked to.
class HeldSamples {
 public:
  /// `kinds`: of the slots from 1 on.
  explicit HeldSamples(const std::vector<FieldKind>& kinds);
  HeldSamples(const HeldSamples&) = delete;
  HeldSamples& operator=(const HeldSamples&) = delete;
  ~HeldSamples();

  std::size_t slots() const { return places_.size(); }

  // --- Vehicles by key ---------------------------------------------------------------------------------------------

  void expect(std::uint32_t keys) { vehicles_.expect(keys); }
  std::uint32_t size() const { return vehicles_.size(); }
  Vehicle*& operator[](std::uint32_t key) { return vehicles_[key]; }
  Vehicle* operator[](std::uint32_t key) const { return vehicles_[key]; }

  Vehicle* make() { return lay_out({}); }
  void free(Vehicle* v);

  /// Gives back what a burst has left empty, if that is much.
  void shrink(Vehicle*& v);

  void prefetch_place(std::uint32_t key) const { vehicles_.prefetch_place(key); }
  void prefetch_newest(std::uint32_t key) const { vehicles_.prefetch(key, bytes_ahead_); }
  /// After the others: where the newest entries go if a sample at `time` does not replace them.
  void prefetch_older(std::uint32_t key, Timestamp time) const;

  // --- Series ------------------------------------------------------------------------------------------------------

  static std::size_t count(Vehicle& v, std::size_t slot) { return series(v, slot).size; }
  static bool full(Vehicle& v, std::size_t slot) { return count(v, slot) == Series::most; }

  /// Entry i of a field, oldest first.
  Word* entry(Vehicle& v, std::size_t slot, std::size_t i) const {
    const Series& s = series(v, slot);
    return i + 1 == s.size ? newest_entry(v, slot) : older_entry(v, slot, around(s.head + i, v.rows));
  }
  Word* newest_entry(Vehicle& v, std::size_t slot) const { return words(v) + head_words_ + places_[slot]; }
  Timestamp time(Vehicle& v, std::size_t slot, std::size_t i) const {
    return std::bit_cast<Timestamp>(*entry(v, slot, i));
  }
  Timestamp newest(Vehicle& v, std::size_t slot) const { return std::bit_cast<Timestamp>(*newest_entry(v, slot)); }
  /// The number of entries at or before `time`.
  std::size_t upper_bound(Vehicle& v, std::size_t slot, Timestamp time) const;

  /// Whether the newest entry and the one before it are of one interval between ticks: then one that comes after them
  /// in that interval replaces the newest. Whoever changes the newest two says so.
  bool paired(Vehicle& v, std::size_t slot) const { return (pairs(v)[slot / 32] >> (slot % 32) & 1) != 0; }
  void set_paired(Vehicle& v, std::size_t slot, bool yes) const {
    std::uint32_t& bits = pairs(v)[slot / 32];
    bits = (bits & ~(1u << (slot % 32))) | (static_cast<std::uint32_t>(yes) << (slot % 32));
  }

  /// Adds a newest entry to a field that has one. May move the vehicle.
  void append(Vehicle*& v, std::size_t slot, Timestamp time, const SampleValue& value) {
    if (series(*v, slot).size > v->rows) grow(v);
    Series& s = series(*v, slot);
    assert(s.size < Series::most);
    Word* newest = newest_entry(*v, slot);
    Word* older = older_entry(*v, slot, around(s.head + s.size - 1u, v->rows));
    for (std::size_t i = 0; i < stride(slot); ++i) older[i] = newest[i];
    ++s.size;
    if (is_text(slot)) newest[1] = texts_.take();
    put(slot, newest, time, value);
  }
  /// Adds an entry before entry i. May move the vehicle.
  void insert(Vehicle*& v, std::size_t slot, std::size_t i, Timestamp time, const SampleValue& value);
  /// Makes an entry say something else.
  void put(std::size_t slot, Word* entry, Timestamp time, const SampleValue& value) {
    entry[0] = std::bit_cast<Word>(time);
    if (is_text(slot)) return texts_.set(entry[1], value.text);
    entry[1] = std::bit_cast<Word>(value.x);
    if (kinds_[slot] != FieldKind::point) return;
    entry[2] = std::bit_cast<Word>(value.y);
    entry[3] = std::bit_cast<Word>(value.z);
  }
  /// Drops the first n entries.
  void drop_front(Vehicle& v, std::size_t slot, std::size_t n);
  /// Drops entry i, which is not the newest.
  void erase(Vehicle& v, std::size_t slot, std::size_t i);

  std::string_view text(const Word* entry) const { return texts_[entry[1]]; }

  // --- Reaches -----------------------------------------------------------------------------------------------------

  static std::size_t reaches(Vehicle& v) { return series(v, reach).size; }
  static bool reaches_full(Vehicle& v) { return full(v, reach); }
  /// Adds one after all others. May move the vehicle.
  void add_reach(Vehicle*& v, Timestamp tick, Timestamp arrival);
  Timestamp reach_tick(Vehicle& v, std::size_t i) const { return std::bit_cast<Timestamp>(reach_entry(v, i)[0]); }
  Timestamp reach_arrival(Vehicle& v, std::size_t i) const { return std::bit_cast<Timestamp>(reach_entry(v, i)[1]); }
  void drop_reaches(Vehicle& v, Timestamp until) const;

  // --- State -------------------------------------------------------------------------------------------------------

  std::size_t bytes() const { return vehicles_.bytes() + texts_.bytes(); }

  /// Where the entries of a saved field go.
  struct Stored {
    std::size_t slot;
    FieldKind kind;
  };
  static constexpr std::size_t nowhere = SIZE_MAX;

  void save(StateWriter& state, Vehicle& v) const;
  /// False if it is not what save() wrote.
  bool load(StateReader& state, Vehicle*& v, const std::vector<Stored>& fields);

 private:
  static constexpr std::size_t reach = 0;
  static constexpr std::size_t first_rows = 6;  ///< two samples for each of three ticks

  static Series& series(Vehicle& v, std::size_t slot) { return reinterpret_cast<Series*>(&v + 1)[slot]; }
  static Word* words(Vehicle& v) { return reinterpret_cast<Word*>(&v); }
  std::uint32_t* pairs(Vehicle& v) const { return reinterpret_cast<std::uint32_t*>(&series(v, slots())); }

  bool is_text(std::size_t slot) const { return kinds_[slot] == FieldKind::text; }
  std::size_t stride(std::size_t slot) const {
    return kinds_[slot] == FieldKind::point ? 4 : 2;
  }  ///< words of an entry

  static std::size_t around(std::size_t i, std::size_t rows) { return i < rows ? i : i - rows; }
  static std::size_t reach_rows(std::size_t rows) { return rows == 0 ? 1 : rows; }
  Word* reach_entry(Vehicle& v, std::size_t i) const {
    const std::size_t row = around(series(v, reach).head + i, reach_rows(v.rows));
    return words(v) + head_words_ + row_words_ + 2 * row;
  }
  Word* older_entry(Vehicle& v, std::size_t slot, std::size_t row) const {
    return words(v) + head_words_ + row_words_ + 2 * reach_rows(v.rows) + row * row_words_ + places_[slot];
  }

  std::size_t bytes_of(std::size_t rows) const {
    return (head_words_ + row_words_ + 2 * reach_rows(rows) + rows * row_words_) * sizeof(Word);
  }
  Vehicle* lay_out(const Vehicle& head);
  void grow(Vehicle*& v);
  void move(Vehicle*& v, std::size_t rows);
  bool load_entry(StateReader& state, Vehicle*& v, Stored to);

  std::vector<FieldKind> kinds_;       ///< by slot
  std::vector<std::uint32_t> places_;  ///< words before a slot's entry in a row
  std::size_t row_words_ = 0;
  std::size_t head_words_ = 0;
  std::size_t bytes_ahead_ = 0;  ///< what prefetch_newest() fetches
  KeyBlocks<Vehicle> vehicles_;
  TextPool texts_;
};

}  // namespace weir::window_join
