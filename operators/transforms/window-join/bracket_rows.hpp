/// What window-join sends: the brackets of a batch, and the starts and ends of sessions.
#pragma once

#include <vector>

#include <weir/shapes.hpp>

#include "transforms/window-join/held_samples.hpp"

namespace weir::window_join {

/// Brackets, written column by column.
class BracketRows {
 public:
  BracketRows(std::vector<ProjectedField> fields, const HeldSamples& samples);

  /// Begins a row; before() and after() of every field follow, with an entry or null.
  void begin(std::uint32_t key, Timestamp tick, Timestamp arrival, std::uint32_t message) {
    keys_.push_back(key);
    ticks_.push_back(tick);
    arrivals_.push_back(arrival);
    messages_.push_back(message);
    if (keys_.size() > room_) widen();
  }
  void before(std::size_t field, const Word* entry) { put(sides_[2 * field], fields_[field].kind, entry); }
  void after(std::size_t field, const Word* entry) { put(sides_[2 * field + 1], fields_[field].kind, entry); }

  std::size_t size() const { return keys_.size(); }
  /// The rows so far as a batch, which begins the next.
  BatchPtr take(const SchemaPtr& schema, const std::shared_ptr<const Dictionary>& keys, Timestamp reached);

 private:
  /// As long as there is room, so that an entry is written without asking.
  struct Side {
    std::vector<Timestamp> times;
    std::vector<double> x, y, z;
    Texts texts;
    Validity there, high;
  };

  void put(Side& side, FieldKind kind, const Word* entry) {
    const std::size_t row = keys_.size() - 1;
    if (entry == nullptr || kind != FieldKind::number || !side.there.all()) return put_any(side, kind, entry);
    side.times[row] = std::bit_cast<Timestamp>(entry[0]);
    side.x[row] = std::bit_cast<double>(entry[1]);
  }
  void put_any(Side& side, FieldKind kind, const Word* entry);
  void finish(Side& side, FieldKind kind, Batch& out, const std::array<std::size_t, 4>& at) const;
  void widen();
  void clear();

  std::vector<ProjectedField> fields_;
  const HeldSamples& samples_;
  std::size_t room_ = 0;      ///< rows that the sides are long
  std::size_t expected_ = 0;  ///< rows of the next batch
  std::vector<std::uint32_t> keys_, messages_;
  std::vector<Timestamp> ticks_, arrivals_;
  std::vector<Side> sides_;  ///< before and after of each field
};

/// Starts and ends of sessions.
class EventRows {
 public:
  static SchemaPtr schema();

  struct Event {
    std::uint32_t key;
    std::string_view name, reason;
    Timestamp time, arrival;
    std::uint32_t message;
  };
  void add(const Event& event);
  std::size_t size() const { return keys_.size(); }
  BatchPtr take(const SchemaPtr& schema, const std::shared_ptr<const Dictionary>& keys, Timestamp reached);

 private:
  std::vector<std::uint32_t> keys_, messages_;
  Texts events_, reasons_;
  std::vector<Timestamp> times_, arrivals_;
};

}  // namespace weir::window_join
