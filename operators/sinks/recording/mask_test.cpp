/// Keys that stand for others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include <weir/partition.hpp>
#include <weir/shapes.hpp>

#include "fakes/codecs.hpp"
#include "fakes/registry.hpp"
#include "fakes/settings.hpp"
#include "fakes/temporary_directory.hpp"
#include "sinks/recording/mask.hpp"

namespace weir::recording {
namespace {

class Masks : public testing::Test {
 protected:
  static std::unique_ptr<Codec> codec(std::string_view name) {
    const Operator& op = *fakes::registry().find(Role::codec, name);
    return fakes::make_codec(op, fakes::settings_of(op, {}));
  }
  const std::unique_ptr<Codec> json_ = codec("json");
};

TEST_F(Masks, are_the_same_for_the_same_key_and_secret_alone) {
  Mask one{"secret", *json_, 16}, same{"secret", *json_, 16}, other{"Secret", *json_, 16};
  EXPECT_EQ(one.of("145"), same.of("145"));
  EXPECT_NE(one.of("145"), other.of("145"));
  EXPECT_NE(one.of("145"), one.of("146"));
  EXPECT_EQ(one.fingerprint(), same.fingerprint());
  EXPECT_NE(one.fingerprint(), other.fingerprint());
}

TEST_F(Masks, belong_to_their_keys_partition_and_to_no_other_key) {
  for (const std::uint32_t partitions : {1u, 2u, 16u, 255u, 4096u}) {
    Mask mask{"secret", *json_, partitions};
    std::set<std::string> all;
    for (int i = 0; i < 1000; ++i) {
      const std::string key = std::to_string(i);
      all.insert(mask.of(key));
      ASSERT_EQ(partition_of(mask.of(key), partitions), partition_of(key, partitions)) << key << " of " << partitions;
      ASSERT_EQ(mask.of(key).size(), 18u);
    }
    EXPECT_EQ(all.size(), 1000u);
  }
}

TEST_F(Masks, leave_no_key_in_a_batch_and_leave_out_what_hides_one) {
  Mask mask{"secret", *json_, 4};
  const std::string named = R"({"key": "V145", "field": "speed", "value": 1})";
  const std::pair<std::string_view, std::string_view> header{"Vehicle", "V145"};
  auto messages = std::make_shared<Messages>();
  const std::string_view subject = "fleet.V145.V145x.speed";
  messages->items = {
      {.subject = subject,
       .payload = named,
       .sequence = 1,
       .arrival = 5,
       .key = subject.substr(6, 4),
       .headers = {&header, 1}},
      {.subject = subject, .payload = "{", .sequence = 2, .arrival = 6, .key = subject.substr(6, 4)},
      {.subject = subject, .payload = named, .sequence = 3, .arrival = 7, .refused = "of V145, elsewhere"},
      {.subject = "p.0.clock.S", .sequence = 4, .arrival = 8, .marker = true},
      {.subject = subject, .payload = named, .sequence = 5, .arrival = 9, .key = subject.substr(6, 4)}};
  auto keys = std::make_shared<Dictionary>(), fields = std::make_shared<Dictionary>();
  Batch batch;
  batch.schema = samples::schema();
  batch.rows = 1;
  batch.columns.resize(batch.schema->columns.size());
  batch.columns[samples::key] = Column::dictionary({{*keys->intern("V145")}, keys});
  batch.columns[samples::field] = Column::dictionary({{*fields->intern("speed")}, fields});
  batch.message_of_row = {0};
  batch.messages = messages;
  const std::vector<std::uint8_t> wanted{1, 1, 1, 1, 0};
  const auto out = mask.batch(batch, wanted);
  EXPECT_EQ(out.keep, (std::vector<std::uint8_t>{1, 0, 0, 1, 0}));
  EXPECT_EQ(out.left_out, 2u);
  EXPECT_EQ(out.batch->columns[samples::key].text(0), mask.of("V145"));
  const auto& items = out.batch->messages->items;
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].subject, "fleet." + mask.of("V145") + ".V145x.speed") << "whole tokens alone";
  EXPECT_EQ(items[0].key, mask.of("V145"));
  EXPECT_EQ(items[0].payload, R"({"key": ")" + mask.of("V145") + R"(", "field": "speed", "value": 1})");
  EXPECT_TRUE(items[0].headers.empty());
  EXPECT_TRUE(items[3].marker);
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(items[i].sequence, i + 1);
    EXPECT_EQ(items[i].arrival, static_cast<Timestamp>(i) + 5);
    EXPECT_FALSE(items[i].payload.contains("V145")) << i;
  }
}

/// A batch of one message, of which nothing is known but itself.
Mask::Masked alone(Mask& mask, const Message& message) {
  auto messages = std::make_shared<Messages>();
  messages->items = {message};
  Batch batch;
  batch.schema = samples::schema();
  batch.columns.resize(batch.schema->columns.size());
  batch.messages = messages;
  return mask.batch(batch, {});
}

TEST_F(Masks, are_in_subjects_for_what_only_the_payload_calls_a_key) {
  Mask mask{"secret", *json_, 4};
  const std::string_view subject = "g.V145.speed";
  const auto out = alone(mask, {.subject = subject,
                                .payload = R"([{"key":"V145","value":1},{"key":"speed","value":2}])",
                                .field = subject.substr(7)});
  ASSERT_EQ(out.keep, std::vector<std::uint8_t>{1});
  const Message& one = out.batch->messages->items[0];
  EXPECT_EQ(one.subject, "g." + mask.of("V145") + ".speed");
  EXPECT_EQ(one.field, "speed");
  EXPECT_TRUE(one.key.empty());
}

TEST_F(Masks, leave_out_what_may_name_the_key_once_more) {
  Mask mask{"secret", *json_, 4};
  // A gateway that is the vehicle, and a field called like it.
  for (const std::string_view subject : {"f.V145.v.V145.speed", "f.gw.v.V145.V145"}) {
    const auto out = alone(mask, {.subject = subject,
                                  .payload = R"({"value":1})",
                                  .key = subject.substr(subject.find("v.") + 2, 4),
                                  .field = subject.substr(subject.rfind('.') + 1)});
    EXPECT_EQ(out.keep, std::vector<std::uint8_t>{0}) << subject;
    EXPECT_EQ(out.left_out, 1u) << subject;
  }
}

TEST_F(Masks, a_secret_that_others_may_read_is_told) {
  fakes::TemporaryDirectory directory;
  const std::string path = directory.file("day.weir.secret");
  EXPECT_FALSE(others_may_read(path)) << "not there";
  ASSERT_TRUE(secret_in(path, true).has_value());
  EXPECT_FALSE(others_may_read(path));
  for (const auto also : {std::filesystem::perms::group_read, std::filesystem::perms::others_read}) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | also);
    EXPECT_TRUE(others_may_read(path));
  }
}

TEST_F(Masks, a_secret_is_made_once_and_for_its_owner) {
  fakes::TemporaryDirectory directory;
  const std::string path = directory.file("day.weir.secret");
  const auto none = secret_in(path, false);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind, Error::Kind::invalid);
  const auto made = secret_in(path, true);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(made->size(), 64u);
  EXPECT_EQ(secret_in(path, true).value_or(""), *made);
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_NE(secret_in(directory.file("other"), true).value_or(""), *made);
  EXPECT_FALSE(secret_in(directory.write("empty", ""), true).has_value());
}

}  // namespace
}  // namespace weir::recording
