/// What the NATS sink does about samples that its encoding can't hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <tuple>

#include <weir/format.hpp>

#include "fakes/codecs.hpp"
#include "fakes/temporary_directory.hpp"
#include "fakes/weir_process.hpp"
#include "integration/nats_sink_suite.hpp"

namespace weir {
Operator weir_operator_codecs_json();

namespace {

using fakes::NatsPeer;
using integration::NatsSink;
using integration::samples_of;

/// With JSON payloads of samples without a time.
class NatsSinkPayload : public integration::NatsSinkTest {
 protected:
  std::shared_ptr<Batch> timeless(fakes::NatsContext& context, std::size_t count, std::size_t per_message = 1) const {
    auto out = std::make_shared<Batch>(*samples_of(context, count, 0, 1, per_message));
    out->columns[samples::time] = {};
    return out;
  }
  /// Of `rows` rows, only these are valid.
  static Validity valid(std::size_t rows, std::initializer_list<std::size_t> these) {
    Validity out;
    for (std::size_t row = 0; row < rows; ++row) out.push(std::ranges::contains(these, row), row);
    return out;
  }
  static std::map<std::size_t, std::string> reasons(const Committed& committed) {
    std::map<std::size_t, std::string> out;
    for (const auto& one : committed.rejected) {
      EXPECT_TRUE(out.emplace(one.row, one.reason.text()).second) << "row " << one.row << " was rejected before";
    }
    return out;
  }

