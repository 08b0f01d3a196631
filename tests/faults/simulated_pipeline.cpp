#include "faults/simulated_pipeline.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include <weir/codec.hpp>
#include <weir/format.hpp>
#include <weir/operator.hpp>
#include <weir/shapes.hpp>
#include <weir/transform.hpp>

namespace weir::faults {
namespace {

constexpr std::uint64_t invalid_every = 11, row_unless = 3;
constexpr Duration window_every = 10 * second, window_wait = 5 * second;

std::uint64_t next(std::uint64_t sum, std::uint64_t number) { return (sum + number) * 1'000'003 % 1'000'000'007; }

Timestamp arrival_of(Position n) { return static_cast<Timestamp>(n) * 3 * second; }

std::string row_of(std::uint64_t number, Position position, std::uint64_t sum) {
  return weir::format("{} at {}: {}", number, position, sum);
}

class NumberCodec final : public Codec {
 public:
  explicit NumberCodec(const Settings&) {}
  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    const auto number = std::stoull(std::string{message.payload});
    if (number % invalid_every == 0) return std::unexpected(Reason{"unlucky", std::to_string(number)});
    Sample sample;
    sample.x = static_cast<double>(number);
    out.add(sample);
    return {};
  }
  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override {
    return std::unexpected("not asked for");
  }
};

class Sum final : public Transform {
 public:
  explicit Sum(const Settings&) {}
  Result<Schemas> bind_schema(const Schemas& inputs) override { return Schemas{inputs[0]}; }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    if (in->rows == 0) return {};
    std::vector<double> sums(in->rows);
    std::vector<std::uint8_t> keep(in->rows);
    const auto all = in->columns[samples::x].float64s();
    const std::size_t end = std::min(in->rows, next_ + out.room());
    for (std::size_t row = next_; row < end; ++row) {
      const double x = all[row];
      const auto number = static_cast<std::uint64_t>(std::llround(x));
      sum_ = next(sum_, number);
      sums[row] = static_cast<double>(sum_);
      keep[row] = number % row_unless != 0;
    }
    next_ = end == in->rows ? 0 : end;
    auto batch = std::make_shared<Batch>(*in);
    batch->columns[samples::x] = Column::float64(std::move(sums));
    if (next_ != 0 && std::ranges::contains(keep, 1)) out.again();
    out.emit(batch->select(keep));
    return next_ == 0 || std::ranges::contains(keep, 1) ? Result<void>{} : process(0, in, out);
  }
  void save(StateWriter& out) const override { out.put(sum_); }
  Result<void> load(StateReader& in) override {
    sum_ = in.get<std::uint64_t>();
    return {};
  }

 private:
  std::uint64_t sum_ = 0;
  std::size_t next_ = 0;  // of the batch at hand
};

/// The end of the window that a message belongs to. Messages are up to six seconds older than they arrive.
Timestamp tick_of(std::uint64_t number, Timestamp arrival) {
  const Timestamp time = arrival - static_cast<Duration>(number % 7) * second;
  return (time / window_every + 1) * window_every;
}

/// Rows of a tick once arrival has reached `window_wait` after it.
class Window final : public Transform {
 public:
  explicit Window(const Settings&) {}
  Result<Schemas> bind_schema(const Schemas&) override { return Schemas{schema_}; }
  Result<void> process(Port, const BatchPtr& in, Output& out) override {
    std::vector<WindowRow> rows;
    std::vector<Timestamp> arrivals;
    // False: there is no room left, and more to do.
    const auto close = [&](Timestamp arrival) {
      while (!open_.empty() && open_.begin()->first + window_wait <= arrival) {
        if (rows.size() == out.room()) return false;
        rows.push_back({open_.begin()->first, open_.begin()->second});
        arrivals.push_back(arrival);
        open_.erase(open_.begin());
      }
      return true;
    };
    bool whole = true;
    for (; next_ < in->rows && (whole = close(in->arrival[next_])); ++next_) {
      const std::size_t row = next_;
      const auto number = static_cast<std::uint64_t>(std::llround(in->columns[samples::x].float64s()[row]));
      const Timestamp tick = tick_of(number, in->arrival[row]);
      if (in->arrival[row] < tick + window_wait) open_[tick] += number;  // else late
    }
    whole = whole && close(in->reached);
    whole ? void(next_ = 0) : out.again();
    if (!rows.empty()) out.emit(batch_of(rows, std::move(arrivals), in->reached));
    return {};
  }
  std::optional<Timestamp> due() const override {
    return open_.empty() ? std::nullopt : std::optional{open_.begin()->first + window_wait};
  }
  void save(StateWriter& out) const override {
    out.put(open_.size());
    for (const auto& [tick, sum] : open_) {
      out.put(tick);
      out.put(sum);
    }
  }
  Result<void> load(StateReader& in) override {
    for (auto left = in.get<std::size_t>(); left > 0; --left) {
      const auto tick = in.get<Timestamp>();
      open_[tick] = in.get<std::uint64_t>();
    }
    return {};
  }

 private:
  BatchPtr batch_of(const std::vector<WindowRow>& rows, std::vector<Timestamp> arrivals, Timestamp reached) const {
    std::vector<Timestamp> ticks;
    std::vector<double> sums;
    for (const auto& [tick, sum] : rows) {
      ticks.push_back(tick);
      sums.push_back(static_cast<double>(sum));
    }
    auto batch = std::make_shared<Batch>();
    batch->schema = schema_;
    batch->rows = rows.size();
    batch->columns = {Column::timestamp(std::move(ticks)), Column::float64(std::move(sums))};
    batch->arrival = std::move(arrivals);
    batch->message_of_row.assign(batch->rows, of_deadline);
    batch->reached = reached;
    return batch;
  }

