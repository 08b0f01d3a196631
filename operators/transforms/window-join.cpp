#include <weir/blocks.hpp>
#include <weir/operator.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

namespace {
using namespace weir;

using Word = std::uint64_t;

/// The settings, typed.
struct Rules {
  Duration every, wait, disorder, timeout, max_ahead, max_behind, forget;
  std::size_t max_pending;
  std::string session_field;  ///< empty: there is none
  double on, off;

  Rules(const Settings& s, const Context& context)
      : every{s.duration("every")},
        wait{s.duration("wait")},
        disorder{s.duration("disorder")},
        timeout{30 * second},
        max_ahead{s.duration("max_ahead")},
        max_behind{s.duration("max_behind")},
        forget{std::max<Duration>(context.forget(), 1)},
        max_pending{static_cast<std::size_t>(s.integer("max_pending"))},
        on{1},
        off{0} {
    if (!s.has("session")) return;
    const Settings& session = s.object("session");
    session_field = session.text("field");
    on = session.number("on");
    off = session.number("off");
    timeout = session.duration("timeout");
  }
};

/// A run of a vehicle's samples.
struct Session {
  enum class Ended : std::uint8_t { no, off, gap };
  Timestamp first = 0, last = 0;  ///< its samples' event times
  Timestamp first_arrival = 0;
  Timestamp over_at = end_of_time;  ///< if it has ended
  Ended ended = Ended::no;
  bool real = false;      ///< has taken a sample that is not an off: else it gets neither rows nor events
  bool started = false;   ///< its start has been told
  bool first_on = false;  ///< its first sample is an on
};

/// What is said of a field at an instant.
struct Value {
  double x = 0, y = 0, z = 0;  ///< z may be NaN: unknown
  std::string_view text = {};
};

/// Samples of one field, by event time: `size` entries from row `head` on, around the end of the vehicle's rows.
struct Series {
  static constexpr std::size_t most = UINT16_MAX;
  std::uint16_t head = 0, size = 0;
};

/// Head of a vehicle's block. A Series per slot follows, then `rows` rows of an entry per slot.
struct Vehicle {
  std::uint32_t key;
  std::uint32_t rows;              ///< a power of two
  std::uint32_t held = 0;          ///< samples newer than `closed`
  std::uint16_t sessions = 0;      ///< that are not over
  std::uint16_t known = 0;         ///< fields seen in the earliest session
  std::uint16_t behind = 0;        ///< of those, fields that have not passed `tick`
  Timestamp tick = no_time;        ///< next to close in the earliest session, if that reaches it
  Timestamp closed = no_time;      ///< last closed tick
  Timestamp over = no_time;        ///< newest sample of the last session that is over
  Timestamp next_reach = no_time;  ///< a sample from here on is the first at or beyond some tick
  Timestamp last_arrival = no_time;
  Timestamp timer = end_of_time;          ///< instant of its live entry among the timers
  Session now = {};                       ///< the earliest one, if there is any
  std::vector<Session>* later = nullptr;  ///< the others; owned, often null
};

/// Vehicles in memory, each in one block. Every slot has a ring of entries, times ascending, and the rings lie side by
/// side: fields that are sampled together stand in the same cache lines. Slot 0 is not of samples: its entries are
/// ticks with the arrival of the vehicle's first sample at or beyond that tick.
class Memory {
 public:
  static constexpr std::size_t reach = 0;

  /// `kinds`: of the slots from 1 on.
  explicit Memory(const std::vector<FieldKind>& kinds) : strides_{2}, places_{0}, texts_in_{false} {
    for (const FieldKind kind : kinds) {
      places_.push_back(row_words_);
      strides_.push_back(kind == FieldKind::point ? 4 : 2);
      texts_in_.push_back(kind == FieldKind::text);
      row_words_ += strides_.back();
    }
    const std::size_t head = sizeof(Vehicle) + slots() * sizeof(Series);
    head_words_ = (head + Blocks::line - 1) / Blocks::line * (Blocks::line / sizeof(Word));
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::size_t slots() const { return strides_.size(); }

  static Series& series(Vehicle& v, std::size_t slot) { return reinterpret_cast<Series*>(&v + 1)[slot]; }
  [[gnu::always_inline]] Word* entry(Vehicle& v, std::size_t slot, std::size_t i) const {
    const std::size_t row = (series(v, slot).head + i) & (v.rows - 1);
    Word* first = reinterpret_cast<Word*>(&v) + head_words_;
    return slot == reach ? first + v.rows * row_words_ + row * 2 : first + row * row_words_ + places_[slot];
  }
  [[gnu::always_inline]] Timestamp time(Vehicle& v, std::size_t slot, std::size_t i) const {
    return std::bit_cast<Timestamp>(*entry(v, slot, i));
  }
  Timestamp newest(Vehicle& v, std::size_t slot) const { return time(v, slot, series(v, slot).size - 1u); }
  bool full(Vehicle& v, std::size_t slot) const { return series(v, slot).size == Series::most; }

  Vehicle* make(std::uint32_t key) { return lay_out(key, first_rows); }

  void free(Vehicle* v) {
    for (std::size_t slot = 0; slot < slots(); ++slot) drop_front(*v, slot, series(*v, slot).size);
    delete v->later;
    blocks_.give(v, bytes_of(v->rows));
  }

  /// Opens a place for a new entry before entry i and gives it a time; the rest is for put(). May move the vehicle.
  Word* insert(Vehicle*& v, std::size_t slot, std::size_t i, Timestamp at) {
    if (series(*v, slot).size == v->rows) move(v, std::size_t{v->rows} * 2);
    Series& s = series(*v, slot);
    for (std::size_t j = s.size++; j > i; --j) {
      std::copy_n(entry(*v, slot, j - 1), strides_[slot], entry(*v, slot, j));
    }
    Word* to = entry(*v, slot, i);
    to[0] = std::bit_cast<Word>(at);
    if (texts_in_[slot]) to[1] = new_text();
    return to;
  }

  void put(std::size_t slot, Word* entry, const Value& value) {
    if (texts_in_[slot]) {
      texts_[entry[1]] = value.text;
      return;
    }
    entry[1] = std::bit_cast<Word>(value.x);
    if (strides_[slot] < 4) return;
    entry[2] = std::bit_cast<Word>(value.y);
    entry[3] = std::bit_cast<Word>(value.z);
  }

  std::string_view text(const Word* entry) const { return texts_[entry[1]]; }

  void drop_front(Vehicle& v, std::size_t slot, std::size_t n) {
    if (texts_in_[slot]) {
      for (std::size_t i = 0; i < n; ++i) free_texts_.push_back(entry(v, slot, i)[1]);
    }
    Series& s = series(v, slot);
    s.head = static_cast<std::uint16_t>((s.head + n) & (v.rows - 1));
    s.size = static_cast<std::uint16_t>(s.size - n);
  }

  void erase(Vehicle& v, std::size_t slot, std::size_t i) {
    if (texts_in_[slot]) free_texts_.push_back(entry(v, slot, i)[1]);
    Series& s = series(v, slot);
    --s.size;
    for (; i < s.size; ++i) std::copy_n(entry(v, slot, i + 1), strides_[slot], entry(v, slot, i));
  }

  /// Gives back what a burst has left empty.
  void shrink(Vehicle*& v) {
    if (v->rows == first_rows) return;
    std::size_t most = 0;
    for (std::size_t slot = 0; slot < slots(); ++slot) most = std::max<std::size_t>(most, series(*v, slot).size);
    const std::size_t rows = std::max(first_rows, std::bit_ceil(2 * most));
    if (rows < v->rows) move(v, rows);
  }

  /// The steps on the way to a vehicle's newest entries.
  void prefetch_head(const Vehicle* v) const {
    const auto* block = reinterpret_cast<const char*>(v);
    for (std::size_t at = 0; at < head_words_ * sizeof(Word); at += Blocks::line) __builtin_prefetch(block + at, 1);
  }
  void prefetch_rows(Vehicle* v) const {
    const Series& s = series(*v, slots() - 1);
    const Word* rows = reinterpret_cast<Word*>(v) + head_words_;
    const std::size_t width = std::min<std::size_t>(row_words_ * sizeof(Word), 4 * Blocks::line);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto* row = reinterpret_cast<const char*>(rows + ((s.head + s.size + i - 2) & (v->rows - 1)) * row_words_);
      for (std::size_t at = 0; at < width; at += Blocks::line) __builtin_prefetch(row + at, 1);
    }
  }

