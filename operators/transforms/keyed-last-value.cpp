#include <weir/blocks.hpp>
#include <weir/operator.hpp>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "clients/nats_current.hpp"

namespace {
using namespace weir;

using Word = std::uint64_t;

/// What a sample says, apart from its key, field and time.
struct Value {
  enum class Kind : std::uint8_t { number, point, text, nothing };
  Kind kind = Kind::nothing;
  Word x = 0, y = 0, z = 0;  ///< bits of the doubles: a NaN equals itself here
  std::string_view text = {};
};

/// Words that a value takes behind its time: a number x; a point x, y, z; a text its place in the table of texts.
constexpr std::array<std::size_t, 4> value_words{1, 3, 1, 0};
constexpr std::size_t most_words = 1u << 14;  // of one key: what Tag::at can say

/// The newest sample of every (key, field), about 24 B each: per key one block of a head, a tag per field, and the
/// times and values.
class LastValues {
  struct Key;

 public:
  enum class Seen : std::uint8_t { newer, older, repeat };

  LastValues() = default;
  LastValues(const LastValues&) = delete;
  LastValues& operator=(const LastValues&) = delete;

  /// Where the values of a key are, from its touch() until another key's.
  struct Place {
    Key** key;
  };

  /// Compares a sample with the one that is kept and keeps the newer; at the same time, the later one.
  Seen see(Place place, std::uint16_t field, Timestamp time, const Value& value) {
    Key*& k = *place.key;
    std::size_t at = find(*k, field);
    if (at == none) at = add(k, field, value.kind);
    Word* slot = slots(*k) + tags(*k)[at].at;
    const auto kept = std::bit_cast<Timestamp>(slot[0]);
    if (time < kept) return Seen::older;
    if (time == kept && equals(*k, at, value)) return Seen::repeat;
    if (kind(*k, at) != value.kind) {
      at = change_kind(k, at, value.kind);
      slot = slots(*k) + tags(*k)[at].at;
    }
    slot[0] = std::bit_cast<Word>(time);
    store(slot + 1, value);
    return Seen::newer;
  }

  /// The same for a number.
  Seen see(Place place, std::uint16_t field, Timestamp time, double x) {
    Key& k = **place.key;
    const std::size_t at = find(k, field);
    if (at == none || kind(k, at) != Value::Kind::number)
      return see(place, field, time, Value{Value::Kind::number, std::bit_cast<Word>(x)});
    Word* slot = slots(k) + tags(k)[at].at;
    const auto kept = std::bit_cast<Timestamp>(slot[0]);
    if (time < kept) return Seen::older;
    if (time == kept && slot[1] == std::bit_cast<Word>(x)) return Seen::repeat;
    slot[0] = std::bit_cast<Word>(time);
    slot[1] = std::bit_cast<Word>(x);
    return Seen::newer;
  }

  /// Makes room for keys below this number. Places end.
  void expect(std::uint32_t keys) {
    if (keys > keys_.size()) keys_.resize(std::max<std::size_t>(keys, keys_.size() + keys_.size() / 2));
  }

  /// Starts the life of a key, or a new one if its last sample is `forget` or more behind. expect() comes first.
  Place touch(std::uint32_t key, Timestamp arrival, Duration forget) {
    Key*& k = keys_[key];
    if (k != nullptr && arrival - k->last_arrival >= forget) drop(k);
    if (k == nullptr) k = make(first_fields, 2 * first_fields);
    k->last_arrival = arrival;
    return {&k};
  }

  /// Frees a few of the keys that touch() would forget. Called often, it comes round to all.
  void sweep(Timestamp arrival, Duration forget) {
    for (std::size_t i = 0; i < 8 && !keys_.empty(); ++i) {
      if (++hand_ >= keys_.size()) hand_ = 0;
      Key*& k = keys_[hand_];
      if (k != nullptr && arrival - k->last_arrival >= forget) drop(k);
    }
  }

  /// The two steps on the way to a key's values: memory is far away, and keys come in any order.
  void prefetch_place(std::uint32_t key) const { __builtin_prefetch(&keys_[key]); }
  void prefetch(std::uint32_t key) const {
    const auto* block = reinterpret_cast<const char*>(keys_[key]);
    for (std::size_t i = 0; i < 3; ++i) __builtin_prefetch(block + i * Blocks::line, 1);
  }

