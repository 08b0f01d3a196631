#include "core/runtime/decoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>

#include <weir/format.hpp>
#include <weir/partition.hpp>
#include <weir/shapes.hpp>

namespace weir {
namespace {

/// A payload is samples "key field;key field;"; "!" at its end breaks it. Those of key "u" have no time.
class ListCodec final : public Codec {
 public:
  std::expected<void, Reason> decode(const Message& message, SampleSink& out) const override {
    for (auto part : message.payload | std::views::split(';')) {
      const std::string_view sample{part.begin(), part.end()};
      if (sample == "!") return std::unexpected(Reason{"broken"});
      if (sample.empty()) continue;
      const auto blank = sample.find(' ');
      Sample one{.key = sample.substr(0, blank), .field = sample.substr(blank + 1), .time = 1, .x = 1};
      if (one.key == "u") one.time.reset();
      out.add(one);
    }
    return {};
  }
  std::string explain(const Message& message, Lack lack) const override {
    if (message.payload.starts_with("u h")) return {};  // need not have one
    return lack == Lack::time ? "no clock" : "an empty list";
  }
  std::expected<std::string, std::string> encode(std::span<const Sample>, bool, bool) const override {
    return std::unexpected("no");
  }
};

class DecoderTest : public testing::Test {
 protected:
  Decoded decode(std::vector<std::string> payloads, std::uint32_t partitions = 1, std::string_view refused = {}) {
    Decoder decoder{codec_, "in", 0, partitions, keys_, fields_};
    decoder.start(sequence_, 1);
    return decoder.decode(messages(std::move(payloads), refused));
  }

  std::shared_ptr<const Messages> messages(std::vector<std::string> payloads, std::string_view refused = {}) {
    auto held = std::make_shared<std::vector<std::string>>(std::move(payloads));
    auto messages = std::make_shared<Messages>();
    for (const std::string& payload : *held) {
      messages->items.push_back({.subject = "s", .payload = payload, .sequence = ++sequence_, .arrival = 1});
      messages->items.back().refused = refused;
    }
    messages->owner = held;
    return messages;
  }

  const Codec& codec() const { return codec_; }

  /// "key field" by row.
  static std::vector<std::string> rows_of(const Decoded& decoded) {
    std::vector<std::string> out;
    for (std::size_t row = 0; row < decoded.batch->rows; ++row) {
      out.push_back(std::string{decoded.batch->columns[samples::key].text(row)} + " " +
                    std::string{decoded.batch->columns[samples::field].text(row)});
    }
    return out;
  }

  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>(3);
  std::shared_ptr<Dictionary> fields_ = std::make_shared<Dictionary>(3);