  std::size_t bytes() const { return blocks_.bytes() + texts_.capacity() * sizeof(std::string); }

  /// Where entries of a saved slot go.
  struct Stored {
    std::size_t slot;
    FieldKind kind;
  };
  static constexpr std::size_t nowhere = SIZE_MAX;

  void save(StateWriter& state, std::size_t slot, const Word* entry) const {
    state.put(entry[0]);
    if (texts_in_[slot]) return state.put_text(text(entry));
    for (std::size_t i = 1; i < strides_[slot]; ++i) state.put(entry[i]);
  }
  void load(StateReader& state, Vehicle*& v, Stored from) {
    const auto time = state.get<Timestamp>();
    Value value;
    if (from.kind == FieldKind::text) {
      value.text = state.get_text();
    } else {
      value.x = state.get<double>();
      if (from.kind == FieldKind::point) value.y = state.get<double>(), value.z = state.get<double>();
    }
    if (from.slot != nowhere) put(from.slot, insert(v, from.slot, series(*v, from.slot).size, time), value);
  }

 private:
  static constexpr std::size_t first_rows = 8;

  std::size_t bytes_of(std::size_t rows) const { return (head_words_ + rows * (row_words_ + 2)) * sizeof(Word); }

  Vehicle* lay_out(std::uint32_t key, std::size_t rows) {
    auto* v = new (blocks_.take(bytes_of(rows))) Vehicle{.key = key, .rows = static_cast<std::uint32_t>(rows)};
    std::uninitialized_value_construct_n(&series(*v, 0), slots());
    return v;
  }

  /// To a block of so many rows.
  void move(Vehicle*& v, std::size_t rows) {
    Vehicle* to = lay_out(v->key, rows);
    for (std::size_t slot = 0; slot < slots(); ++slot) {
      series(*to, slot) = series(*v, slot);
      series(*to, slot).head &= static_cast<std::uint16_t>(rows - 1);
      for (std::size_t i = 0; i < series(*v, slot).size; ++i)
        std::copy_n(entry(*v, slot, i), strides_[slot], entry(*to, slot, i));
    }
    *to = *v;
    to->rows = static_cast<std::uint32_t>(rows);
    blocks_.give(v, bytes_of(v->rows));
    v = to;
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

  std::vector<std::uint8_t> strides_;   ///< words of an entry, by slot: a time and a value
  std::vector<std::size_t> places_;     ///< words before a slot's entry in a row
  std::vector<std::uint8_t> texts_in_;  ///< whether a slot's entries point into texts_
  std::size_t row_words_ = 0;
  std::size_t head_words_ = 0;
  Blocks blocks_;
  std::vector<std::string> texts_;
  std::vector<Word> free_texts_;
};

/// When something is to be done for a vehicle: a tick to close, or else (no_time) a session or the vehicle to end.
struct Due {
  Timestamp instant = end_of_time;
  Timestamp tick = no_time;
  bool operator==(const Due&) const = default;
};

/// Dues by (instant, tick, key bytes).
class Timers {
 public:
  struct Entry {
    Due due;
    std::uint32_t key;
  };

  explicit Timers(const Dictionary& keys) : later_{&keys} {}

  void push(Due due, std::uint32_t key) {
    heap_.push_back({due, key});
    std::ranges::push_heap(heap_, later_);
  }
  void pop() {
    std::ranges::pop_heap(heap_, later_);
    heap_.pop_back();
  }
  bool empty() const { return heap_.empty(); }
  const Entry& top() const { return heap_.front(); }
  Timestamp first() const { return heap_.empty() ? end_of_time : heap_.front().due.instant; }
  std::size_t bytes() const { return heap_.capacity() * sizeof(Entry); }

 private:
  struct Later {
    const Dictionary* keys;
    bool operator()(const Entry& a, const Entry& b) const {
      if (a.due.instant != b.due.instant) return a.due.instant > b.due.instant;
      if (a.due.tick != b.due.tick) return a.due.tick > b.due.tick;
      return a.key != b.key && keys->at(a.key) > keys->at(b.key);
    }
  };

  Later later_;
  std::vector<Entry> heap_;
};

/// The brackets of a batch, written column by column.
class BracketRows {
 public:
  BracketRows(std::vector<FieldDemand> fields, const Memory& memory) : fields_{std::move(fields)}, memory_{memory} {
    clear();
  }

  void begin(std::uint32_t key, Timestamp tick, Timestamp arrival) {
    keys_.push_back(key);
    ticks_.push_back(tick);
    arrivals_.push_back(arrival);
  }
  void before(std::size_t field, const Word* entry) { put(sides_[2 * field], fields_[field].kind, entry); }
  void after(std::size_t field, const Word* entry) { put(sides_[2 * field + 1], fields_[field].kind, entry); }

  BatchPtr take(const SchemaPtr& schema, const std::shared_ptr<const Dictionary>& keys, Timestamp reached) {
    auto out = std::make_shared<Batch>();
    out->schema = schema;
    out->rows = keys_.size();
    out->reached = reached;
    out->arrival = std::move(arrivals_);
    out->columns.resize(schema->columns.size());
    out->columns[brackets::key] = Column::dictionary({std::move(keys_), keys});
    out->columns[brackets::tick] = Column::timestamp(std::move(ticks_));
    const auto layout = brackets::layout(fields_);
    for (std::size_t field = 0; field < fields_.size(); ++field) {
      const auto& at = layout[field];
      finish(sides_[2 * field], fields_[field].kind, *out, {at.before_time, at.before, at.before_y, at.before_z});
      finish(sides_[2 * field + 1], fields_[field].kind, *out, {at.after_time, at.after, at.after_y, at.after_z});
    }
    expected_ = out->rows + out->rows / 8;
    clear();
    return out;
  }

 private:
  struct Side {
    std::vector<Timestamp> times;
    std::vector<double> x, y, z;
    Texts texts;
    Validity there, high;
  };

  void put(Side& side, FieldKind kind, const Word* entry) {
    const std::size_t row = side.times.size();
    if (entry == nullptr || !side.there.all()) side.there.push(entry != nullptr, row);
    static constexpr std::array<Word, 4> nothing{};
    const Word* from = entry == nullptr ? nothing.data() : entry;
    side.times.push_back(std::bit_cast<Timestamp>(from[0]));
    if (kind == FieldKind::text) {
      side.texts.push(entry == nullptr ? std::string_view{} : memory_.text(entry));
      return;
    }
    side.x.push_back(std::bit_cast<double>(from[1]));
    if (kind != FieldKind::point) return;
    side.y.push_back(std::bit_cast<double>(from[2]));
    const auto z = std::bit_cast<double>(from[3]);
    side.high.push(entry != nullptr && !std::isnan(z), row);
    side.z.push_back(z);
  }