  void save(StateWriter& state) const {
    for (std::uint32_t key = 0; key < keys_.size(); ++key) {
      Key* k = keys_[key];
      if (k == nullptr) continue;
      state.put(key);
      state.put(k->last_arrival);
      state.put(k->fields);
      for (std::size_t i = 0; i < k->fields; ++i) {
        const Word* slot = slots(*k) + tags(*k)[i].at;
        const auto kind = static_cast<Value::Kind>(tags(*k)[i].kind);
        const Value value = load(slot + 1, kind);
        state.put(std::uint16_t{tags(*k)[i].field});
        state.put(kind);
        state.put(slot[0]);
        for (std::size_t w = 0; kind != Value::Kind::text && w < value_words[tags(*k)[i].kind]; ++w)
          state.put(slot[1 + w]);
        if (kind == Value::Kind::text) state.put_text(value.text);
      }
    }
    state.put(no_key);
  }

  /// Reads what save() wrote; false if it can't have been that.
  bool load(StateReader& state, std::uint32_t keys) {
    while (state.ok()) {
      const auto key = state.get<std::uint32_t>();
      if (key == no_key) return state.ok();
      if (key >= keys) return false;
      expect(key + 1);
      const Place place = touch(key, state.get<Timestamp>(), end_of_time);
      const auto fields = state.get<std::uint16_t>();
      for (std::size_t i = 0; i < fields && state.ok(); ++i) {
        const auto field = state.get<std::uint16_t>();
        Value value{state.get<Value::Kind>()};
        const auto time = state.get<Timestamp>();
        if (value.kind > Value::Kind::nothing) return false;
        const std::array<Word*, 3> words{&value.x, &value.y, &value.z};
        for (std::size_t w = 0;
             value.kind != Value::Kind::text && w < value_words[static_cast<std::size_t>(value.kind)]; ++w)
          *words[w] = state.get<Word>();
        if (value.kind == Value::Kind::text) value.text = state.get_text();
        see(place, field, time, value);
      }
    }
    return false;
  }

  std::size_t keys() const { return live_; }
  std::size_t bytes() const {
    return blocks_.bytes() + keys_.capacity() * sizeof(Key*) + texts_.capacity() * sizeof(std::string);
  }

 private:
  /// Head of a key's block; `room` tags and then `words_room` words follow.
  struct Key {
    Timestamp last_arrival;
    std::uint16_t fields, room, words, words_room;
  };
  struct Tag {
    std::uint16_t field;
    std::uint16_t at : 14;  ///< word at which the time stands
    std::uint16_t kind : 2;
  };
  static constexpr std::uint16_t first_fields = 8;
  static constexpr std::size_t none = SIZE_MAX;
  static constexpr std::uint32_t no_key = UINT32_MAX;

  static std::size_t size_of(std::size_t room, std::size_t words) {
    return sizeof(Key) + room * sizeof(Tag) + words * sizeof(Word);
  }
  static Tag* tags(Key& k) { return reinterpret_cast<Tag*>(&k + 1); }
  static Word* slots(Key& k) { return reinterpret_cast<Word*>(tags(k) + k.room); }

  Key* make(std::size_t room, std::size_t words) {
    void* block = blocks_.take(size_of(room, words));
    ++live_;
    return new (block) Key{no_time, 0, static_cast<std::uint16_t>(room), 0, static_cast<std::uint16_t>(words)};
  }

  void drop(Key*& k) {
    for (std::size_t i = 0; i < k->fields; ++i) release(*k, i);
    blocks_.give(k, size_of(k->room, k->words_room));
    k = nullptr;
    --live_;
  }

  void release(Key& k, std::size_t i) {
    if (tags(k)[i].kind == static_cast<std::uint16_t>(Value::Kind::text))
      free_texts_.push_back(slots(k)[tags(k)[i].at + 1]);
  }

  static Value::Kind kind(Key& k, std::size_t i) { return static_cast<Value::Kind>(tags(k)[i].kind); }

  /// Fields come in the same order again and again, so the one after the last one found is tried first.
  std::size_t find(Key& k, std::uint16_t field) {
    const Tag* all = tags(k);
    const std::size_t n = k.fields;
    if (guess_ < n && all[guess_].field == field) return guess_++;
    for (std::size_t i = 0; i < n; ++i) {
      if (all[i].field == field) {
        guess_ = i + 1;
        return i;
      }
    }
    return none;
  }