  const std::unique_ptr<Codec> json_ =
      fakes::make_codec(weir_operator_codecs_json(), fakes::settings_of(weir_operator_codecs_json(), {}));
};

TEST_F(NatsSinkPayload, rejectsASampleWithoutAValue) {
  NatsSink sink{settings(), json_.get()};
  sink.sink->open().value();
  const auto batch = timeless(sink.context, 6);
  Texts texts;
  for (const char* text : {"", "", "eco", "", "", ""}) texts.push(text);
  batch->columns[samples::x] = Column::float64({1.5, 301, 0, 0, 48.5, 48.5}, valid(6, {0, 4}));
  batch->columns[samples::y] = Column::float64({0, 0, 0, 0, 11.25, 11.25}, valid(6, {4, 5}));
  batch->columns[samples::text] = Column::string(texts, valid(6, {2}));
  ASSERT_TRUE(sink.write(batch));
  const auto committed = sink.sink->commit({}).value();
  const std::string why = "no_value";
  EXPECT_EQ(reasons(committed), (std::map<std::size_t, std::string>{{1, why}, {3, why}, {5, why}}))
      << "a number, a text, a point";
  const std::string subject = stream_ + ".v0.speed ";
  EXPECT_EQ(stored(3),
            (std::vector<std::string>{subject + "1.5", subject + "\"eco\"", subject + R"({"lat":48.5,"lon":11.25})"}));
  EXPECT_EQ(NatsPeer{url()}.jetstream->state(stream_).value().messages, 3);
}

TEST_F(NatsSinkPayload, publishesWhatIsAroundABadSampleOfAFrame) {
  const std::map<std::string, Setting> framed = {{"subject", stream_ + ".{key}"}, {"frame", std::int64_t{8}}};
  constexpr double inf = std::numeric_limits<double>::infinity();
  // Two frames of eight, from two messages; then the same rows again, as after a crash, and cut elsewhere.
  const auto write = [&](std::initializer_list<std::pair<std::size_t, std::size_t>> cuts) {
    NatsSink sink{settings(framed), json_.get()};
    sink.sink->open().value();
    const auto all = timeless(sink.context, 16, 8);
    all->columns[samples::x] = Column::float64({0, 1, 2, 3, 4, inf, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                               valid(16, {0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
    std::map<std::size_t, std::string> rejected;
    for (const auto& [begin, end] : cuts) {
      std::vector<std::uint8_t> keep(16);
      std::fill(keep.begin() + static_cast<std::ptrdiff_t>(begin), keep.begin() + static_cast<std::ptrdiff_t>(end), 1);
      EXPECT_TRUE(sink.write(select(all, keep), begin));
      for (const auto& [row, reason] : reasons(sink.sink->commit({}).value())) rejected[begin + row] = reason;
    }
    EXPECT_EQ(rejected, (std::map<std::size_t, std::string>{{2, "no_value"},
                                                            {5, "not_encodable: JSON has no NaN and no infinity"}}));
    return std::pair{sink.context.counted("published"), sink.context.counted("duplicates")};
  };
  EXPECT_EQ(write({{0, 16}}), (std::pair<std::uint64_t, std::uint64_t>{4, 0}));
  EXPECT_EQ(write({{0, 16}}), (std::pair<std::uint64_t, std::uint64_t>{4, 4}));
  EXPECT_EQ(write({{0, 8}, {8, 16}}), (std::pair<std::uint64_t, std::uint64_t>{4, 4}));
  const auto frame = [&](std::initializer_list<int> values) {
    std::string out;
    for (const int value : values)
      out += weir::format(R"({}{{"field":"speed","value":{}}})", out.empty() ? "" : ",", value);
    return stream_ + ".v0 [" + out + "]";
  };
  EXPECT_EQ(stored(4, framed), (std::vector<std::string>{frame({0, 1}), frame({3, 4}), frame({6, 7}),
                                                         frame({8, 9, 10, 11, 12, 13, 14, 15})}));
  EXPECT_EQ(NatsPeer{url()}.jetstream->state(stream_).value().messages, 4) << "nothing was stored twice";
}

/// Holds one sample and no more.
class Single final : public Codec {
 public:
  std::expected<void, Reason> decode(const Message&, SampleSink&) const override { return {}; }
  std::expected<std::string, std::string> encode(std::span<const Sample> samples, bool, bool) const override {
    if (samples.size() != 1) return std::unexpected("one at a time");
    return "x";
  }
};

TEST(NatsSinkEncoding, mustHoldAsManySamplesAsAFrame) {
  const Single single;
  fakes::NatsContext context{0, &single};
  const auto settle = [&](std::int64_t frame) {
    const auto op = weir_operator_sinks_nats();
    return op.make_sink(fakes::settings_of(op, {{"subject", std::string{"v.{key}"}}, {"frame", frame}}), context)
        ->bind_schema(samples::schema());
  };
  EXPECT_TRUE(settle(1));
  const auto settled = settle(2);
  ASSERT_FALSE(settled);
  EXPECT_EQ(settled.error().kind, Error::Kind::invalid);
  EXPECT_EQ(settled.error().setting, "encoding");
  EXPECT_EQ(settled.error().message, "the samples do not fit this encoding: one at a time");
}

TEST(NatsSinkEncoding, isRefusedBeforeAnythingRunsIfItCanNotWrite) {
  const fakes::TemporaryDirectory files;
  const auto pipeline = [&](const std::string& subject, const std::string& encoding) {
    return files.write("p.json", weir::format(R"({{ "name": "p", "nodes": [
  {{ "id": "in", "source": "simulate", "vehicles": 1, "for": "1s", "speed": "max" }},
  {{ "id": "out", "sink": "nats", "from": "in", "subject": "{}",
    "encoding": {} }} ] }})",
                                              subject, encoding));
  };
  const auto said = [&](const char* verb, const std::string& file, int exit) {
    fakes::WeirProcess weir{{verb, file}, files.file("log")};
    EXPECT_EQ(weir.wait(), exit) << weir.log();
    std::string log = weir.log();
    std::filesystem::remove(files.file("log"));
    return log;
  };
  const std::string one_number = "a text payload holds one number: key and field must be in the subject";
  const std::string reading_only = "nested paths, \"each\" and \"fields\" are for reading only";
  const std::vector<std::tuple<std::string, std::string, std::string>> unable{
      {"v.{key}", R"("text")", one_number},
      {"v.{key}", R"({ "codec": "json", "fields": { "speed": "v" } })", reading_only},
      {"v.{key}", R"({ "codec": "json", "each": "samples" })", reading_only},
      {"v.{key}", R"({ "codec": "json", "time": "head.time" })", reading_only},
  };
  for (const auto& [subject, encoding, why] : unable) {
    const auto file = pipeline(subject, encoding);
    const std::string finding = ":4:17: error: \"out\": the samples do not fit this encoding: " + why;
    for (const auto& [verb, exit] : {std::pair{"lint", 1}, std::pair{"run", 78}}) {
      const std::string log = said(verb, file, exit);
      EXPECT_NE(log.find(finding), std::string::npos) << encoding << "\n" << log;
    }
  }
  EXPECT_EQ(said("lint", pipeline("v.{key}.{field}", R"("text")"), 0).find("error"), std::string::npos);
  EXPECT_EQ(said("lint", pipeline("v.{key}", R"({ "codec": "json", "time": "at" })"), 0).find("error"),
            std::string::npos);
}

}  // namespace
}  // namespace weir