  static void finish(Side& side, FieldKind kind, Batch& out, const std::array<std::size_t, 4>& at) {
    out.columns[at[0]] = Column::timestamp(std::move(side.times), side.there);
    if (kind == FieldKind::text) {
      out.columns[at[1]] = Column::string(std::move(side.texts), std::move(side.there));
      return;
    }
    if (kind == FieldKind::point) {
      out.columns[at[2]] = Column::float64(std::move(side.y), side.there);
      out.columns[at[3]] = Column::float64(std::move(side.z), std::move(side.high));
    }
    out.columns[at[1]] = Column::float64(std::move(side.x), std::move(side.there));
  }

  void clear() {
    keys_.clear(), ticks_.clear(), arrivals_.clear();
    keys_.reserve(expected_), ticks_.reserve(expected_), arrivals_.reserve(expected_);
    sides_.assign(2 * fields_.size(), {});
    for (Side& side : sides_) side.times.reserve(expected_), side.x.reserve(expected_);
  }

  std::vector<FieldDemand> fields_;
  const Memory& memory_;
  std::size_t expected_ = 0;
  std::vector<std::uint32_t> keys_;
  std::vector<Timestamp> ticks_, arrivals_;
  std::vector<Side> sides_;  ///< before and after of each field
};

/// Starts and ends of sessions.
class EventRows {
 public:
  void add(std::uint32_t key, std::string_view event, std::string_view reason, Timestamp time, Timestamp arrival) {
    keys_.push_back(key);
    events_.push(event);
    reasons_.push(reason);
    times_.push_back(time);
    arrivals_.push_back(arrival);
  }
  bool empty() const { return keys_.empty(); }

  static SchemaPtr schema() {
    return std::make_shared<const Schema>(Schema{
        Shape::events,
        {{"key", Type::dictionary}, {"event", Type::string}, {"reason", Type::string}, {"time", Type::timestamp}}});
  }

  BatchPtr take(const SchemaPtr& schema, const std::shared_ptr<const Dictionary>& keys, Timestamp reached) {
    auto out = std::make_shared<Batch>();
    out->schema = schema;
    out->rows = keys_.size();
    out->reached = reached;
    out->columns.push_back(Column::dictionary({std::move(keys_), keys}));
    out->columns.push_back(Column::string(std::move(events_)));
    out->columns.push_back(Column::string(std::move(reasons_)));
    out->columns.push_back(Column::timestamp(std::move(times_)));
    out->arrival = std::move(arrivals_);
    *this = EventRows{};
    return out;
  }

 private:
  std::vector<std::uint32_t> keys_;
  Texts events_, reasons_;
  std::vector<Timestamp> times_, arrivals_;
};

/// The columns of a batch of samples, ready for a loop.
class SampleRows {
 public:
  explicit SampleRows(const Batch& in)
      : keys{in.columns[samples::key].ids()},
        fields{in.columns[samples::field].ids()},
        arrival{in.arrival},
        times_{in.columns[samples::time]},
        x_{in.columns[samples::x]},
        y_{in.columns[samples::y]},
        z_{in.columns[samples::z]},
        text_{in.columns[samples::text]},
        times_of_all_{times_.validity().all() ? times_.int64s().data() : nullptr},
        numbers_{!x_.absent() && x_.validity().all() ? x_.float64s().data() : nullptr},
        any_points_{!y_.absent()} {}

  std::size_t size() const { return arrival.size(); }
  bool all_timed() const { return times_of_all_ != nullptr; }
  bool timed(std::size_t row) const { return times_of_all_ != nullptr || times_.valid(row); }
  Timestamp time(std::size_t row) const { return times_of_all_ != nullptr ? times_of_all_[row] : times_.int64s()[row]; }

  /// Reads the value of a row as one of this kind; answers what is wrong with it, or null.
  const char* read(std::size_t row, FieldKind kind, Value& value) const {
    if (kind == FieldKind::text) {
      if (!text_.valid(row)) return "not a text, but the columns want one";
      value.text = text_.text(row);
      return nullptr;
    }
    if (numbers_ == nullptr && !x_.valid(row)) return "not a number or point, but the columns want one";
    value.x = numbers_ != nullptr ? numbers_[row] : x_.float64s()[row];
    if (!std::isfinite(value.x)) return "not a finite number";
    if (kind != FieldKind::number) return read_point(row, value);
    return any_points_ && y_.valid(row) ? "a point, but the columns want a number" : nullptr;
  }

  const Ids& keys;
  const Ids& fields;
  std::span<const Timestamp> arrival;

 private:
  const char* read_point(std::size_t row, Value& value) const {
    if (!y_.valid(row)) return "not a point, but the columns want one";
    value.y = y_.float64s()[row];
    value.z = z_.valid(row) ? z_.float64s()[row] : std::numeric_limits<double>::quiet_NaN();
    return std::isfinite(value.y) && !std::isinf(value.z) ? nullptr : "not a finite number";
  }

  const Column &times_, &x_, &y_, &z_, &text_;
  const Timestamp* times_of_all_;
  const double* numbers_;
  bool any_points_;
};

/// What became of the rows of a batch that do not simply take part.
struct Counts {
  std::uint64_t late = 0, off_stale = 0, other_fields = 0, forced = 0;
};

/// The fields that take part, as slots of a vehicle: 1 … n those of the brackets, n + 1 the session's if it is not one.
struct Slots {
  static constexpr std::uint16_t none = 0;  // slot 0 is no field's

  std::vector<FieldDemand> fields;  ///< of the brackets
  std::uint16_t session = none;

  Slots(const Settings& settings, const Rules& rules, const Context& context) : fields{context.demand()} {
    if (settings.has("fields")) {
      fields.clear();
      for (const std::string& name : settings.list("fields")) {
        const auto wanted = std::ranges::find(context.demand(), name, &FieldDemand::name);
        fields.push_back(wanted == context.demand().end() ? FieldDemand{name, FieldKind::number} : *wanted);
      }
    }
    if (rules.session_field.empty()) return;
    const auto it = std::ranges::find(fields, rules.session_field, &FieldDemand::name);
    session = static_cast<std::uint16_t>(it - fields.begin() + 1);
  }

  std::uint16_t of(std::string_view name, const Rules& rules) const {
    const auto it = std::ranges::find(fields, name, &FieldDemand::name);
    if (it != fields.end()) return static_cast<std::uint16_t>(it - fields.begin() + 1);
    return !rules.session_field.empty() && name == rules.session_field ? session : none;
  }

  std::string_view name(std::size_t slot, const Rules& rules) const {
    return slot <= fields.size() ? std::string_view{fields[slot - 1].name} : rules.session_field;
  }

  std::vector<FieldKind> kinds() const {
    std::vector<FieldKind> out;
    for (const FieldDemand& field : fields) out.push_back(field.kind);
    if (session > fields.size()) out.push_back(FieldKind::number);
    return out;
  }
};

/// Sessions, pending samples and ticks of all vehicles: section 6 of the design, driven by samples and by arrival time.
class Join {
 public:
  Join(const Rules& rules, const Slots& slots, const Dictionary& keys)
      : rows{slots.fields, memory_},
        rules_{rules},
        slots_{slots},
        kinds_{slots.kinds()},
        memory_{kinds_},
        timers_{keys},
        forgets_{keys} {}
  Join(const Join&) = delete;
  Join& operator=(const Join&) = delete;
  ~Join() {
    for (Vehicle* v : vehicles_) {
      if (v != nullptr) memory_.free(v);
    }
  }

