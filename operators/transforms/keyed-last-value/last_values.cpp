#include "transforms/keyed-last-value/last_values.hpp"

#include <array>
#include <bit>
#include <cassert>

namespace weir::last_value {

namespace {
using Kind = SampleValue::Kind;

constexpr std::uint16_t state_version = 1;

/// Whether two values are the same to the bit: a NaN equals itself.
bool same(const SampleValue& a, const SampleValue& b) {
  const auto bits = [](double x) { return std::bit_cast<std::uint64_t>(x); };
  return a.kind == b.kind && bits(a.x) == bits(b.x) && bits(a.y) == bits(b.y) && bits(a.z) == bits(b.z) &&
         a.text == b.text;
}
}  // namespace

bool LastValues::see(Key*& k, std::uint16_t field, Timestamp time, const SampleValue& value) {
  Place place;
  if (!find(*k, field, place)) place = add(k, field, value.kind);
  const Word* slot = k->slots() + place.word;
  const auto kept = std::bit_cast<Timestamp>(slot[0]);
  if (time < kept) return false;
  if (time == kept && same(load(slot + 1, k->kind(place.tag)), value)) return true;
  if (k->kind(place.tag) != value.kind) change_kind(k, place, value.kind);
  k->slots()[place.word] = std::bit_cast<Word>(time);
  store(k->slots() + place.word + 1, value);
  return false;
}

void LastValues::sweep(Timestamp arrival, Duration forget) {
  for (std::size_t i = 0; i < 8 && keys_.size() != 0; ++i) {
    if (++hand_ >= keys_.size()) hand_ = 0;
    Key*& k = keys_[hand_];
    if (k != nullptr && arrival - k->last_arrival >= forget) drop(k);
  }
}

LastValues::Key* LastValues::make(std::size_t room, std::size_t words_room) {
  return keys_.make(Key::bytes(room, words_room),
                    {no_time, 0, static_cast<std::uint16_t>(room), 0, static_cast<std::uint16_t>(words_room)});
}

void LastValues::drop(Key*& k) {
  std::size_t word = 0;
  for (std::size_t i = 0; i < k->fields; ++i) {
    if (k->kind(i) == Kind::text) texts_.give(k->slots()[word + 1]);
    word += words_of(k->kind(i));
  }
  keys_.give(k, k->bytes());
  k = nullptr;
  --live_;
}

LastValues::Place LastValues::add(Key*& k, std::uint16_t field, Kind kind) {
  assert(field < samples::most_fields);
  const std::size_t words = words_of(kind);
  if (k->fields == k->room || k->words + words > k->words_room) grow(k, words);
  const Place place{k->fields++, k->words};
  k->tags()[place.tag] = {static_cast<std::uint16_t>(field & 0x3fff),
                          static_cast<std::uint16_t>(static_cast<unsigned>(kind) & 3)};
  Word* slot = k->slots() + k->words;
  k->words = static_cast<std::uint16_t>(k->words + words);
  slot[0] = std::bit_cast<Word>(no_time);
  if (kind == Kind::text) slot[1] = texts_.take();
  return place;
}

/// Makes room for one more field of `words` words. Room for tags is doubled, as words must stay aligned behind them.
void LastValues::grow(Key*& k, std::size_t words) {
  const std::size_t room = k->fields == k->room ? k->room * 2u : k->room;
  std::size_t words_room = k->words_room;
  while (words_room < k->words + words) words_room *= 2;
  Key* wider = make(room, words_room);
  wider->last_arrival = k->last_arrival;
  wider->fields = k->fields;
  wider->words = k->words;
  std::copy_n(k->tags(), k->fields, wider->tags());
  std::copy_n(k->slots(), k->words, wider->slots());
  keys_.give(k, k->bytes());
  k = wider;
}

/// A field that turns from, say, a number to a point: its words become as many as it needs now.
void LastValues::change_kind(Key*& k, Place& place, Kind kind) {
  const std::size_t had = words_of(k->kind(place.tag)), needs = words_of(kind);
  if (k->kind(place.tag) == Kind::text) texts_.give(k->slots()[place.word + 1]);
  if (k->words - had + needs > k->words_room) grow(k, needs);
  Word* slot = k->slots() + place.word;
  Word* end = k->slots() + k->words;
  if (needs < had) {
    std::copy(slot + had, end, slot + needs);
  } else {
    std::copy_backward(slot + had, end, end + (needs - had));
  }
  k->words = static_cast<std::uint16_t>(k->words - had + needs);
  k->tags()[place.tag].kind = static_cast<std::uint16_t>(static_cast<unsigned>(kind) & 3);
  if (kind == Kind::text) slot[1] = texts_.take();
  guess_ = {};
}

void LastValues::store(Word* to, const SampleValue& value) {
  if (value.kind == Kind::text) return texts_.set(to[0], value.text);
  const std::array<double, 3> values{value.x, value.y, value.z};
  for (std::size_t i = 0; i + 1 < words_of(value.kind); ++i) to[i] = std::bit_cast<Word>(values[i]);
}

SampleValue LastValues::load(const Word* from, Kind kind) const {
  const auto value = [&](std::size_t i) { return std::bit_cast<double>(from[i]); };
  if (kind == Kind::number) return {kind, value(0)};
  if (kind == Kind::point) return {kind, value(0), value(1), value(2)};
  if (kind == Kind::text) return {kind, 0, 0, 0, texts_[from[0]]};
  return {};
}

void LastValues::save(StateWriter& state) const {
  state.put(state_version);
  for (std::uint32_t key = 0; key < keys_.size(); ++key) {
    const Key* k = keys_[key];
    if (k == nullptr) continue;
    state.put(key);
    state.put(k->last_arrival);
    state.put(k->fields);
    const Word* slot = k->slots();
    for (std::size_t i = 0; i < k->fields; slot += words_of(k->kind(i++))) {
      state.put(static_cast<std::uint16_t>(k->tags()[i].field));
      state.put(k->kind(i));
      state.put(slot[0]);
      if (k->kind(i) == Kind::text) {
        state.put_text(texts_[slot[1]]);
      } else {
        for (std::size_t word = 1; word < words_of(k->kind(i)); ++word) state.put(slot[word]);
      }
    }
  }
  state.put(no_key);
}

bool LastValues::load(StateReader& state, std::uint32_t keys) {
  if (state.get<std::uint16_t>() != state_version) return false;
  while (state.ok()) {
    const auto key = state.get<std::uint32_t>();
    if (key == no_key) return state.ok();
    if (key >= keys) return false;
    expect(key + 1);
    Key*& k = touch(key, state.get<Timestamp>(), end_of_time);
    const auto fields = state.get<std::uint16_t>();
    for (std::size_t i = 0; i < fields && state.ok(); ++i) {
      const auto field = state.get<std::uint16_t>();
      SampleValue value{state.get<Kind>()};
      const auto time = state.get<Timestamp>();
      if (value.kind > Kind::nothing || field >= samples::most_fields) return false;
      const std::array<double*, 3> values{&value.x, &value.y, &value.z};
      if (value.kind == Kind::text) {
        value.text = state.get_text();
      } else {
        for (std::size_t word = 1; word < words_of(value.kind); ++word) *values[word - 1] = state.get<double>();
      }
      see(k, field, time, value);
    }
  }
  return false;
}

}  // namespace weir::last_value
