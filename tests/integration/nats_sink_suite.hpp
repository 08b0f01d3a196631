/// What the tests of the NATS sink share: samples to publish, the sink with what it needs, and its stream read back.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include <weir/operator.hpp>

#include "fakes/nats_fixture.hpp"
#include "integration/nats_suite.hpp"

namespace weir {
Operator weir_operator_sources_nats();
Operator weir_operator_sinks_nats();

namespace integration {

/// "key field=x …" per payload; what stands in the subject stays outside. Takes numbers.
class Plain final : public Codec {
 public:
  std::expected<void, Reason> decode(const Message&, SampleSink&) const override { return {}; }
  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool key_outside,
                                                 bool field_outside) const override {
    std::string out = key_outside ? "" : std::string{samples[0].key} + " ";
    for (const auto& sample : samples) {
      out += (field_outside ? "" : std::string{sample.field} + "=") + std::to_string(static_cast<int>(sample.x)) + ";";
    }
    return out;
  }
};

/// Samples (v<i % vehicles>, speed, i) for i in [first, first + count), of messages of so many samples.
inline BatchPtr samples_of(fakes::NatsContext& context, std::size_t count, std::size_t first = 0,
                           std::size_t vehicles = 10, std::size_t per_message = 1) {
  auto batch = std::make_shared<Batch>();
  batch->schema = samples::schema();
  batch->rows = count;
  batch->columns.resize(batch->schema->columns.size());
  Ids keys{{}, context.keys()};
  Ids fields{{}, context.fields()};
  std::vector<Timestamp> times;
  std::vector<double> x;
  for (std::size_t i = first; i < first + count; ++i) {
    keys.ids.push_back(*context.keys()->intern("v" + std::to_string(i % vehicles)));
    fields.ids.push_back(*context.fields()->intern("speed"));
    times.push_back(static_cast<Timestamp>(i) * second);
    x.push_back(static_cast<double>(i));
    batch->message_of_row.push_back(static_cast<std::uint32_t>(i / per_message - first / per_message));
  }
  batch->arrival = times;
  batch->columns[samples::key] = Column::dictionary(std::move(keys));
  batch->columns[samples::field] = Column::dictionary(std::move(fields));
  batch->columns[samples::time] = Column::timestamp(std::move(times));
  batch->columns[samples::x] = Column::float64(std::move(x));
  return batch;
}

struct NatsSink {
  /// `with`: another encoding than Plain; it must live longer.
  explicit NatsSink(const std::map<std::string, Setting>& values, const Codec* with = nullptr)
      : context{0, with == nullptr ? &codec : with},
        sink{weir_operator_sinks_nats().make_sink(fakes::settings_of(weir_operator_sinks_nats(), values), context)} {
    sink->bind_schema(samples::schema()).value();
  }
  Result<void> write(const BatchPtr& batch, std::uint64_t number = 0) {
    auto& encoded = written.emplace_back(sink->encode(batch));
    encoded.number = number;
    return sink->write(encoded);
  }

  Plain codec;
  std::deque<Encoded> written;  ///< a sink may point to what it was given until commit() returns
  fakes::NatsContext context;
  std::unique_ptr<Sink> sink;
};

class NatsSinkTest : public NatsSuite {
 protected:
  std::map<std::string, Setting> settings(std::map<std::string, Setting> more = {}) const {
    more.try_emplace("url", url());
    more.try_emplace("stream", stream_);
    more.try_emplace("subject", stream_ + ".{key}.{field}");
    return more;
  }
  /// What stands in the stream: "subject payload".
  std::vector<std::string> stored(std::size_t count, std::map<std::string, Setting> more = {}, Partition k = 0) const {
    fakes::NatsSource source{weir_operator_sources_nats(), settings(std::move(more)), k};
    source.source->open(0).value();
    std::vector<std::string> out;
    for (const auto& m : source.pull(count, count == 0 ? second : 10 * second)) {
      out.push_back(std::string{m.subject} + " " + std::string{m.payload});
    }
    return out;
  }

  const std::string stream_ = name();
};

}  // namespace integration
}  // namespace weir