  SchemaPtr schema_ =
      std::make_shared<const Schema>(Schema{Shape::events, {{"tick", Type::timestamp}, {"sum", Type::float64}}});
  std::map<Timestamp, std::uint64_t> open_;
  std::size_t next_ = 0;  // row of the batch at hand
};

/// Stands in the registry for the sinks that the simulation makes.
class SpecSink final : public Sink {
 public:
  explicit SpecSink(const Settings&) {}
  Result<void> bind_schema(const SchemaPtr&) override { return {}; }
  Result<void> open() override { return {}; }
  Result<void> write(const Encoded&) override { return {}; }
  Result<Committed> commit(std::span<const LaneCommit>) override { return Committed{}; }
};

}  // namespace

Registry simulated_registry(std::uint32_t partitions, bool replayable) {
  Registry out;
  Operator source{Spec::source("numbers")};
  source.spec.claims([partitions, replayable](const Settings&) {
    Claims claims;
    claims.replayable = replayable;
    claims.ordered = true;
    claims.partitions = partitions;
    return claims;
  });
  out.add("sources", "numbers", std::move(source));
  out.add("codecs", "number", make_operator<NumberCodec>(Spec::codec("a number")));
  out.add("transforms", "sum", make_operator<Sum>(Spec::transform("adds up")));
  out.add("transforms", "window", make_operator<Window>(Spec::transform("adds up for a while")));
  Spec database = Spec::sink("a database");
  database.claims([](const Settings&) {
    Claims claims;
    claims.transactional = true;
    return claims;
  });
  out.add("sinks", "database", make_operator<SpecSink>(database));
  out.add("sinks", "list", make_operator<SpecSink>(Spec::sink("a list")));
  return out;
}

Pipeline simulated_pipeline(const Registry& registry, std::size_t databases, std::string_view transform) {
  std::string text = weir::format(
      R"({{ "name": "simulated", "limits": {{ "dead_letters_per_key": 1 }}, "commit": {{ "every": "300ms" }}, "nodes": [
    {{ "id": "in", "source": "numbers", "encoding": "number" }},
    {{ "id": "sum", "transform": "{}", "from": "in" }})",
      transform);
  for (std::size_t i = 0; i < databases; ++i)
    text += weir::format(R"(, {{ "id": "database{}", "sink": "database", "from": "sum" }})", i);
  text += R"(, { "id": "list", "sink": "list", "from": "sum" } ] })";
  auto checked = check_pipeline(text, "simulated.json", registry, {});
  EXPECT_TRUE(checked.pipeline) << render(checked.findings, Format::text);
  return std::move(*checked.pipeline);
}

std::string text_of(std::uint64_t number) { return std::to_string(number); }

Message simulated_message(Position n, Position position, std::string_view text) {
  Message message;
  message.subject = "s";
  message.key = "k";
  message.field = "f";
  message.payload = text;
  message.sequence = position;
  message.arrival = arrival_of(n);
  return message;
}

Encoded encode_simulated(const BatchPtr& batch) {
  Encoded out;
  out.rows = batch->rows * rows_counted;
  out.batch = batch;
  return out;
}

std::vector<std::string> rows_of(const Encoded& encoded) {
  std::vector<std::string> out;
  const Batch& batch = *encoded.batch;
  if (batch.schema->shape == Shape::events) {
    for (std::size_t row = 0; row < batch.rows; ++row)
      out.push_back(weir::format("{} {}", batch.columns[0].int64s()[row],
                                 static_cast<std::uint64_t>(batch.columns[1].float64s()[row])));
    return out;
  }
  const auto sums = batch.columns[samples::x].float64s();
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const Message& message = batch.messages->items[batch.message_of_row[row]];
    out.push_back(row_of(encoded.number + row, message.sequence, static_cast<std::uint64_t>(sums[row])));
  }
  return out;
}

std::string letter_of(const Sink::DeadLetter& letter) {
  return weir::format("{}.{} {} {} {}", letter.position, letter.ordinal, letter.node, letter.reason.text(),
                      letter.payload);
}

Expected expected_of(const std::vector<std::uint64_t>& stream) {
  Expected out;
  std::uint64_t sum = 0;
  std::int64_t bounded = -1;  // the minute that has its letter
  for (Position at = 1; at <= stream.size(); ++at) {
    const std::uint64_t number = stream[at - 1];
    if (number % invalid_every == 0) {
      if (std::exchange(bounded, arrival_of(at) / minute) != arrival_of(at) / minute)
        out.letters.push_back(weir::format("{0}.0 in unlucky: {1} {1}", at, number));
      continue;
    }
    sum = next(sum, number);
    if (number % row_unless != 0) out.rows.push_back(row_of(out.rows.size(), at, sum));
  }
  return out;
}

WindowRow window_row(std::string_view text) {
  WindowRow out;
  const char* const end = text.data() + text.size();
  const auto tick = std::from_chars(text.data(), end, out.tick);
  std::from_chars(tick.ptr + 1, end, out.sum);
  return out;
}

std::vector<WindowRow> expected_windows(const std::vector<std::uint64_t>& stream, Position from) {
  std::map<Timestamp, std::uint64_t> sums;
  for (Position at = from; at <= stream.size(); ++at) {
    const std::uint64_t number = stream[at - 1];
    const Timestamp tick = tick_of(number, arrival_of(at));
    if (number % invalid_every == 0 || arrival_of(at) >= tick + window_wait) continue;
    if (tick - window_every >= arrival_of(from)) sums[tick] += number;  // others had nothing of it
  }
  std::vector<WindowRow> out;
  for (const auto& [tick, sum] : sums) {
    if (tick + window_wait <= arrival_of(stream.size())) out.push_back({tick, sum});
  }
  return out;
}

}  // namespace weir::faults