  enum class Taken : std::uint8_t { kept, late, full };

  BracketRows rows;
  EventRows events;
  Counts counts;

  FieldKind kind(std::uint16_t slot) const { return kinds_[slot - 1u]; }

  /// Makes room for keys below this number.
  void expect(std::uint32_t keys) {
    if (keys > vehicles_.size()) vehicles_.resize(std::max<std::size_t>(keys, vehicles_.size() + vehicles_.size() / 2));
  }

  /// Does everything that is due at `until` or before, in order.
  void reach(Timestamp until) {
    if (until <= now_) return;
    set_timer();
    if (until >= next_) act_until(until);
    now_ = until;
  }

  /// Takes the usual samples from `row` on, of one key and of the arrival that reach() was told last: those that go on
  /// with their vehicle's only session, which is open, and are the newest of their field. Answers the first row that is
  /// not one, or `end`. expect() was told of the key.
  std::size_t take_usual(const SampleRows& in, const std::uint16_t* slot_of, std::size_t row, std::size_t end) {
    const std::uint32_t key = in.keys.ids[row];
    Vehicle*& v = vehicles_[key];
    if (v == nullptr || v->sessions != 1 || v->now.ended != Session::Ended::no || !in.all_timed()) return row;
    if (key != untimed_) set_timer();
    Timestamp checked = no_time;
    for (; row < end; ++row) {
      const std::uint16_t slot = slot_of[in.fields.ids[row]];
      if (slot == Slots::none) {
        ++counts.other_fields;
        continue;
      }
      const Timestamp time = in.time(row);
      if (time != checked && !goes_on(*v, time)) return row;
      checked = time;
      Value value;
      if (in.read(row, kinds_[slot - 1u], value) != nullptr) return row;
      if (slot == slots_.session && (value.x == rules_.off || time == v->now.first)) return row;
      const std::size_t size = Memory::series(*v, slot).size;
      if (size == 0) return row;
      Word* newest = memory_.entry(*v, slot, size - 1);
      const auto before = std::bit_cast<Timestamp>(newest[0]);
      if (time <= before) return row;
      if (size > 1 && memory_.time(*v, slot, size - 2) > interval_) {
        newest[0] = std::bit_cast<Word>(time);  // the first and the last of an interval are enough
        memory_.put(slot, newest, value);
      } else {
        if (size == Series::most) return row;
        ++v->held;
        memory_.put(slot, memory_.insert(v, slot, size, time), value);
      }
      v->last_arrival = now_;
      const bool crossed = time >= v->tick && v->now.last < v->tick;
      v->now.last = std::max(v->now.last, time);
      v->now.real = true;
      if (time >= v->next_reach) note_reach(v, time);
      const Timestamp needed = v->tick + rules_.disorder;
      const bool passed = before < needed && time >= needed && is_counted(slot);
      if (passed) --v->behind;
      if (crossed || (passed && v->behind == 0) || v->held > rules_.max_pending) {
        settle(v, true);
        return row + 1;
      }
    }
    return row;
  }

  /// Takes a sample at the arrival that reach() was told last, of a key that expect() was told of.
  Taken take(std::uint32_t key, std::uint16_t slot, Timestamp time, const Value& value) {
    if (key != untimed_) set_timer();
    if (vehicles_[key] == nullptr) add(key, now_);
    Vehicle*& v = vehicles_[key];
    v->last_arrival = now_;
    const Taken taken = place(v, slot, time, value);
    settle(v, false);
    return taken;
  }

  /// The steps on the way to a vehicle: memory is far away, and vehicles come in any order.
  void prefetch_place(std::uint32_t key) const { __builtin_prefetch(&vehicles_[key]); }
  void prefetch_head(std::uint32_t key) const {
    if (vehicles_[key] != nullptr) memory_.prefetch_head(vehicles_[key]);
  }
  void prefetch_rows(std::uint32_t key) const {
    if (vehicles_[key] != nullptr) memory_.prefetch_rows(vehicles_[key]);
  }

  std::optional<Timestamp> due() const { return next_ == end_of_time ? std::nullopt : std::optional{next_}; }

  /// Brings the front of the timers up to date, so that due() is not early for nothing.
  void refresh() {
    set_timer();
    while (!timers_.empty() && !is_exact(timers_.top())) renew(timers_.top());
    for (int tries = 0; tries < 2 && !forgets_.empty() && forget_at(forgets_.top().key) != forgets_.top().due.instant;
         ++tries) {
      const std::uint32_t key = forgets_.top().key;
      forgets_.pop();
      forgets_.push({forget_at(key), no_time}, key);
    }
    next_ = std::min(timers_.first(), forgets_.first());
  }

  void save(StateWriter& state) const;
  bool load(StateReader& state, std::uint32_t keys);

  std::size_t vehicles() const { return live_; }
  std::size_t bytes() const {
    return memory_.bytes() + vehicles_.capacity() * sizeof(Vehicle*) + timers_.bytes() + forgets_.bytes();
  }

 private:
  void add(std::uint32_t key, Timestamp arrival) {
    vehicles_[key] = memory_.make(key);
    vehicles_[key]->last_arrival = arrival;
    ++live_;
    forgets_.push({arrival + rules_.forget, no_time}, key);
    next_ = std::min(next_, arrival + rules_.forget);
  }

  // --- Taking a sample
  // ---------------------------------------------------------------------------------------------------

  /// Whether a sample at this time may be a usual one; interval_ is then its interval.
  bool goes_on(Vehicle& v, Timestamp time) {
    if (time <= v.closed || time < v.now.first || time - v.now.last > rules_.timeout) return false;
    if (time > now_ + rules_.max_ahead || time < now_ - rules_.max_behind) return false;
    interval_before(time);
    return !memory_.full(v, Memory::reach);
  }

  /// Any sample.
  Taken place(Vehicle*& v, std::uint16_t slot, Timestamp time, const Value& value) {
    if (memory_.full(*v, slot) || memory_.full(*v, Memory::reach)) return Taken::full;
    const bool off = slot == slots_.session && value.x == rules_.off;
    const bool on = slot == slots_.session && value.x == rules_.on;
    auto& sessions = unpack(*v);
    if (off && (sessions.empty() || sessions.back().ended != Session::Ended::no || time < sessions.back().first)) {
      ++counts.off_stale;
      return Taken::kept;
    }
    const bool late = time <= v->closed || time <= v->over;
    const std::size_t known = sessions.size();
    const std::size_t at = time <= v->over ? none : find_session(sessions, time, !late, on);
    if (at == none) return Taken::late;
    Session& session = sessions[at];
    if (time < session.first || (time == session.first && slot == slots_.session)) session.first_on = on;
    session.first = std::min(session.first, time);
    session.last = std::max(session.last, time);
    session.real |= !off;
    if (time >= v->next_reach) note_reach(v, time);
    if (sessions.size() < known) compact(*v, session);
    keep(v, slot, time, value, session);
    if (off) split(*v, sessions, time);
    pack(*v, sessions);
    count_fields(*v);
    return late ? Taken::late : Taken::kept;
  }