  std::size_t add(Key*& k, std::uint16_t field, Value::Kind kind) {
    const std::size_t words = 1 + value_words[static_cast<std::size_t>(kind)];
    assert(k->words + words <= most_words);
    if (k->fields == k->room || k->words + words > k->words_room) grow(k, words);
    const std::size_t i = k->fields++;
    tags(*k)[i] = Tag{field, static_cast<std::uint16_t>(k->words & 0x3fff),
                      static_cast<std::uint16_t>(static_cast<unsigned>(kind) & 3)};
    Word* slot = slots(*k) + k->words;
    k->words = static_cast<std::uint16_t>(k->words + words);
    slot[0] = std::bit_cast<Word>(no_time);
    if (kind == Value::Kind::text) slot[1] = new_text();
    return guess_ = i;
  }

  /// Makes room for one more field of `words` words. Room is doubled, as tags and words must stay even for alignment.
  void grow(Key*& k, std::size_t words) {
    const std::size_t room = k->fields == k->room ? k->room * 2u : k->room;
    std::size_t words_room = k->words_room;
    while (words_room < k->words + words) words_room = std::min(words_room * 2, most_words);
    Key* wider = make(room, words_room);
    --live_;
    wider->last_arrival = k->last_arrival;
    wider->fields = k->fields;
    wider->words = k->words;
    std::copy_n(tags(*k), k->fields, tags(*wider));
    std::copy_n(slots(*k), k->words, slots(*wider));
    blocks_.give(k, size_of(k->room, k->words_room));
    k = wider;
  }

  /// A field that turns from, say, a number to a point: its block is written anew without the old value.
  std::size_t change_kind(Key*& k, std::size_t i, Value::Kind kind) {
    Key* old = std::exchange(k, make(k->room, k->words_room));
    --live_;
    k->last_arrival = old->last_arrival;
    release(*old, i);
    for (std::size_t j = 0; j < old->fields; ++j) {
      const Tag tag = tags(*old)[j];
      if (j == i) continue;
      const std::size_t to = add(k, tag.field, Value::Kind::nothing);
      const std::size_t more = value_words[tag.kind];
      if (k->words + more > k->words_room) grow(k, more);
      tags(*k)[to].kind = tag.kind;
      std::copy_n(slots(*old) + tag.at, 1 + more, slots(*k) + tags(*k)[to].at);
      k->words = static_cast<std::uint16_t>(k->words + more);
    }
    const std::uint16_t field = tags(*old)[i].field;
    blocks_.give(old, size_of(old->room, old->words_room));
    return add(k, field, kind);
  }

  bool equals(Key& k, std::size_t i, const Value& value) const {
    if (kind(k, i) != value.kind) return false;
    const Value kept = load(slots(k) + tags(k)[i].at + 1, value.kind);
    return kept.x == value.x && kept.y == value.y && kept.z == value.z && kept.text == value.text;
  }

  void store(Word* to, const Value& value) {
    if (value.kind == Value::Kind::number) to[0] = value.x;
    if (value.kind == Value::Kind::point) to[0] = value.x, to[1] = value.y, to[2] = value.z;
    if (value.kind == Value::Kind::text) texts_[to[0]] = value.text;
  }

  Value load(const Word* from, Value::Kind kind) const {
    if (kind == Value::Kind::number) return {kind, from[0]};
    if (kind == Value::Kind::point) return {kind, from[0], from[1], from[2]};
    if (kind == Value::Kind::text) return {kind, 0, 0, 0, texts_[from[0]]};
    return {};
  }

  Word new_text() {
    if (free_texts_.empty()) {
      texts_.emplace_back();
      return texts_.size() - 1;
    }
    const Word place = free_texts_.back();
    free_texts_.pop_back();
    return place;
  }

  Blocks blocks_;
  std::vector<Key*> keys_;
  std::vector<std::string> texts_;
  std::vector<Word> free_texts_;
  std::size_t live_ = 0;
  std::size_t guess_ = 0;
  std::size_t hand_ = 0;
};

/// The columns of a batch of samples, ready for a loop.
class Rows {
 public:
  explicit Rows(const Batch& in)
      : keys{in.columns[samples::key].ids()},
        fields{in.columns[samples::field].ids()},
        times_{in.columns[samples::time]},
        x_{in.columns[samples::x]},
        y_{in.columns[samples::y]},
        z_{in.columns[samples::z]},
        text_{in.columns[samples::text]},
        time_of_{times_.int64s().data()},
        x_of_{x_.absent() ? nullptr : x_.float64s().data()},
        all_timed_{times_.validity().all()},
        all_numbers_{x_of_ != nullptr && x_.validity().all() && y_.absent() && text_.absent()} {}

  bool timed(std::size_t row) const { return all_timed_ || times_.valid(row); }
  Timestamp time(std::size_t row) const { return time_of_[row]; }

