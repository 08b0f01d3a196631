/// The newest sample of every (key, field), in about 20 B each.
#pragma once

#include <array>
#include <bit>

#include <weir/key_blocks.hpp>
#include <weir/sample_rows.hpp>
#include <weir/state.hpp>
#include <weir/text_pool.hpp>

namespace weir::last_value {

/// Per key one block: a head, a tag per field in order of first appearance, and the words of the fields in the same
/// order: a time and a value.
///
/// Threads   one at a time.
/// Bound     samples::most_fields different fields.
class LastValues {
  using Word = std::uint64_t;

 public:
  struct Key;

  LastValues() = default;
  LastValues(const LastValues&) = delete;
  LastValues& operator=(const LastValues&) = delete;

  /// Makes room for keys below this number.
  void expect(std::uint32_t keys) { keys_.expect(keys); }

  /// The place of a key's values, until another key's is asked for. Starts the key's life, or a new one if its last
  /// sample is `forget` or more behind. expect() comes first.
  Key*& touch(std::uint32_t key, Timestamp arrival, Duration forget);

  /// Compares a sample with the one that is kept and keeps the newer; at the same time, the later one. Answers whether
  /// it is a repeat: both are the same.
  bool see(Key*& k, std::uint16_t field, Timestamp time, const SampleValue& value);
  /// The same for a number.
  bool see(Key*& k, std::uint16_t field, Timestamp time, double x);

  /// Frees a few of the keys that touch() would forget. Called often, it comes round to all.
  void sweep(Timestamp arrival, Duration forget);

  void prefetch_place(std::uint32_t key) const { keys_.prefetch_place(key); }
  void prefetch(std::uint32_t key) const { keys_.prefetch(key, most_bytes_ahead); }

  void save(StateWriter& state) const;
  /// Reads what save() wrote into an empty object; false if it can't have been that. Keys are below `keys`.
  bool load(StateReader& state, std::uint32_t keys);

  std::size_t keys() const { return live_; }
  std::size_t bytes() const { return keys_.bytes() + texts_.bytes(); }

 private:
  /// Where a field is among its key's: its tag, and the word of its time.
  struct Place {
    std::size_t tag, word;
  };
  static constexpr std::size_t first_fields = 8;
  static constexpr std::size_t most_bytes_ahead = 3 * Blocks::line;
  static constexpr std::uint32_t no_key = UINT32_MAX;

  static std::size_t words_of(SampleValue::Kind kind);
  Key* make(std::size_t room, std::size_t words_room);
  void drop(Key*& k);
  bool find(Key& k, std::uint16_t field, Place& place);
  Place add(Key*& k, std::uint16_t field, SampleValue::Kind kind);
  void grow(Key*& k, std::size_t words);
  void change_kind(Key*& k, Place& place, SampleValue::Kind kind);
  void store(Word* to, const SampleValue& value);
  SampleValue load(const Word* from, SampleValue::Kind kind) const;

  KeyBlocks<Key> keys_;
  TextPool texts_;
  std::size_t live_ = 0;
  Place guess_{};  ///< of the field behind the last one found: they come in the same order again and again
  std::uint32_t hand_ = 0;
};

/// Head of a key's block. Room for `room` tags follows, and for `words_room` words.
struct LastValues::Key {
  struct Tag {
    std::uint16_t field : 14;
    std::uint16_t kind : 2;
  };

  Timestamp last_arrival;
  std::uint16_t fields, room, words, words_room;

  Tag* tags() { return reinterpret_cast<Tag*>(this + 1); }
  const Tag* tags() const { return reinterpret_cast<const Tag*>(this + 1); }
  Word* slots() { return reinterpret_cast<Word*>(tags() + room); }
  const Word* slots() const { return reinterpret_cast<const Word*>(tags() + room); }
  SampleValue::Kind kind(std::size_t tag) const { return static_cast<SampleValue::Kind>(tags()[tag].kind); }
  std::size_t bytes() const { return bytes(room, words_room); }
  static std::size_t bytes(std::size_t room, std::size_t words_room) {
    return sizeof(Key) + room * sizeof(Tag) + words_room * sizeof(Word);
  }
};

// A value's words behind its time: a number x; a point x, y, z; a text its number in the pool.
inline std::size_t LastValues::words_of(SampleValue::Kind kind) {
  constexpr std::array<std::uint8_t, 4> words{2, 4, 2, 1};
  return words[static_cast<std::size_t>(kind)];
}

inline LastValues::Key*& LastValues::touch(std::uint32_t key, Timestamp arrival, Duration forget) {
  Key*& k = keys_[key];
  if (k != nullptr && arrival - k->last_arrival >= forget) drop(k);
  if (k == nullptr) {
    k = make(first_fields, 2 * first_fields);
    ++live_;
  }
  k->last_arrival = arrival;
  guess_ = {};
  return k;
}

inline bool LastValues::find(Key& k, std::uint16_t field, Place& place) {
  const Key::Tag* tags = k.tags();
  const std::size_t n = k.fields;
  place = guess_;
  if (place.tag >= n || tags[place.tag].field != field) {
    for (place = {}; place.tag < n && tags[place.tag].field != field; ++place.tag)
      place.word += words_of(k.kind(place.tag));
    if (place.tag == n) return false;
  }
  guess_ = {place.tag + 1, place.word + words_of(k.kind(place.tag))};
  return true;
}

inline bool LastValues::see(Key*& k, std::uint16_t field, Timestamp time, double x) {
  Place place;
  if (!find(*k, field, place) || k->kind(place.tag) != SampleValue::Kind::number)
    return see(k, field, time, SampleValue{SampleValue::Kind::number, x});
  Word* slot = k->slots() + place.word;
  const auto kept = std::bit_cast<Timestamp>(slot[0]);
  if (time < kept) return false;
  if (time == kept && slot[1] == std::bit_cast<Word>(x)) return true;
  slot[0] = std::bit_cast<Word>(time);
  slot[1] = std::bit_cast<Word>(x);
  return false;
}

}  // namespace weir::last_value