  /// The session that the sample belongs to, made, or merged from two, if need be.
  std::size_t find_session(std::vector<Session>& sessions, Timestamp time, bool may_start, bool on) const {
    const auto later = std::ranges::find_if(sessions, [&](const Session& s) { return s.first > time; });
    const auto at = static_cast<std::size_t>(later - sessions.begin());
    if (at > 0 && time <= sessions[at - 1].last) return at - 1;
    const bool forward =
        at > 0 && sessions[at - 1].ended != Session::Ended::off && time - sessions[at - 1].last <= rules_.timeout;
    const bool backward = later != sessions.end() && later->first - time <= rules_.timeout;
    if (forward && backward) merge(sessions, at);
    if (forward) return at - 1;
    if (backward) return at;
    if (later != sessions.end() || !may_start) return none;
    if (at > 0 && sessions[at - 1].ended == Session::Ended::no) {
      sessions[at - 1].ended = Session::Ended::gap;
      sessions[at - 1].over_at = now_ + rules_.wait;
    }
    sessions.push_back({.first = time, .last = time, .first_arrival = now_, .first_on = on});
    return at;
  }

  /// Makes one of the sessions before and at `at`.
  static void merge(std::vector<Session>& sessions, std::size_t at) {
    Session& one = sessions[at - 1];
    const Session& other = sessions[at];
    one.last = other.last;
    one.first_arrival = std::min(one.first_arrival, other.first_arrival);
    one.ended = other.ended;
    one.over_at = other.over_at;
    one.real |= other.real;
    one.started |= other.started;
    sessions.erase(sessions.begin() + static_cast<std::ptrdiff_t>(at));
  }

  /// Ends the last session at an off; what it has beyond becomes a session of its own.
  void split(Vehicle& v, std::vector<Session>& sessions, Timestamp off) const {
    Session rest = sessions.back();
    Session& session = sessions.back();
    session.last = off;
    session.ended = Session::Ended::off;
    session.over_at = now_ + rules_.wait;
    if (rest.last == off) return;
    rest.first = end_of_time;
    for (std::size_t slot = 1; slot < memory_.slots(); ++slot) {
      const std::size_t i = upper_bound(v, slot, off);
      if (i < Memory::series(v, slot).size) rest.first = std::min(rest.first, memory_.time(v, slot, i));
    }
    const std::size_t power = upper_bound(v, slots_.session, rest.first);
    rest.first_on = power > 0 && memory_.time(v, slots_.session, power - 1) == rest.first &&
                    std::bit_cast<double>(memory_.entry(v, slots_.session, power - 1)[1]) == rules_.on;
    rest.started = false;
    rest.real = true;
    sessions.push_back(rest);
  }

  /// Puts a sample of a session where it belongs: of those newer than the last closed tick, a field, session and
  /// interval between two ticks keeps the first and the last; of the older ones, a field keeps the newest.
  void keep(Vehicle*& v, std::uint16_t slot, Timestamp time, const Value& value, const Session& session) {
    const std::size_t i = upper_bound(*v, slot, time);
    const std::size_t size = Memory::series(*v, slot).size;
    const auto at = [&](std::size_t entry) { return memory_.time(*v, slot, entry); };
    const auto replace = [&](std::size_t entry) {
      memory_.entry(*v, slot, entry)[0] = std::bit_cast<Word>(time);
      memory_.put(slot, memory_.entry(*v, slot, entry), value);
    };
    if (i > 0 && at(i - 1) == time) return replace(i - 1);
    if (time <= v->closed) {
      if (i < size && at(i) <= v->closed) return;
      if (i > 0) return replace(i - 1);
      return memory_.put(slot, memory_.insert(v, slot, 0, time), value);
    }
    const Timestamp before = interval_before(time);
    const Timestamp least = std::max(before + 1, session.first), most = std::min(before + rules_.every, session.last);
    const bool one_before = i > 0 && at(i - 1) >= least, two_before = one_before && i > 1 && at(i - 2) >= least;
    const bool one_after = i < size && at(i) <= most, two_after = one_after && i + 1 < size && at(i + 1) <= most;
    if (one_before && one_after) return;
    if (two_before) return replace(i - 1);
    if (two_after) return replace(i);
    ++v->held;
    memory_.put(slot, memory_.insert(v, slot, i, time), value);
  }

  /// Drops what lies between the first and the last of a field and interval: after two sessions have merged.
  void compact(Vehicle& v, const Session& session) {
    for (std::size_t slot = 1; slot < memory_.slots(); ++slot) {
      for (std::size_t i = 1; i + 1 < Memory::series(v, slot).size;) {
        const Timestamp before = interval_before(memory_.time(v, slot, i));
        const bool between = memory_.time(v, slot, i - 1) > std::max({before, session.first - 1, v.closed}) &&
                             memory_.time(v, slot, i + 1) <= std::min(before + rules_.every, session.last);
        if (between) {
          memory_.erase(v, slot, i);
          --v.held;
        } else {
          ++i;
        }
      }
    }
  }

  /// Remembers when the vehicle first came to the newest tick at or before `time`: deadlines count from there.
  void note_reach(Vehicle*& v, Timestamp time) {
    const Timestamp before = interval_before(time);
    const Timestamp tick = time == before + rules_.every ? time : before;
    memory_.insert(v, Memory::reach, Memory::series(*v, Memory::reach).size, tick)[1] = std::bit_cast<Word>(now_);
    v->next_reach = tick + rules_.every;
  }