  bool is_number(std::size_t row) const {
    return all_numbers_ || (x_.valid(row) && !y_.valid(row) && !text_.valid(row));
  }
  double x(std::size_t row) const { return x_of_[row]; }

  Value value(std::size_t row) const {
    if (is_number(row)) return {Value::Kind::number, bits(x_, row)};
    if (text_.valid(row)) return {Value::Kind::text, 0, 0, 0, text_.text(row)};
    if (!x_.valid(row)) return {};
    return {Value::Kind::point, bits(x_, row), bits(y_, row), z_.valid(row) ? bits(z_, row) : unknown};
  }

  const Ids& keys;
  const Ids& fields;

 private:
  static constexpr Word unknown = 0x7ff8'0000'0000'0000;  // a NaN
  static Word bits(const Column& column, std::size_t row) { return std::bit_cast<Word>(column.float64s()[row]); }

  const Column &times_, &x_, &y_, &z_, &text_;
  const Timestamp* time_of_;
  const double* x_of_;
  bool all_timed_, all_numbers_;
};

class KeyedLastValue final : public Transform {
 public:
  KeyedLastValue(const Settings& settings, Context& context) : context_{context}, repeats_{context.counter("repeats")} {
    if (settings.has("publish")) publish_to(settings);
  }

  Result<Schemas> settle(const Schemas& inputs) override {
    if (inputs.at(0)->shape != Shape::samples)
      return fail(Error::Kind::invalid, "keyed-last-value takes samples", "from");
    return inputs;
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (in->rows == 0) {
      out.emit(in);
      return {};
    }
    const Rows rows{*in};
    if (rows.keys.dictionary != context_.keys())
      return fail(Error::Kind::internal, "keys of another lane reached keyed-last-value");
    if (auto done = number_fields(rows.fields); !done) return done;
    last_.sweep(in->arrival[0], context_.forget());

    last_.expect(context_.keys()->size());
    std::vector<std::uint8_t> keep;
    std::size_t repeats = 0;
    find_runs(rows, *in);
    for (std::size_t run = 0; run + 1 < runs_.size(); ++run) {
      prefetch(rows.keys.ids, run);
      const std::uint32_t first = runs_[run], end = runs_[run + 1];
      const auto place = last_.touch(rows.keys.ids[first], in->arrival[first], context_.forget());
      for (std::size_t row = first; row < end; ++row) {
        if (!rows.timed(row)) continue;
        const std::uint16_t field = numbers_[rows.fields.ids[row]];
        const auto seen = rows.is_number(row) ? last_.see(place, field, rows.time(row), rows.x(row))
                                              : last_.see(place, field, rows.time(row), rows.value(row));
        if (current_ != nullptr) publish(rows, row, in->arrival[row], seen, out);
        if (seen != LastValues::Seen::repeat) continue;
        if (repeats++ == 0) keep.assign(in->rows, 1);
        keep[row] = 0;
      }
    }
    if (!changed_.empty()) current_->offer(std::exchange(changed_, {}));
    out.count(repeats_, repeats);
    out.emit(repeats == 0 ? in : in->select(keep));
    return {};
  }

  void save(StateWriter& state) const override {
    state.put(names_.size());
    for (std::uint32_t i = 0; i < names_.size(); ++i) state.put_text(names_.at(i));
    last_.save(state);
  }

  Result<void> load(StateReader& state) override {
    const auto names = state.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < names && state.ok(); ++i) names_.intern(state.get_text());
    if (last_.load(state, context_.keys()->size())) return {};
    return fail(Error::Kind::changed, "the state of keyed-last-value is damaged");
  }

  Size size() const override { return {last_.keys(), last_.bytes()}; }

 private:
  static constexpr std::uint32_t most_fields = most_words / 4;

  /// Cuts the batch where the key or the arrival changes: runs_ holds the beginnings, and the end.
  void find_runs(const Rows& rows, const Batch& in) {
    const std::uint32_t* keys = rows.keys.ids.data();
    runs_.resize(in.rows + 1);
    std::size_t n = 1;
    runs_[0] = 0;
    for (std::size_t row = 1; row < in.rows; ++row) {
      runs_[n] =
          static_cast<std::uint32_t>(row);  // written always, counted if it begins a run: no branch to mispredict
      n += keys[row] != keys[row - 1] || in.arrival[row] != in.arrival[row - 1];
    }
    runs_[n] = static_cast<std::uint32_t>(in.rows);
    runs_.resize(n + 1);
    step_ = std::max<std::size_t>(3, 32 * n / in.rows);
  }

