#include "core/runtime/decoder.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <weir/dead_letter.hpp>
#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/shapes.hpp>
#include <weir/spelling.hpp>
#include <weir/utf8.hpp>

namespace weir {
namespace {

constexpr std::size_t bytes_of_sample = 20;  // in a large frame; for the first guess of how many rows there will be

/// As ==, without a call for the short names that come again and again.
bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a.size() > 16) return a == b;
  const auto word = [](const char* from) {
    std::uint64_t out = 0;
    std::memcpy(&out, from, sizeof out);
    return out;
  };
  if (a.size() >= 8) {
    const std::size_t tail = a.size() - 8;
    return word(a.data()) == word(b.data()) && word(a.data() + tail) == word(b.data() + tail);
  }
  std::size_t i = 0;
  while (i < a.size() && a[i] == b[i]) ++i;
  return i == a.size();
}

/// Interns names, remembering the last one: a frame repeats its key, a stream its fields. A new name comes into the
/// table when its message is taken; until then only its id is known.
class Interner {
 public:
  Interner(Dictionary& table, std::string_view what, std::uint32_t limit)
      : table_{table}, what_{what}, limit_{std::min(limit, table.limit())} {}

  /// The id, or nothing and a reason.
  std::optional<std::uint32_t> operator()(std::string_view name, Reason& reason) {
    if (last_ && same(name, last_name_)) return last_;
    if (const auto id = table_.find(name)) {
      last_name_ = table_.at(*id);
      return last_ = id;
    }
    full_ = false;
    reason = problem(name);
    return reason.empty() ? add(name, reason) : std::nullopt;
  }

  /// Why this can't be a name at all; empty if it can.
  Reason problem(std::string_view name) const {
    const std::string what{what_};
    if (name.empty()) return Reason{"no_" + what};
    if (name.size() > Decoder::longest_key)
      return {what + "_too_long", weir::format("{} bytes; at most {}", name.size(), Decoder::longest_key)};
    if (!is_storable_utf8(name)) return Reason{what + "_not_utf8"};
    return {};
  }

  /// Whether the last name that was refused only lacks a place.
  bool full() const { return full_; }

  /// The message is taken, with all its names.
  void keep() {
    if (new_names_.empty()) return;
    for (const std::string_view name : new_names_) table_.intern(name);
    drop();
  }
  /// It is not.
  void drop() {
    if (new_names_.empty()) return;
    new_names_.clear();
    new_ids_.clear();
    last_.reset();
  }

 private:
  std::optional<std::uint32_t> add(std::string_view name, Reason& reason) {
    const auto next = static_cast<std::uint32_t>(table_.size() + new_names_.size());
    auto known = new_ids_.find(std::string{name});
    if (known == new_ids_.end()) {
      if (next >= limit_) {
        full_ = true;
        reason = {weir::format("too_many_{}s", what_), weir::format("the limit is {}", limit_)};
        return {};
      }
      known = new_ids_.emplace(name, next).first;
      new_names_.push_back(known->first);
    }
    last_name_ = known->first;
    return last_ = known->second;
  }

  Dictionary& table_;
  std::string_view what_;
  std::uint32_t limit_;
  bool full_ = false;
  std::optional<std::uint32_t> last_;
  std::string_view last_name_;
  std::unordered_map<std::string, std::uint32_t> new_ids_;  // of the message at hand
  std::vector<std::string_view> new_names_;                 // the same in the order of their ids
};

struct Lane {
  Partition partition = 0;
  std::uint32_t partitions = 1;
};

/// Columns under construction. A message that fails half-way leaves nothing behind.
class SampleColumns final : public SampleSink {
 public:
  SampleColumns(Dictionary& keys, Dictionary& fields, Lane lane, std::size_t expected)
      : lane_{lane}, key_of_{keys, "key", UINT32_MAX}, field_of_{fields, "field", Decoder::most_met_fields} {
    for (auto* ids : {&keys_, &fields_, &message_}) ids->reserve(expected);
    for (auto* times : {&times_, &arrival_}) times->reserve(expected);
    x_.reserve(expected);
  }

  void begin(const Message& message, std::uint32_t index, Timestamp arrival) {
    message_now_ = &message;
    index_ = index;
    arrival_now_ = arrival;
    start_ = times_.size();
    without_time_now_ = 0;
    reason_ = {};
    refused_now_.clear();
  }