  std::size_t upper_bound(Vehicle& v, std::size_t slot, Timestamp time) const {
    std::size_t begin = 0, end = Memory::series(v, slot).size;
    for (int steps = 0; steps < 4 && end > 0; ++steps, --end) {
      if (memory_.time(v, slot, end - 1) <= time) return end;
    }
    while (begin < end) {
      const std::size_t middle = (begin + end) / 2;
      if (memory_.time(v, slot, middle) <= time) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }

  /// The tick that ends before the interval of `time`: the greatest multiple of `every` below it.
  Timestamp interval_before(Timestamp time) {
    if (time <= interval_ || time - interval_ > rules_.every) {
      Duration past = time % rules_.every;
      if (past <= 0) past += rules_.every;
      interval_ = time - past;
    }
    return interval_;
  }

  bool is_counted(std::size_t slot) const { return slot <= slots_.fields.size(); }

  std::vector<Session>& unpack(const Vehicle& v) {
    scratch_.clear();
    if (v.sessions != 0) scratch_.push_back(v.now);
    if (v.later != nullptr) scratch_.insert(scratch_.end(), v.later->begin(), v.later->end());
    return scratch_;
  }

  static void pack(Vehicle& v, const std::vector<Session>& sessions) {
    v.sessions = static_cast<std::uint16_t>(sessions.size());
    if (!sessions.empty()) v.now = sessions.front();
    if (sessions.size() < 2) {
      delete std::exchange(v.later, nullptr);
      return;
    }
    if (v.later == nullptr) v.later = new std::vector<Session>;
    v.later->assign(sessions.begin() + 1, sessions.end());
  }

  // --- Acting when something is due
  // ----------------------------------------------------------------------------------------

  bool has_tick(const Vehicle& v) const { return v.sessions != 0 && v.now.real && v.tick <= v.now.last; }
  bool complete(const Vehicle& v) const { return v.known != 0 && v.behind == 0; }

  /// Finds the next tick of the earliest session, and which of its fields have passed it.
  void count_fields(Vehicle& v) {
    v.known = v.behind = 0;
    if (v.sessions == 0) return;
    v.tick = interval_before(v.now.first) + rules_.every;
    if (v.closed != no_time) v.tick = std::max(v.tick, v.closed + rules_.every);
    for (std::size_t slot = 1; slot <= slots_.fields.size(); ++slot) count_field(v, slot);
  }
  void count_field(Vehicle& v, std::size_t slot) const {
    if (Memory::series(v, slot).size == 0 || memory_.time(v, slot, 0) > v.now.last) return;
    ++v.known;
    if (memory_.newest(v, slot) < v.tick + rules_.disorder) ++v.behind;
  }

  /// When the next tick of the earliest session closes, or it is over, if no sample comes. The end of time: never.
  Due progress(Vehicle& v) const {
    if (v.sessions == 0) return {};
    Due due{v.now.over_at, no_time};
    if (!has_tick(v)) return due;
    due.tick = v.tick;
    due.instant = std::min(due.instant, deadline(v));
    if (complete(v)) due.instant = std::min(due.instant, v.now.first_arrival + rules_.wait);
    return due;
  }

  /// The same, or that the vehicle is forgotten.
  Due next(Vehicle& v) const {
    Due due = progress(v);
    due.instant = std::max(now_, std::min(due.instant, v.last_arrival + rules_.forget));
    return due;
  }

  /// What a vehicle's timer has to say: being forgotten moves with every sample and has timers of its own.
  Due timer_of(Vehicle& v) const {
    const Due due = next(v);
    return due.instant <= now_ ? due : progress(v);
  }

  Timestamp deadline(Vehicle& v) const {
    std::size_t i = 0;
    while (memory_.time(v, Memory::reach, i) < v.tick) ++i;
    return std::max(v.tick, std::bit_cast<Timestamp>(memory_.entry(v, Memory::reach, i)[1])) + rules_.wait;
  }

  /// Does what has become due for one vehicle through a sample; its timer is set when its run of samples is through.
  void settle(Vehicle*& v, bool usual) {
    const auto act_all = [&] {
      while (v != nullptr) {
        const Due due = next(*v);
        if (due.instant > now_) return;
        act(v, due);
      }
    };
    act_all();
    while (v != nullptr && v->held > rules_.max_pending && has_tick(*v)) {
      ++counts.forced;
      close(*v);
      act_all();
    }
    if (v == nullptr) return;
    untimed_usual_ = usual && (untimed_usual_ || untimed_ == no_key);
    untimed_ = v->key;
  }

  void set_timer() {
    if (untimed_ == no_key) return;
    if (Vehicle* v = vehicles_[untimed_]; v != nullptr) schedule(*v, untimed_usual_);
    untimed_ = no_key;
  }

  /// Sets a vehicle's timer if it is due earlier than the timer says. After a sample that is not usual its tick may be
  /// an earlier one at the same instant.
  void schedule(Vehicle& v, bool usual) {
    const Due due = progress(v);
    if (due.instant > v.timer || (due.instant == v.timer && usual)) return;
    set(v, due);
  }

  void set(Vehicle& v, Due due) {
    if (due.instant == end_of_time) return;
    v.timer = due.instant;
    timers_.push(due, v.key);
    next_ = std::min(next_, due.instant);
  }

  void act_until(Timestamp until) {
    while (true) {
      const bool forget = forgets_.first() <= timers_.first();
      Timers& timers = forget ? forgets_ : timers_;
      if (timers.first() > until) break;
      const Timers::Entry entry = timers.top();
      if (forget) {
        forgets_.pop();
        const Timestamp at = forget_at(entry.key);
        if (at == entry.due.instant) {
          now_ = std::max(now_, at);
          set(*vehicles_[entry.key], timer_of(*vehicles_[entry.key]));
        } else {
          forgets_.push({at, no_time}, entry.key);
        }
      } else if (is_exact(entry)) {
        timers_.pop();
        now_ = std::max(now_, entry.due.instant);
        Vehicle*& v = vehicles_[entry.key];
        v->timer = end_of_time;
        act(v, entry.due);
        if (v != nullptr) set(*v, timer_of(*v));
      } else {
        renew(entry);
      }
    }
    next_ = std::min(timers_.first(), forgets_.first());
  }

  Timestamp forget_at(std::uint32_t key) const { return vehicles_[key]->last_arrival + rules_.forget; }

  /// Whether a timer says what its vehicle says.
  bool is_exact(const Timers::Entry& entry) const {
    Vehicle* v = vehicles_[entry.key];
    return v != nullptr && v->timer == entry.due.instant && timer_of(*v) == entry.due;
  }

  /// Takes out the first timer, which is not exact, and sets the right one if it was the vehicle's live one.
  void renew(const Timers::Entry entry) {
    timers_.pop();
    Vehicle* v = vehicles_[entry.key];
    if (v == nullptr || v->timer != entry.due.instant) return;
    v->timer = end_of_time;
    set(*v, timer_of(*v));
  }

  void act(Vehicle*& v, const Due& due) {
    if (due.tick != no_time) return close(*v);
    if (v->sessions != 0) return end_session(v);
    memory_.free(v);
    v = nullptr;
    --live_;
  }

  /// Closes the vehicle's next tick: one pass over its samples.
  void close(Vehicle& v) {
    const Timestamp tick = v.tick, closed = v.closed;
    tell_start(v);
    rows.begin(v.key, tick, now_);
    v.closed = tick;
    v.tick = tick + rules_.every;
    v.known = v.behind = 0;
    for (std::size_t slot = 1; slot < memory_.slots(); ++slot) {
      const std::size_t size = Memory::series(v, slot).size;
      std::size_t passed = 0;
      while (passed < size && memory_.time(v, slot, passed) <= tick) ++passed;
      if (is_counted(slot)) {
        const bool after = passed < size && memory_.time(v, slot, passed) <= v.now.last;
        rows.before(slot - 1, passed > 0 ? memory_.entry(v, slot, passed - 1) : nullptr);
        rows.after(slot - 1, after ? memory_.entry(v, slot, passed) : nullptr);
        if (size != 0) count_field(v, slot);
      }
      if (passed == 0) continue;
      v.held -= static_cast<std::uint32_t>(passed - (memory_.time(v, slot, 0) <= closed ? 1 : 0));
      memory_.drop_front(v, slot, passed - 1);
    }
    drop_reach(v, tick);
  }

  void drop_reach(Vehicle& v, Timestamp until) {
    std::size_t n = 0;
    while (n < Memory::series(v, Memory::reach).size && memory_.time(v, Memory::reach, n) <= until) ++n;
    memory_.drop_front(v, Memory::reach, n);
  }

  void tell_start(Vehicle& v) {
    if (v.now.started) return;
    v.now.started = true;
    events.add(v.key, "start", v.now.first_on ? "on" : "sample", v.now.first, now_);
  }

  /// The earliest session, whose ticks are all closed, is over.
  void end_session(Vehicle*& v) {
    if (v->now.real) {
      tell_start(*v);
      const char* reason = v->now.ended == Session::Ended::off   ? "off"
                           : v->now.ended == Session::Ended::gap ? "timeout"
                                                                 : "lost";
      events.add(v->key, "end", reason, v->now.last, now_);
    }
    v->over = std::max(v->over, v->now.last);
    for (std::size_t slot = 1; slot < memory_.slots(); ++slot) {
      const std::size_t over = upper_bound(*v, slot, v->over);
      const std::size_t closed = upper_bound(*v, slot, v->closed);
      v->held -= static_cast<std::uint32_t>(over - std::min(over, closed));
      memory_.drop_front(*v, slot, over);
    }
    drop_reach(*v, v->over);
    auto& sessions = unpack(*v);
    sessions.erase(sessions.begin());
    pack(*v, sessions);
    count_fields(*v);
    memory_.shrink(v);
  }

  bool load_vehicle(StateReader& state, std::uint32_t key, const std::vector<Memory::Stored>& stored);

  static constexpr std::size_t none = SIZE_MAX;
  static constexpr std::uint32_t no_key = UINT32_MAX;

  const Rules& rules_;
  const Slots& slots_;
  std::vector<FieldKind> kinds_;  ///< by slot, from 1 on
  Memory memory_;
  std::vector<Vehicle*> vehicles_;  ///< by key id
  std::size_t live_ = 0;
  Timers timers_;   ///< of ticks and sessions: a vehicle's live entry is never later than it is due
  Timers forgets_;  ///< one per vehicle, never later than it is forgotten
  Timestamp next_ = end_of_time;
  Timestamp now_ = no_time;
  Timestamp interval_ = 0;
  std::uint32_t untimed_ = no_key;  ///< vehicle whose timer is still to be set
  bool untimed_usual_ = true;
  std::vector<Session> scratch_;
};

void Join::save(StateWriter& state) const {
  state.put(static_cast<std::uint16_t>(kinds_.size()));
  for (std::size_t slot = 1; slot < memory_.slots(); ++slot) {
    state.put_text(slots_.name(slot, rules_));
    state.put(kinds_[slot - 1]);
  }
  state.put(now_);
  for (Vehicle* v : vehicles_) {
    if (v == nullptr) continue;
    state.put(v->key);
    state.put(v->last_arrival);
    for (const Timestamp time : {v->closed, v->over, v->next_reach}) state.put(time);
    state.put(v->sessions);
    for (std::size_t i = 0; i < v->sessions; ++i) {
      const Session& s = i == 0 ? v->now : (*v->later)[i - 1];
      for (const Timestamp time : {s.first, s.last, s.first_arrival, s.over_at}) state.put(time);
      state.put(s.ended);
      for (const bool flag : {s.real, s.started, s.first_on}) state.put(flag);
    }
    for (std::size_t slot = 0; slot < memory_.slots(); ++slot) {
      state.put(Memory::series(*v, slot).size);
      for (std::size_t i = 0; i < Memory::series(*v, slot).size; ++i)
        memory_.save(state, slot, memory_.entry(*v, slot, i));
    }
  }
  state.put(no_key);
}

bool Join::load(StateReader& state, std::uint32_t keys) {
  // The columns of the sinks may have changed since: fields that are no longer wanted are read and left.
  std::vector<Memory::Stored> stored{{Memory::reach, FieldKind::number}};
  for (auto n = state.get<std::uint16_t>(); n > 0 && state.ok(); --n) {
    const std::uint16_t slot = slots_.of(state.get_text(), rules_);
    const auto kind = state.get<FieldKind>();
    if (kind > FieldKind::text) return false;
    stored.push_back({slot != Slots::none && kinds_[slot - 1u] == kind ? slot : Memory::nowhere, kind});
  }
  now_ = state.get<Timestamp>();
  while (state.ok()) {
    const auto key = state.get<std::uint32_t>();
    if (key == no_key) break;
    if (key >= keys) return false;
    if (!load_vehicle(state, key, stored)) return false;
  }
  refresh();
  return state.ok();
}

bool Join::load_vehicle(StateReader& state, std::uint32_t key, const std::vector<Memory::Stored>& stored) {
  expect(key + 1);
  if (vehicles_[key] != nullptr) return false;
  add(key, state.get<Timestamp>());
  Vehicle*& v = vehicles_[key];
  for (Timestamp* time : {&v->closed, &v->over, &v->next_reach}) *time = state.get<Timestamp>();
  const auto count = state.get<std::uint16_t>();
  std::vector<Session> sessions;
  for (std::size_t i = 0; i < count && state.ok(); ++i) {
    Session& s = sessions.emplace_back();
    for (Timestamp* time : {&s.first, &s.last, &s.first_arrival, &s.over_at}) *time = state.get<Timestamp>();
    s.ended = state.get<Session::Ended>();
    for (bool* flag : {&s.real, &s.started, &s.first_on}) *flag = state.get<std::uint8_t>() != 0;
  }
  pack(*v, sessions);
  for (const auto& slot : stored) {
    const auto size = state.get<std::uint16_t>();
    for (std::size_t i = 0; i < size && state.ok(); ++i) memory_.load(state, v, slot);
  }
  for (std::size_t slot = 1; slot < memory_.slots(); ++slot) {
    v->held += static_cast<std::uint32_t>(Memory::series(*v, slot).size - upper_bound(*v, slot, v->closed));
  }
  count_fields(*v);
  if (has_tick(*v) && Memory::series(*v, Memory::reach).size == 0) return false;
  set(*v, timer_of(*v));
  return state.ok();
}

class WindowJoin final : public Transform {
 public:
  WindowJoin(const Settings& settings, Context& context)
      : context_{context},
        rules_{settings, context},
        slots_{settings, rules_, context},
        join_{rules_, slots_, *context.keys()} {}

