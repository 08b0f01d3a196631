/// What an operator needs around it in a test: a context, an output that keeps everything, and a way to write samples.
#pragma once

#include <weir/operator.hpp>

#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <vector>

namespace weir::fakes {

/// A Context whose parts a test sets as it likes. Counters are numbered as they are asked for.
class FakeContext final : public Context {
 public:
  explicit FakeContext(std::vector<ProjectedField> projection = {}, const Clock& clock = system_clock())
      : projection_of_sinks{std::move(projection)}, clock_{clock} {}

  std::string_view pipeline() const override { return "test"; }
  std::string_view node() const override { return "node"; }
  Partition partition() const override { return 0; }
  std::uint32_t key_limit() const override { return keys_->limit(); }
  Duration forget() const override { return forget_after; }
  const std::shared_ptr<Dictionary>& keys() const override { return keys_; }
  const std::shared_ptr<Dictionary>& fields() const override { return fields_; }
  const std::vector<ProjectedField>& projection() const override { return projection_of_sinks; }
  const Clock& clock() const override { return clock_; }
  const Codec* codec(std::string_view) const override { return the_codec; }
  std::size_t counter(std::string_view name) const override {
    return numbers_.try_emplace(std::string{name}, numbers_.size()).first->second;
  }
  void count(std::size_t counter, std::uint64_t n) override { counts_[counter] += n; }
  void warn(std::string_view message) override { warnings.emplace_back(message); }
  void tell(std::string_view message) override { told.emplace_back(message); }

  /// What was added to a counter so far.
  std::uint64_t counted(std::string_view name) const {
    const auto it = counts_.find(counter(name));
    return it == counts_.end() ? 0 : it->second;
  }

  std::vector<ProjectedField> projection_of_sinks;
  Duration forget_after = 24 * 60 * minute;
  const Codec* the_codec = nullptr;
  std::vector<std::string> warnings, told;

 private:
  const Clock& clock_;
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>(1u << 20);
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>();
  mutable std::map<std::string, std::size_t> numbers_;
  std::map<std::size_t, std::uint64_t> counts_;
};

/// Keeps what process() sends; counts go to the context.
class FakeOutput final : public Output {
 public:
  explicit FakeOutput(FakeContext& context) : context_{context} {}

  void emit(BatchPtr batch, Port port) override { emitted.emplace_back(port, std::move(batch)); }
  void refuse(const Batch&, std::size_t row, const Reason& reason) override {
    refused.emplace_back(row, reason.text());
  }
  void count(std::size_t counter, std::uint64_t n) override { context_.count(counter, n); }

  std::vector<std::pair<Port, BatchPtr>> emitted;
  std::vector<std::pair<std::size_t, std::string>> refused;

 private:
  FakeContext& context_;
};

/// Writes a batch of samples row by row, with keys and fields of a context's tables.
class SampleBatch {
 public:
  explicit SampleBatch(FakeContext& context) : context_{context} {}

  SampleBatch& number(std::string_view key, std::string_view field, Timestamp time, double x, Timestamp arrival) {
    return add({.key = key, .field = field, .time = time, .x = x}, arrival);
  }
  SampleBatch& add(const Sample& sample, Timestamp arrival) {
    const bool point = sample.kind == Sample::Kind::point;
    const bool text = sample.kind == Sample::Kind::text;
    keys_.push_back(*context_.keys()->intern(sample.key));
    fields_.push_back(*context_.fields()->intern(sample.field));
    times_.push_back(sample.time.value_or(arrival));
    x_valid_.push(!text, x_.size());
    y_valid_.push(point, y_.size());
    z_valid_.push(point && sample.z == sample.z, z_.size());
    text_valid_.push(text, texts_.size());
    x_.push_back(sample.x);
    y_.push_back(sample.y);
    z_.push_back(sample.z);
    texts_.push(sample.text);
    arrival_.push_back(arrival);
    points_ |= point;
    any_text_ |= text;
    return *this;
  }
  std::size_t rows() const { return arrival_.size(); }

  /// The batch, each row of a message of its own; `reached` is at least the last row's arrival. The object is empty
  /// again afterwards.
  BatchPtr take(Timestamp reached = no_time) {
    auto out = std::make_shared<Batch>();
    out->schema = samples::schema();
    out->rows = arrival_.size();
    out->reached = arrival_.empty() ? reached : std::max(reached, arrival_.back());
    out->columns.resize(out->schema->columns.size());
    out->columns[samples::key] = Column::dictionary({std::move(keys_), context_.keys()});
    out->columns[samples::field] = Column::dictionary({std::move(fields_), context_.fields()});
    out->columns[samples::time] = Column::timestamp(std::move(times_));
    out->columns[samples::x] = Column::float64(std::move(x_), std::move(x_valid_));
    if (points_) out->columns[samples::y] = Column::float64(std::move(y_), std::move(y_valid_));
    if (points_) out->columns[samples::z] = Column::float64(std::move(z_), std::move(z_valid_));
    if (any_text_) out->columns[samples::text] = Column::string(std::move(texts_), std::move(text_valid_));
    out->arrival = std::move(arrival_);
    out->message_of_row.resize(out->rows);
    std::iota(out->message_of_row.begin(), out->message_of_row.end(), 0u);
    *this = SampleBatch{context_};
    return out;
  }

  SampleBatch& operator=(SampleBatch&& other) noexcept {
    keys_ = std::move(other.keys_), fields_ = std::move(other.fields_), times_ = std::move(other.times_);
    arrival_ = std::move(other.arrival_), x_ = std::move(other.x_), y_ = std::move(other.y_), z_ = std::move(other.z_);
    texts_ = std::move(other.texts_), x_valid_ = std::move(other.x_valid_), y_valid_ = std::move(other.y_valid_);
    z_valid_ = std::move(other.z_valid_), text_valid_ = std::move(other.text_valid_);
    points_ = other.points_, any_text_ = other.any_text_;
    return *this;
  }

 private:
  FakeContext& context_;
  std::vector<std::uint32_t> keys_, fields_;
  std::vector<Timestamp> times_, arrival_;
  std::vector<double> x_, y_, z_;
  Texts texts_;
  Validity x_valid_, y_valid_, z_valid_, text_valid_;
  bool points_ = false, any_text_ = false;
};

/// The rows [begin, end) of a batch; the last slice of a batch has its reach.
inline BatchPtr slice(const Batch& batch, std::size_t begin, std::size_t end) {
  auto out = std::make_shared<Batch>();
  out->schema = batch.schema;
  out->rows = end - begin;
  for (const Column& column : batch.columns)
    out->columns.push_back(column.absent() ? Column{} : column.slice(begin, end));
  out->arrival.assign(batch.arrival.begin() + static_cast<std::ptrdiff_t>(begin),
                      batch.arrival.begin() + static_cast<std::ptrdiff_t>(end));
  out->message_of_row.assign(batch.message_of_row.begin() + static_cast<std::ptrdiff_t>(begin),
                             batch.message_of_row.begin() + static_cast<std::ptrdiff_t>(end));
  out->reached = end == batch.rows ? batch.reached : batch.arrival[end - 1];
  out->origin = batch.origin;
  return out;
}

}  // namespace weir::fakes