  void add(const Sample& sample) override {
    if (!reason_.empty()) return;
    // The source knows the subject's key only.
    if (lane_.partitions > 1 && !sample.key.empty() && partition_of(sample.key, lane_.partitions) != lane_.partition) {
      reason_ = "wrong_partition";
      return;
    }
    if (!sample.key.empty() && !message_now_->key.empty() && sample.key != message_now_->key) {
      // A client that may publish for one vehicle must not be able to write as another.
      reason_ = key_of_.problem(sample.key);
      if (reason_.empty())
        reason_ = {"key_differs_from_subject", weir::format("{} in the payload", quoted(sample.key))};
      return;
    }
    const auto key = key_of_(sample.key.empty() ? message_now_->key : sample.key, reason_);
    const auto field =
        key ? field_of_(sample.field.empty() ? message_now_->field : sample.field, reason_) : std::nullopt;
    if (key && !field && field_of_.full()) refuse(std::exchange(reason_, {}));
    if (!field) return;
    const bool number = sample.kind != Sample::Kind::text;
    if (sample.kind == Sample::Kind::point) {
      // Receivers say 91 and 181 when they have no fix; a way from there to anywhere would look like a place.
      if (!(std::abs(sample.x) <= 90 && std::abs(sample.y) <= 180))
        return refuse({"not_on_earth", weir::format("{} {}/{}", quoted(sample.field), sample.x, sample.y)});
      has_points_ = true;
    }
    if (!number) {
      if (!is_storable_utf8(sample.text)) {
        reason_ = sample.text.contains('\0') ? "text_has_nul" : "text_not_utf8";
        return;
      }
      has_texts_ = true;
    }
    if (has_points_) add_point(sample);
    if (has_texts_) add_text(sample);
    if (has_texts_) x_valid_.push(number, x_.size());
    x_.push_back(number ? sample.x : 0.0);
    keys_.push_back(*key);
    fields_.push_back(*field);
    times_.push_back(sample.time.value_or(arrival_now_));
    without_time_now_ += sample.time ? 0 : 1;
  }

  void refuse(Reason reason) override {
    const auto known =
        std::ranges::find(refused_now_, reason.code, [](const Refused& one) -> const auto& { return one.why.code; });
    if (known == refused_now_.end())
      refused_now_.push_back({std::move(reason), 1});
    else
      ++known->samples;
  }

  /// After the last sample of a message, whether it can be taken or not.
  void end() {
    arrival_.resize(times_.size(), arrival_now_);
    message_.resize(times_.size(), index_);
  }

  /// Samples of the message so far.
  std::size_t added() const { return times_.size() - start_; }

  /// Why the message can't be taken; empty if it can.
  Reason& reason() { return reason_; }

  /// Why samples of the message can't be taken, though the message can: one for each code.
  std::vector<Reason> why_refused() const {
    std::vector<Reason> out;
    for (const auto& [first, samples] : refused_now_) {
      Reason& why = out.emplace_back(first);
      if (samples > 1) why.add_detail(weir::format("{} samples of its message", samples));
      if (added() > 0) why.add_detail("the others of its message are taken");
    }
    return out;
  }

  /// The message is taken.
  void keep() {
    key_of_.keep();
    field_of_.keep();
    untimed_samples_ += without_time_now_;
  }
  /// Samples of the messages taken whose payload told no time.
  std::size_t untimed_samples() const { return untimed_samples_; }
  /// Of the message at hand alone.
  bool untimed() const { return without_time_now_ != 0; }

  /// Drops what the message has added: its samples when the batch is finished, its names at once.
  void roll_back() {
    key_of_.drop();
    field_of_.drop();
    kept_.resize(start_, 1);
    kept_.resize(times_.size(), 0);
  }

  std::shared_ptr<Batch> finish(std::shared_ptr<Dictionary> keys, std::shared_ptr<Dictionary> fields) {
    auto batch = std::make_shared<Batch>();
    batch->schema = samples::schema();
    batch->rows = times_.size();
    batch->columns.resize(7);
    using namespace samples;
    const std::size_t rows = batch->rows;
    batch->columns[key] = Column::dictionary({std::move(keys_), std::move(keys)});
    batch->columns[field] = Column::dictionary({std::move(fields_), std::move(fields)});
    batch->columns[time] = Column::timestamp(std::move(times_));
    batch->columns[x] = Column::float64(std::move(x_), std::move(x_valid_));
    if (has_points_) {
      pad_points(rows);
      batch->columns[y] = Column::float64(std::move(y_), std::move(y_valid_));
      batch->columns[z] = Column::float64(std::move(z_), std::move(z_valid_));
    }
    if (has_texts_) {
      pad_texts(rows);
      batch->columns[text] = Column::string(std::move(texts_), std::move(text_valid_));
    }
    batch->arrival = std::move(arrival_);
    batch->message_of_row = std::move(message_);
    return batch;
  }

  bool any_rolled_back() const { return !kept_.empty(); }
  std::vector<std::uint8_t>& kept() { return kept_; }