  Result<Schemas> settle(const Schemas& inputs) override {
    if (inputs.at(0)->shape != Shape::samples) return fail(Error::Kind::invalid, "window-join takes samples", "from");
    if (slots_.fields.empty()) {
      return fail(
          Error::Kind::invalid,
          "no sink behind this window-join names columns; give the sink \"columns\", or list the \"fields\" here",
          "fields");
    }
    const auto number = [](const FieldDemand& field) { return field.kind == FieldKind::number; };
    if (slots_.session != Slots::none && slots_.session <= slots_.fields.size() &&
        !number(slots_.fields[slots_.session - 1u])) {
      return fail(Error::Kind::invalid,
                  "the session's field must be a number, but the columns want it as something else", "session.field");
    }
    brackets_ = brackets::schema(slots_.fields);
    events_ = EventRows::schema();
    return Schemas{brackets_, inputs[0], events_};
  }

  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    std::vector<std::uint8_t> late;
    if (in->rows != 0) {
      const SampleRows rows{*in};
      if (rows.keys.dictionary != context_.keys())
        return fail(Error::Kind::internal, "keys of another lane reached window-join");
      find_slots(rows.fields);
      join_.expect(context_.keys()->size());
      find_runs(rows);
      for (std::size_t run = 0; run + 1 < runs_.size(); ++run) {
        prefetch(rows.keys.ids, run);
        join_.reach(rows.arrival[runs_[run]]);
        for (std::size_t row = runs_[run]; row < runs_[run + 1];) {
          row = join_.take_usual(rows, slot_of_.data(), row, runs_[run + 1]);
          if (row < runs_[run + 1]) take(*in, rows, row++, late, out);
        }
      }
    }
    join_.reach(in->reached);
    join_.refresh();
    emit(*in, late, out);
    return {};
  }

  std::optional<Timestamp> due() const override { return join_.due(); }
  void save(StateWriter& state) const override { join_.save(state); }
  Result<void> load(StateReader& state) override {
    if (join_.load(state, context_.keys()->size())) return {};
    return fail(Error::Kind::changed, "the state of window-join is damaged");
  }
  Size size() const override { return {join_.vehicles(), join_.bytes()}; }

 private:
  /// Cuts the batch where the key or the arrival changes: runs_ holds the beginnings, and the end.
  void find_runs(const SampleRows& rows) {
    const std::size_t size = rows.size();
    runs_.resize(size + 1);
    std::size_t n = 1;
    runs_[0] = 0;
    for (std::size_t row = 1; row < size; ++row) {
      runs_[n] =
          static_cast<std::uint32_t>(row);  // written always, counted if it begins a run: no branch to mispredict
      n += rows.keys.ids[row] != rows.keys.ids[row - 1] || rows.arrival[row] != rows.arrival[row - 1];
    }
    runs_[n] = static_cast<std::uint32_t>(size);
    runs_.resize(n + 1);
    step_ = std::max<std::size_t>(2, 24 * n / size);
  }

