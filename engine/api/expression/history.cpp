#include <bit>
#include <cassert>
#include <utility>

#include <weir/shapes.hpp>

#include "expression/memory.hpp"

namespace weir::expression {

void Memory::number_fields(const Ids& fields) {
  if (numbered_.lock() != fields.dictionary) numbers_.clear();
  numbered_ = fields.dictionary;
  for (auto id = static_cast<std::uint32_t>(numbers_.size()); id < fields.dictionary->size(); ++id)
    numbers_.push_back(fields_.intern(fields.dictionary->at(id)).value_or(no_key));
}

void Memory::begin(const Batch& batch) {
  rows_.clear();
  if (batch.rows == 0) return;
  const Ids& keys = batch.column("key").ids();
  const bool by_field = batch.schema->shape == Shape::samples;
  if (by_field) number_fields(batch.columns[samples::field].ids());
  sweep(batch.arrival[0]);
  entries_.expect(keys.dictionary->size());
  rows_.reserve(batch.rows);
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const bool has_field = by_field && batch.columns[samples::field].valid(row);
    const std::uint32_t field = has_field ? numbers_[batch.columns[samples::field].ids().ids[row]] : no_key;
    rows_.push_back(find(keys.ids[row], field, batch.arrival[row]));
  }
}

Memory::Entry* Memory::make(std::uint32_t key, std::uint32_t field) {
  Entry*& first = entries_[key];
  if (first == nullptr) ++live_;
  first = entries_.make(entry_bytes(), {first, no_time, 0, field});
  for (std::size_t slot = 0; slot < slots.size(); ++slot)
    first->words()[slot] = is_text(slots[slot]) ? texts_.take() : 0;
  return first;
}

Memory::Row Memory::find(std::uint32_t key, std::uint32_t field, Timestamp arrival) {
  Entry* entry = entries_[key];
  while (entry != nullptr && entry->field != field) entry = entry->next;
  if (entry == nullptr) entry = make(key, field);
  const Timestamp last = std::exchange(entry->last_arrival, arrival);
  return {entry, last != no_time && arrival - last >= forget_};
}

/// Frees a few of the entries that find() would not look into any more. Called often, it comes round to all.
void Memory::sweep(Timestamp arrival) {
  for (std::size_t i = 0; i < 8 && entries_.size() != 0; ++i) {
    if (++hand_ >= entries_.size()) hand_ = 0;
    Entry** at = &entries_[hand_];
    const bool had = *at != nullptr;
    while (*at != nullptr) {
      Entry* const entry = *at;
      if (arrival - entry->last_arrival < forget_) {
        at = &entry->next;
        continue;
      }
      for (std::size_t slot = 0; slot < slots.size(); ++slot)
        if (is_text(slots[slot])) texts_.give(entry->words()[slot]);
      *at = entry->next;
      entries_.give(entry, entry_bytes());
    }
    if (had && entries_[hand_] == nullptr) --live_;
  }
}

template <typename T, typename Load, typename Store>
const T* Memory::exchanged(Block& block, std::size_t slot, const Values& values, Byte* valid, Load load, Store store) {
  T* const out = block.memory.allocate_object<T>(block.rows);
  const T* const data = block.as<T>(values);
  const Word bit = Word{1} << slot;
  for (std::size_t i = 0; i < block.rows; ++i) {
    Entry& entry = *rows_[block.begin + i].entry;
    Word& word = entry.words()[slot];
    valid[i] = (entry.valid & bit) != 0 && !rows_[block.begin + i].begins ? 1 : 0;
    out[i] = valid[i] != 0 ? load(word) : T{};
    entry.valid = values.valid[i] != 0 ? entry.valid | bit : entry.valid & ~bit;
    if (values.valid[i] != 0) store(word, data[i]);
  }
  return out;
}

Values Memory::exchange(Block& block, std::size_t slot, const Values& values) {
  assert(rows_.size() == block.batch.rows && "the batch has not begun");
  auto* const valid = block.memory.allocate_object<Byte>(block.rows);
  const Type type = slots[slot].type;
  if (is_text(slots[slot])) {
    const auto load = [&](Word word) {
      const Text kept = texts_[word];
      char* out = block.memory.allocate_object<char>(kept.size());
      std::ranges::copy(kept, out);
      return Text{out, kept.size()};
    };
    const auto* out =
        exchanged<Text>(block, slot, values, valid, load, [&](Word word, Text text) { texts_.set(word, text); });
    return {type, valid, out};
  }
  return with_type(type, [&]<typename T>() -> Values {
    if constexpr (std::is_same_v<T, Text>) {
      return {};
    } else {
      const auto load = [](Word word) {
        if constexpr (std::is_same_v<T, Byte>)
          return static_cast<Byte>(word);
        else
          return std::bit_cast<T>(word);
      };
      const auto store = [](Word& word, T value) {
        if constexpr (std::is_same_v<T, Byte>)
          word = value;
        else
          word = std::bit_cast<Word>(value);
      };
      return {type, valid, exchanged<T>(block, slot, values, valid, load, store)};
    }
  });
}