 private:
  void pad_points(std::size_t rows) {
    while (y_.size() < rows) {
      y_valid_.push(false, y_.size());
      z_valid_.push(false, z_.size());
      y_.push_back(0);
      z_.push_back(0);
    }
  }
  void pad_texts(std::size_t rows) {
    while (texts_.size() < rows) {
      text_valid_.push(false, texts_.size());
      texts_.push({});
    }
  }
  void add_point(const Sample& sample) {
    pad_points(x_.size());
    const bool point = sample.kind == Sample::Kind::point;
    const bool altitude = point && !std::isnan(sample.z);
    y_valid_.push(point, y_.size());
    z_valid_.push(altitude, z_.size());
    y_.push_back(point ? sample.y : 0);
    z_.push_back(altitude ? sample.z : 0);
  }
  void add_text(const Sample& sample) {
    pad_texts(x_.size());
    const bool text = sample.kind == Sample::Kind::text;
    text_valid_.push(text, texts_.size());
    texts_.push(text ? sample.text : std::string_view{});
  }

  Lane lane_;
  Interner key_of_, field_of_;
  std::vector<std::uint32_t> keys_, fields_, message_;
  std::vector<Timestamp> times_, arrival_;
  std::vector<double> x_, y_, z_;
  Validity x_valid_, y_valid_, z_valid_, text_valid_;
  Texts texts_;
  bool has_points_ = false, has_texts_ = false;
  const Message* message_now_ = nullptr;
  std::uint32_t index_ = 0;
  Timestamp arrival_now_ = no_time;
  std::size_t start_ = 0;
  std::size_t without_time_now_ = 0, untimed_samples_ = 0;
  Reason reason_;
  struct Refused {
    Reason why;  ///< of the first one
    std::size_t samples = 0;
  };
  std::vector<Refused> refused_now_;
  std::vector<std::uint8_t> kept_;
};

}  // namespace

Decoder::Decoder(const Codec& codec, std::string node, Partition partition, std::uint32_t partitions,
                 std::shared_ptr<Dictionary> keys, std::shared_ptr<Dictionary> fields)
    : codec_{codec},
      node_{std::move(node)},
      partition_{partition},
      partitions_{partitions},
      keys_{std::move(keys)},
      fields_{std::move(fields)} {}

void Decoder::tell(Telling& telling, const Message& message, std::vector<std::string>& notices) const {
  if (telling.tries == 0) return;
  --telling.tries;
  const std::string why = codec_.explain(message, telling.lack);
  if (why.empty()) return;
  telling.tries = 0;
  notices.push_back(
      weir::format("a payload of {} {}: {}; {}", quoted(message.subject), telling.says, why, telling.means));
}

Decoded Decoder::decode(std::shared_ptr<const Messages> messages) {
  Decoded out;
  const auto& items = messages->items;
  std::size_t bytes = 0;
  for (const Message& message : items) bytes += message.payload.size();
  SampleColumns columns{*keys_, *fields_, {partition_, partitions_}, std::max(items.size(), bytes / bytes_of_sample)};
  auto refuse = [&](const Message& message, Reason reason) {
    out.dead_letters.push_back({partition_, message.sequence, 0, arrival_, node_, std::move(reason),
                                std::string{message.subject}, std::string{message.payload}, std::string{message.key}});
  };
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    const Message& message = items[i];
    arrival_ = std::max(arrival_, message.arrival);
    if (message.marker) continue;
    ++out.messages;
    out.bytes += message.payload.size();
    if (!message.refused.empty()) {
      refuse(message, Reason::parse(message.refused));
      continue;
    }
    columns.begin(message, i, arrival_);
    auto decoded = codec_.decode(message, columns);
    columns.end();
    if (decoded && columns.reason().empty()) {
      columns.keep();
      const auto why = columns.why_refused();
      const bool empty = columns.added() == 0 && why.empty();
      for (const Reason& reason : why) refuse(message, reason);
      out.empty += empty ? 1 : 0;
      if (columns.untimed()) tell(untimed_, message, out.notices);
      if (empty) tell(empty_, message, out.notices);
      continue;
    }
    refuse(message, decoded ? std::move(columns.reason()) : std::move(decoded.error()));
    columns.roll_back();
  }
  const bool rolled_back = columns.any_rolled_back();
  out.untimed_samples = columns.untimed_samples();
  auto batch = columns.finish(keys_, fields_);
  batch->origin = {partition_, last_, items.back().sequence};
  last_ = items.back().sequence;
  batch->reached = arrival_;
  batch->messages = std::move(messages);
  if (rolled_back) {
    columns.kept().resize(batch->rows, 1);
    out.batch = BatchPtr{batch}->select(columns.kept());
  } else {
    out.batch = std::move(batch);
  }
  out.keys = keys_->size();
  out.fields = fields_->size();
  return out;
}

}  // namespace weir