  void prefetch(const std::vector<std::uint32_t>& keys, std::size_t run) const {
    if (run + 2 * step_ + 1 >= runs_.size()) return;
    last_.prefetch_place(keys[runs_[run + 2 * step_]]);
    last_.prefetch(keys[runs_[run + step_]]);
  }

  /// Translates the batch's field ids: they need not come from the lane's table, and state must outlive any other.
  Result<void> number_fields(const Ids& fields) {
    if (fields.dictionary != numbered_) numbers_.clear();
    numbered_ = fields.dictionary;
    for (auto id = static_cast<std::uint32_t>(numbers_.size()); id < numbered_->size(); ++id) {
      const auto number = names_.intern(numbered_->at(id));
      if (!number)
        return fail(Error::Kind::exhausted, "more than " + std::to_string(most_fields) + " different fields");
      numbers_.push_back(static_cast<std::uint16_t>(*number));
    }
    return {};
  }

  void publish_to(const Settings& settings) {
    ahead_ = settings.duration("publish_ahead");
    not_offered_ = {context_.counter("older"), context_.counter("ahead"), context_.counter("unpublishable")};
    auto config = nats::publish_config(settings, context_);
    config.names = [this](std::uint64_t id) {
      return std::pair{context_.keys()->at(static_cast<std::uint32_t>(id >> 16)),
                       names_.at(static_cast<std::uint32_t>(id & 0xffff))};
    };
    current_ = std::make_unique<nats::CurrentValues>(std::move(config), context_.clock());
  }

  /// Offers what is newer to the bucket; what is not offered is counted.
  void publish(const Rows& rows, std::size_t row, Timestamp arrival, LastValues::Seen seen, Output& counted) {
    if (seen == LastValues::Seen::repeat) return;
    if (seen == LastValues::Seen::older) return counted.count(not_offered_.older, 1);
    if (rows.time(row) > arrival + ahead_) return counted.count(not_offered_.ahead, 1);
    const Value value = rows.value(row);
    if (value.kind == Value::Kind::nothing) return counted.count(not_offered_.without_value, 1);
    auto& out = changed_.emplace_back();
    out.id = std::uint64_t{rows.keys.ids[row]} << 16 | numbers_[rows.fields.ids[row]];
    out.time = rows.time(row);
    out.kind = value.kind == Value::Kind::point  ? Sample::Kind::point
               : value.kind == Value::Kind::text ? Sample::Kind::text
                                                 : Sample::Kind::number;
    out.x = std::bit_cast<double>(value.x);
    out.y = std::bit_cast<double>(value.y);
    out.z = std::bit_cast<double>(value.z);
    out.text = value.text;
  }

  Context& context_;
  std::size_t repeats_;
  LastValues last_;
  Dictionary names_{most_fields};
  std::shared_ptr<const Dictionary> numbered_;
  std::vector<std::uint16_t> numbers_;  ///< by id in `numbered_`
  std::vector<std::uint32_t> runs_;
  std::size_t step_ = 3;  ///< runs to look ahead, twice
  Duration ahead_ = 0;
  struct {
    std::size_t older, ahead, without_value;
  } not_offered_ = {};  ///< counters
  std::vector<nats::Current> changed_;
  std::unique_ptr<nats::CurrentValues> current_;  ///< ends first: its thread reads names_
};

Spec spec() {
  auto out = nats::with_publish(Spec::transform(
      "passes every sample on, in order, except exact repeats; remembers the newest of each key and field"));
  out.counter("repeats", "samples that said again, word for word, what the newest one of their key and field said")
      .accepts({Shape::samples})
      .keyed_state()
      .state([](const Settings&) { return std::string{"≤ 32 B per (vehicle, field) that holds a number"}; })
      .details(
          "A repeat has the same key, field, time and value as the newest sample; devices and networks send it when "
          "they "
          "are not sure. Older samples pass: window-join reorders. A key without a sample for limits.forget is "
          "forgotten. What is published is written behind, the newest value only, and never over a newer one, from any "
          "number of workers; a crash may leave out the last values.")
      .example(R"({ "id": "last", "transform": "keyed-last-value", "from": "signals" })")
      .example(R"({ "id": "last", "transform": "keyed-last-value", "from": "signals", "publish": "fleet-now" })");
  return out;
}

}  // namespace

WEIR_OPERATOR(transforms, keyed_last_value, KeyedLastValue, spec())