void Memory::save(StateWriter& state) const {
  state.put(static_cast<std::uint32_t>(slots.size()));
  for (const Slot& slot : slots) {
    state.put(slot.type);
    state.put_text(slot.meaning);
  }
  state.put(fields_.size());
  for (std::uint32_t field = 0; field < fields_.size(); ++field) state.put_text(fields_.at(field));
  for (std::uint32_t key = 0; key < entries_.size(); ++key) {
    for (const Entry* entry = entries_[key]; entry != nullptr; entry = entry->next) {
      state.put(key);
      state.put(entry->field);
      state.put(entry->last_arrival);
      state.put(entry->valid);
      for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        if ((entry->valid >> slot & 1) == 0) continue;
        is_text(slots[slot]) ? state.put_text(texts_[entry->words()[slot]]) : state.put(entry->words()[slot]);
      }
    }
  }
  state.put(no_key);
}

bool Memory::load_entry(StateReader& state, std::span<const Slot> kept, std::uint32_t key) {
  entries_.expect(key + 1);
  Entry& entry = *make(key, state.get<std::uint32_t>());
  entry.last_arrival = state.get<Timestamp>();
  const auto valid = state.get<Word>();
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if ((valid >> i & 1) == 0) continue;
    const auto text = is_text(kept[i]) ? state.get_text() : Text{};
    const auto word = is_text(kept[i]) ? Word{0} : state.get<Word>();
    const auto slot = static_cast<std::size_t>(std::ranges::find(slots, kept[i]) - slots.begin());
    if (slot == slots.size()) continue;
    entry.valid |= Word{1} << slot;
    if (is_text(kept[i]))
      texts_.set(entry.words()[slot], text);
    else
      entry.words()[slot] = word;
  }
  return state.ok();
}

bool Memory::load(StateReader& state, std::uint32_t keys) {
  std::vector<Slot> kept;
  for (auto left = state.get<std::uint32_t>(); left != 0 && state.ok(); --left) {
    const auto type = state.get<Type>();
    kept.push_back({type, std::string{state.get_text()}});
  }
  for (auto left = state.get<std::uint32_t>(); left != 0 && state.ok(); --left) fields_.intern(state.get_text());
  while (state.ok() && kept.size() <= most_slots) {
    const auto key = state.get<std::uint32_t>();
    if (key == no_key) return state.ok();
    if (key >= keys || !load_entry(state, kept, key)) return false;
  }
  return false;
}

namespace {

Values previous(Block& block, const Node& n) {
  const Values now = block.values(n.args[0]);
  Values out = block.history->exchange(block, n.slot, now);
  if (!n.is_point) return out;
  const Values longitude{.type = n.type, .valid = now.valid, .data = block.longitudes(now)};
  return block.point(out, block.history->exchange(block, n.slot + 1, longitude));
}

/// Seconds between the times of the row and of the one before.
Values elapsed(Block& block, const Node& n) {
  const Values now = block.column(Type::timestamp, block.batch.columns[n.column]);
  const Values before = block.history->exchange(block, n.slot, now);
  const auto length = [](std::int64_t a, std::int64_t b) {
    std::int64_t out = 0;
    const bool lost = __builtin_sub_overflow(a, b, &out);
    return Maybe{seconds(out), !lost};
  };
  return block.map<std::int64_t>(n.type, length, now, before);
}

constexpr auto history_table = std::to_array<Form>({
    {.name = "previous",
     .precedence = function,
     .least = 1,
     .most = 1,
     .takes = same_kind,
     .result = {},
     .evaluate = previous,
     .arguments = "x",
     .doc = "what x was in the row before of the same key; in samples, of the same key and field",
     .looks_back = true},
    {.name = "elapsed",
     .precedence = function,
     .least = 0,
     .most = 0,
     .takes = same_kind,
     .result = Type::float64,
     .evaluate = elapsed,
     .doc = "seconds from the time of that row to the time of this one",
     .looks_back = true},
});

}  // namespace

std::span<const Form> history_forms() { return history_table; }

}  // namespace weir::expression

namespace weir {

History::History(Duration forget) : memory_{std::make_unique<Memory>(forget)} {}
History::~History() = default;
bool History::empty() const { return memory_->slots.empty(); }
void History::begin(const Batch& batch) {
  if (!empty()) memory_->begin(batch);
}
void History::save(StateWriter& state) const {
  if (!empty()) memory_->save(state);
}
bool History::load(StateReader& state, std::uint32_t keys) { return empty() || memory_->load(state, keys); }
std::size_t History::keys() const { return memory_->keys(); }
std::size_t History::bytes() const { return memory_->bytes(); }

}  // namespace weir