 private:
  ListCodec codec_;
  Position sequence_ = 0;
};

TEST_F(DecoderTest, NamesOfRefusedMessagesTakeNoPlace) {
  for (int i = 0; i < 1000; ++i) {
    std::vector<std::string> junk;
    for (int j = 0; j < 100; ++j) {
      const std::string name = std::to_string(i * 100 + j);
      junk.push_back(j % 2 == 0 ? weir::format("{0} {0};!", name) : weir::format("{0} {0}; none;{0} ", name));
    }
    const Decoded decoded = decode(junk);
    ASSERT_EQ(decoded.dead_letters.size(), junk.size());
    ASSERT_EQ(decoded.batch->rows, 0u);
  }
  decode({"a b;"}, 1, "a marker of somebody else's");
  EXPECT_EQ(keys_->size(), 0u);
  EXPECT_EQ(fields_->size(), 0u);
  const Decoded read = decode({"x a;y b;x a;", "junk junk;!", "z c;y b;"});
  EXPECT_EQ(rows_of(read), (std::vector<std::string>{"x a", "y b", "x a", "z c", "y b"}));
  EXPECT_EQ(read.keys, 3u);
  EXPECT_EQ(read.fields, 3u);
}

TEST_F(DecoderTest, SamplesWithoutATimeAreCountedWhereTheirMessageIsTaken) {
  EXPECT_EQ(decode({"a f;u f;", "u f;u f;!", "u f;"}).untimed_samples, 2u);
}

TEST_F(DecoderTest, WhatTheFirstPayloadLacksIsToldOnce) {
  Decoder decoder{codec(), "in", 0, 1, keys_, fields_};
  decoder.start(0, 1);
  const auto told = [&](const std::vector<std::string>& payloads) {
    return decoder.decode(messages(payloads)).notices;
  };
  EXPECT_EQ(told({"a f;", "u f;!", "u h;"}), std::vector<std::string>{}) << "refused, or all right";
  EXPECT_EQ(told({"u f;", "u f;"}), (std::vector<std::string>{"a payload of \"s\" tells no time: no clock; its arrival "
                                                              "is its event time (this is said once; untimed_samples "
                                                              "counts)"}));
  EXPECT_EQ(told({"u f;", ";", ";"}), (std::vector<std::string>{"a payload of \"s\" holds no sample: an empty list; "
                                                                "nothing comes of it (this is said once; "
                                                                "empty_messages counts)"}));
  EXPECT_EQ(told({"u f;", ";"}), std::vector<std::string>{});
}

TEST_F(DecoderTest, WhatIsOverALimitIsRefusedWholeAndTheKnownGoOn) {
  const Decoded decoded = decode({"a f;", "b f;c f;d f;", "b f;", "e f;f f;g f;", "c f;", "d f;", "a f;"});
  EXPECT_EQ(rows_of(decoded), (std::vector<std::string>{"a f", "b f", "c f", "a f"}));
  ASSERT_EQ(decoded.dead_letters.size(), 3u);
  for (const auto& letter : decoded.dead_letters) EXPECT_EQ(letter.reason.text(), "too_many_keys: the limit is 3");
}

TEST_F(DecoderTest, AKeyOfAnotherPartitionIsRefusedWithItsMessage) {
  const auto in = [](Partition partition) {
    for (char name = 'a';; ++name) {
      if (partition_of({&name, 1}, 2) == partition) return std::string{name};
    }
  };
  const std::string mine = in(0), other = in(1);
  const Decoded decoded = decode({mine + " f;", mine + " g;" + other + " f;", mine + " f;"}, 2);
  EXPECT_EQ(rows_of(decoded), (std::vector<std::string>{mine + " f", mine + " f"}));
  ASSERT_EQ(decoded.dead_letters.size(), 1u);
  EXPECT_EQ(decoded.dead_letters[0].reason.text(), "wrong_partition");
  EXPECT_EQ(decoded.dead_letters[0].payload, mine + " g;" + other + " f;");
  EXPECT_EQ(decoded.keys, 1u);
  EXPECT_EQ(decoded.fields, 1u) << "g came in the refused message only";
}

TEST_F(DecoderTest, AKeyThatIsNotItsSubjectsIsRefusedWithItsMessage) {
  Decoder decoder{codec(), "in", 0, 1, keys_, fields_};
  decoder.start(0, 1);
  const auto all = messages({"a f;", "a f;b f;", "b f;"});
  auto of_a = std::make_shared<Messages>(*all);
  for (Message& message : of_a->items) message.key = "a";
  const Decoded decoded = decoder.decode(std::move(of_a));
  EXPECT_EQ(rows_of(decoded), std::vector<std::string>{"a f"});
  ASSERT_EQ(decoded.dead_letters.size(), 2u);
  for (const auto& letter : decoded.dead_letters)
    EXPECT_EQ(letter.reason.text(), "key_differs_from_subject: \"b\" in the payload");
  EXPECT_EQ(decoded.keys, 1u) << "nobody fills the table with others' keys";
}

TEST_F(DecoderTest, OfAMessageWithTooManyFieldsTheOthersAreTaken) {
  fields_ = std::make_shared<Dictionary>(2);
  const Decoded decoded = decode({"a f;a g;", "a h;a f;a i;", "a i;"});
  EXPECT_EQ(rows_of(decoded), (std::vector<std::string>{"a f", "a g", "a f"}));
  ASSERT_EQ(decoded.dead_letters.size(), 2u);
  EXPECT_EQ(decoded.dead_letters[0].reason.text(),
            "too_many_fields: the limit is 2; 2 samples of its message; the others of its message are taken");
  EXPECT_EQ(decoded.dead_letters[0].payload, "a h;a f;a i;");
  EXPECT_EQ(decoded.dead_letters[1].reason.text(), "too_many_fields: the limit is 2");
  EXPECT_EQ(decoded.empty, 0u) << "it has a dead letter";
}

}  // namespace
}  // namespace weir