  void prefetch(const std::vector<std::uint32_t>& keys, std::size_t run) const {
    if (run + 3 * step_ + 1 >= runs_.size()) return;
    join_.prefetch_place(keys[runs_[run + 3 * step_]]);
    join_.prefetch_head(keys[runs_[run + 2 * step_]]);
    join_.prefetch_rows(keys[runs_[run + step_]]);
  }

  void take(const Batch& in, const SampleRows& rows, std::size_t row, std::vector<std::uint8_t>& late, Output& out) {
    const std::uint16_t slot = slot_of_[rows.fields.ids[row]];
    if (slot == Slots::none) {
      ++join_.counts.other_fields;
      return;
    }
    if (!rows.timed(row)) return out.refuse(in, row, "no event time");
    Value value;
    if (const char* problem = rows.read(row, join_.kind(slot), value); problem != nullptr)
      return out.refuse(in, row, problem);
    const Timestamp time = rows.time(row);
    const Timestamp arrival = rows.arrival[row];
    if (time > arrival + rules_.max_ahead)
      return out.refuse(in, row, "event time is ahead of arrival by more than max_ahead");
    if (time < arrival - rules_.max_behind)
      return out.refuse(in, row, "event time is behind arrival by more than max_behind");
    switch (join_.take(rows.keys.ids[row], slot, time, value)) {
      case Join::Taken::kept:
        break;
      case Join::Taken::late:
        if (late.empty()) late.resize(in.rows);
        late[row] = 1;
        ++join_.counts.late;
        break;
      case Join::Taken::full:
        out.refuse(in, row, "too many pending samples");
        break;
    }
  }

  /// Finds the slots of the batch's field ids, which need not come from the lane's table.
  void find_slots(const Ids& fields) {
    if (fields.dictionary != known_) slot_of_.clear();
    known_ = fields.dictionary;
    while (slot_of_.size() < known_->size())
      slot_of_.push_back(slots_.of(known_->at(static_cast<std::uint32_t>(slot_of_.size())), rules_));
  }

  void emit(const Batch& in, const std::vector<std::uint8_t>& late, Output& out) {
    const Counts counts = std::exchange(join_.counts, {});
    out.count(context_.counter("late"), counts.late);
    out.count(context_.counter("off_stale"), counts.off_stale);
    out.count(context_.counter("other_fields"), counts.other_fields);
    out.count(context_.counter("forced"), counts.forced);
    out.emit(join_.rows.take(brackets_, context_.keys(), in.reached), 0);
    if (!late.empty()) out.emit(in.select(late), 1);
    if (!join_.events.empty()) out.emit(join_.events.take(events_, context_.keys(), in.reached), 2);
  }

  Context& context_;
  Rules rules_;
  Slots slots_;
  Join join_;
  SchemaPtr brackets_, events_;
  std::shared_ptr<const Dictionary> known_;
  std::vector<std::uint16_t> slot_of_;  ///< by id in known_
  std::vector<std::uint32_t> runs_;
  std::size_t step_ = 2;  ///< runs to look ahead, three times
};

std::vector<Error> problems(const Settings& settings) {
  std::vector<Error> out;
  const auto invalid = [&](std::string why, std::string setting) {
    out.push_back({Error::Kind::invalid, std::move(why), std::move(setting)});
  };
  if (settings.has("session") && settings.object("session").number("on") == settings.object("session").number("off")) {
    invalid("\"on\" and \"off\" are the same value, so a session could never be told to start", "session.off");
  }
  if (settings.has("fields")) {
    auto fields = settings.list("fields");
    std::ranges::sort(fields);
    const auto twice = std::ranges::adjacent_find(fields);
    if (twice != fields.end()) invalid("\"" + *twice + "\" is listed twice", "fields");
    if (fields.empty())
      invalid("list at least one field, or leave \"fields\" out to take those that the sinks name", "fields");
  }
  return out;
}

Spec spec() {
  constexpr auto hour = static_cast<double>(60 * minute);
  return Spec::transform(
             "joins the samples of a vehicle to one bracket per tick: what each field said before and after it")
      .field("every", kind::duration(), "distance of ticks, which are multiples of it since 1970-01-01T00:00:00Z")
      .between(10.0 * millisecond, hour)
      .field("wait", kind::duration(),
             "arrival time that a tick waits for slower fields, counted from the tick or from the vehicle's first "
             "sample beyond it",
             "2s")
      .between(0, hour)
      .field("disorder", kind::duration(),
             "how far the samples of one field may be out of order; fields wait that much longer for each other", "0s")
      .between(0, hour)
      .optional(
          "session",
          kind::object({{"field", kind::text(), "field that says that a vehicle is switched on or off"},
                        {"on", kind::number(), "value that means on", false, "1"},
                        {"off", kind::number(), "value that means off: a session ends there", false, "0"},
                        {"timeout", kind::duration(), "a gap between event times longer than this ends a session too",
                         false, "30s", 1.0 * millisecond, 24 * hour}}),
          "what starts and ends a vehicle's sessions besides gaps of 30s; rows are written only within one")
      .optional("fields", kind::texts(),
                "fields that take part; default: those that the columns of the sinks behind name")
      .field("max_ahead", kind::duration(),
             "samples with an event time further ahead of their arrival go to the dead letters", "5s")
      .between(0, 24 * hour)
      .field("max_behind", kind::duration(),
             "samples with an event time further behind their arrival go to the dead letters", "1d")
      .between(1.0 * millisecond, 366 * 24 * hour)
      .field("max_pending", kind::integer(),
             "samples of one vehicle that may wait; beyond, its oldest tick closes at once", "65536")
      .between(2, 16'777'216)
      .port("late", "samples at or before the vehicle's last closed tick, or of no session that is not over")
      .port("sessions",
            "starts and ends of sessions: key, event (start, end), reason (on, sample; off, timeout, lost), time")
      .counter("late", "samples that came too late for a tick; those inside an open session still serve later ones")
      .counter("off_stale", "offs from before the open session, or while none was open: without effect")
      .counter("other_fields", "samples of fields that no column names")
      .counter("forced", "ticks closed early because of max_pending")
      .accepts({Shape::samples})
      .keyed_state()
      .needs_whole_keys()
      .state([](const Settings& settings) {
        return "≤ 64 B per (vehicle, field), and 32 B per (vehicle, field) and tick that waits; at most " +
               std::to_string(settings.integer("max_pending")) + " waiting samples per vehicle";
      })
      .details(
          "Each vehicle's ticks close by its own progress: when every field of its session has passed the tick, or "
          "`wait` "
          "after the later of the tick and the arrival of its first sample beyond. A vehicle that comes out of a "
          "tunnel "
          "with minutes of buffered samples is not late. Sessions are runs of samples without a gap or an off; ticks "
          "from a session's first to its last sample get a row, no others.")
      .details(
          "Of a field, only the first and the last sample between two ticks are kept, as no other can be in a bracket; "
          "so "
          "a sensor's rate costs no memory. Numbers that are not finite go to the dead letters.")
      .example(
          R"({ "id": "rows", "transform": "window-join", "from": "signals", "every": "1s", "fields": ["speed", "charge"],
  "session": { "field": "power", "on": 1, "off": 0, "timeout": "30s" } })")
      .check(problems);
}

}  // namespace

WEIR_OPERATOR(transforms, window_join, WindowJoin, spec())
