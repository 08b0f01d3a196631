/// A recording whose messages are plain values.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <weir/shapes.hpp>
#include "recording/recording.hpp"

#include "fakes/temporary_directory.hpp"

namespace weir::fakes {

/// What a test says of a message; a row is made of each byte of the payload of those that are neither markers nor
/// refused.
struct Said {
  Position sequence = 0;
  Timestamp arrival = 0;
  std::string subject = {}, payload = {}, key = {}, field = {}, refused = {};
  bool marker = false;
  std::vector<std::pair<std::string, std::string>> headers = {};
  bool operator==(const Said&) const = default;
};

inline void PrintTo(const Said& said, std::ostream* os) {
  *os << said.sequence << "@" << said.arrival << " " << said.subject << " " << said.payload;
}

inline Said said(Position sequence, Timestamp arrival, const std::string& key, const std::string& payload) {
  return {.sequence = sequence,
          .arrival = arrival,
          .subject = "vehicle." + key + ".speed",
          .payload = payload,
          .key = key,
          .field = "speed"};
}

/// One file, and how it is written and read.
class RecordingFixture : public testing::Test {
 protected:
  /// As the engine decodes it. `behind`: where the lane was before.
  BatchPtr decoded(std::vector<Said> all, Partition partition = 0, Position behind = 0) {
    struct Owner {
      std::vector<Said> said;
      std::vector<std::vector<std::pair<std::string_view, std::string_view>>> headers;
      Messages messages;
    };
    const auto owner = std::make_shared<Owner>();
    owner->said = std::move(all);
    auto batch = std::make_shared<Batch>();
    batch->schema = samples::schema();
    batch->origin = {partition, behind, owner->said.empty() ? behind : owner->said.back().sequence};
    Ids keys{{}, keys_}, fields{{}, fields_};
    std::vector<Timestamp> times;
    Timestamp arrival = no_time;
    for (const Said& one : owner->said) {
      auto& headers = owner->headers.emplace_back();
      for (const auto& [name, value] : one.headers) headers.emplace_back(name, value);
    }
    for (std::size_t i = 0; i < owner->said.size(); ++i) {
      const Said& one = owner->said[i];
      owner->messages.items.push_back({.subject = one.subject,
                                       .payload = one.payload,
                                       .sequence = one.sequence,
                                       .arrival = one.arrival,
                                       .key = one.key,
                                       .field = one.field,
                                       .marker = one.marker,
                                       .refused = one.refused,
                                       .headers = owner->headers[i]});
      arrival = std::max(arrival, one.arrival);
      for (std::size_t row = 0; row < one.payload.size() && !one.marker && one.refused.empty(); ++row) {
        keys.ids.push_back(*keys_->intern(one.key));
        fields.ids.push_back(*fields_->intern(one.field));
        times.push_back(one.arrival - 1);
        batch->arrival.push_back(arrival);
        batch->message_of_row.push_back(static_cast<std::uint32_t>(i));
      }
    }
    batch->rows = times.size();
    batch->reached = arrival;
    batch->columns.resize(samples::text + 1);
    batch->columns[samples::key] = Column::dictionary(std::move(keys));
    batch->columns[samples::field] = Column::dictionary(std::move(fields));
    batch->columns[samples::time] = Column::timestamp(std::move(times));
    batch->messages = {owner, &owner->messages};
    return batch;
  }

  static LaneCommit lane(Position position, Timestamp arrival, Partition partition = 0) {
    return {partition, {.place = {.position = position, .arrival = arrival, .consumed = position}, .stream = {"S", 5}}};
  }

  recording::Writer writer() {
    auto out = recording::Writer::open(path_, {1000, "fleet", "tape"});
    EXPECT_TRUE(out.has_value()) << out.error().message;
    return std::move(*out);
  }

  /// Appends and commits.
  void record(const std::vector<Said>& all) {
    recording::Writer out = writer();
    ASSERT_TRUE(out.add(*decoded(all)).has_value());
    const LaneCommit done = lane(all.back().sequence, all.back().arrival);
    ASSERT_TRUE(out.commit({&done, 1}).has_value());
  }

  static std::vector<Said> said_by(const Messages& messages) {
    std::vector<Said> out;
    for (const Message& message : messages.items) {
      Said& one = out.emplace_back(message.sequence, message.arrival, std::string{message.subject},
                                   std::string{message.payload}, std::string{message.key}, std::string{message.field},
                                   std::string{message.refused}, message.marker);
      for (const auto& [name, value] : message.headers) one.headers.emplace_back(name, value);
    }
    return out;
  }

  /// All that can be read.
  std::vector<Said> all() const {
    const auto file = recording::Reader::open(path_);
    EXPECT_TRUE(file.has_value()) << file.error().message;
    std::vector<Said> out;
    for (const recording::Block& block : file->blocks()) {
      const auto messages = file->read(block);
      EXPECT_TRUE(messages.has_value()) << messages.error().message;
      if (messages) out.append_range(said_by(**messages));
    }
    return out;
  }

  std::string bytes() const {
    std::ifstream in{path_, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void write(const std::string& bytes) const { std::ofstream{path_, std::ios::binary} << bytes; }

  fakes::TemporaryDirectory directory_;
  std::string path_ = directory_.file("day.weir");

 private:
  std::shared_ptr<Dictionary> keys_ = std::make_shared<Dictionary>(), fields_ = std::make_shared<Dictionary>();
};

}  // namespace weir::fakes
