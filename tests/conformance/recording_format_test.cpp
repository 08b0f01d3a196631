/// A reader of recordings by schemas/recording.md alone: what the page says is what is in the file.
#include <gtest/gtest.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "recording/recording.hpp"

namespace weir {
namespace {

template <typename T>
T number_at(std::string_view bytes, std::size_t at) {
  T out{};
  std::memcpy(&out, bytes.substr(at, sizeof out).data(), sizeof out);
  return out;
}

/// A table of a FlatBuffer.
class BareTable {
 public:
  explicit BareTable(std::string_view bytes) : BareTable{bytes, number_at<std::uint32_t>(bytes, 0)} {}
  BareTable(std::string_view bytes, std::size_t at) : bytes_{bytes}, at_{at} {}

  template <typename T>
  T number(std::size_t field, T otherwise = 0) const {
    const std::size_t at = place(field);
    return at == 0 ? otherwise : number_at<T>(bytes_, at);
  }
  std::string_view text(std::size_t field) const {
    const std::size_t at = target(field);
    return at == 0 ? std::string_view{} : bytes_.substr(at + 4, number_at<std::uint32_t>(bytes_, at));
  }
  /// Element i; 0 if there is no such vector.
  template <typename T>
  T element(std::size_t field, std::size_t i) const {
    const std::size_t at = target(field);
    return at == 0 ? T{} : number_at<T>(bytes_, at + 4 + i * sizeof(T));
  }
  std::vector<BareTable> tables(std::size_t field) const {
    std::vector<BareTable> out;
    const std::size_t at = target(field);
    const std::size_t count = at == 0 ? 0 : number_at<std::uint32_t>(bytes_, at);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t from = at + 4 + 4 * i;
      out.emplace_back(bytes_, from + number_at<std::uint32_t>(bytes_, from));
    }
    return out;
  }

 private:
  std::size_t place(std::size_t field) const {
    const std::size_t vtable = at_ - static_cast<std::size_t>(number_at<std::int32_t>(bytes_, at_));
    const std::size_t entry = 4 + 2 * field;
    if (entry >= number_at<std::uint16_t>(bytes_, vtable)) return 0;
    const auto offset = number_at<std::uint16_t>(bytes_, vtable + entry);
    return offset == 0 ? 0 : at_ + offset;
  }
  std::size_t target(std::size_t field) const {
    const std::size_t at = place(field);
    return at == 0 ? 0 : at + number_at<std::uint32_t>(bytes_, at);
  }

  std::string_view bytes_;
  std::size_t at_;
};

std::uint64_t sum_by_the_page(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const char c : bytes) {
    sum ^= static_cast<unsigned char>(c);
    sum *= 0x100000001b3;
  }
  return sum;
}

std::string unpacked(std::string_view body, std::size_t size) {
  std::string out(size, '\0');
  EXPECT_EQ(ZSTD_decompress(out.data(), out.size(), body.data(), body.size()), size);
  return out;
}

/// Message by message, what the page says is what weir's own reader gives.
void expect_same_messages(const BareTable& head, std::string_view body, const Messages& theirs) {
  const std::string content = unpacked(body, head.number<std::uint32_t>(13));
  const BareTable all{content};
  ASSERT_EQ(head.number<std::uint32_t>(3), theirs.items.size());
  auto sequence = head.number<std::uint64_t>(1);
  std::int64_t stamp = 0, arrival = head.number<std::int64_t>(11, INT64_MIN);
  std::string_view subjects = all.text(11), headers = all.text(12), refusals = all.text(13), payloads = all.text(14);
  const auto take = [](std::string_view& from, std::size_t size) {
    const std::string_view out = from.substr(0, size);
    from.remove_prefix(size);
    return out;
  };
  for (std::size_t i = 0; i < theirs.items.size(); ++i) {
    const Message& message = theirs.items[i];
    sequence += all.element<std::uint64_t>(0, i);
    stamp += all.element<std::int64_t>(1, i);
    arrival = std::max(arrival, stamp);
    EXPECT_EQ(message.sequence, sequence);
    EXPECT_EQ(message.arrival, arrival);
    EXPECT_EQ(message.marker, all.element<std::uint8_t>(2, i) == 1);
    const auto size = [&](std::size_t field) { return std::size_t{all.element<std::uint32_t>(field, i)}; };
    const std::string_view whole = take(subjects, std::max({size(3), size(4) + size(5), size(6) + size(7)}));
    EXPECT_EQ(message.subject, whole.substr(0, size(3)));
    EXPECT_EQ(message.key, whole.substr(size(4), size(5)));
    EXPECT_EQ(message.field, whole.substr(size(6), size(7)));
    std::string lines;
    for (const auto& [name, value] : message.headers) lines.append(name).append(": ").append(value).append("\r\n");
    EXPECT_EQ(lines, take(headers, size(8)));
    EXPECT_EQ(message.refused, take(refusals, size(9)));
    EXPECT_EQ(message.payload, take(payloads, size(10)));
  }
  EXPECT_EQ(sequence, head.number<std::uint64_t>(2));
  EXPECT_EQ(arrival, head.number<std::int64_t>(12));
  EXPECT_EQ(subjects.size() + headers.size() + refusals.size() + payloads.size(), 0u);
}

TEST(RecordingFormat, is_what_its_page_says) {
  const std::string path = std::string{WEIR_SOURCE_DIR} + "/tests/recordings/version1.weir";
  std::ifstream in{path, std::ios::binary};
  const std::string bytes{std::istreambuf_iterator<char>{in}, {}};
  const auto file = recording::Reader::open(path);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  std::size_t blocks = 0, commits = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view frame = std::string_view{bytes}.substr(at);
    ASSERT_EQ(frame.substr(0, 4), "wrec") << at;
    const auto kind = number_at<std::uint32_t>(frame, 4);
    const std::size_t head_size = number_at<std::uint32_t>(frame, 8), body_size = number_at<std::uint32_t>(frame, 12);
    const std::string_view head_bytes = frame.substr(24, head_size), body = frame.substr(24 + head_size, body_size);
    EXPECT_EQ(number_at<std::uint64_t>(frame, 16),
              sum_by_the_page(std::string{frame.substr(0, 16)}.append(head_bytes)));
    const BareTable head{head_bytes};
    if (kind == 1) {
      EXPECT_EQ(at, 0u);
      EXPECT_EQ(head.number<std::uint32_t>(0, 1), 1u);
      EXPECT_EQ(head.text(1), file->beginning().made_by);
      EXPECT_EQ(head.number<std::int64_t>(2), file->beginning().made_at);
      EXPECT_EQ(head.text(3), file->beginning().pipeline);
      EXPECT_EQ(head.text(4), file->beginning().node);
      EXPECT_EQ(head.text(5), file->beginning().selection);
    } else if (kind == 2) {
      const recording::Block& block = file->blocks().at(blocks++);
      EXPECT_EQ(block.at, at);
      EXPECT_EQ(head.number<std::uint32_t>(0), block.partition);
      EXPECT_EQ(head.number<std::uint64_t>(6), block.samples);
      EXPECT_EQ(head.tables(7).size(), block.fields.size());
      const auto messages = file->read(block);
      ASSERT_TRUE(messages.has_value()) << messages.error().message;
      expect_same_messages(head, body, **messages);
    } else {
      ASSERT_EQ(kind, 3u);
      ++commits;
      for (const BareTable& lane : head.tables(0)) {
        const recording::Reached& reached = file->reached().at(lane.number<std::uint32_t>(0));
        EXPECT_EQ(lane.number<std::uint64_t>(1), reached.position);
        EXPECT_EQ(lane.number<std::int64_t>(2), reached.arrival);
        EXPECT_EQ(lane.text(3), reached.stream.stream);
        EXPECT_EQ(lane.number<std::int64_t>(4), reached.stream.created);
      }
    }
    at += 24 + head_size + body_size;
  }
  EXPECT_EQ(blocks, file->blocks().size());
  EXPECT_GT(blocks, 0u);
  EXPECT_GT(commits, 0u);
}

}  // namespace
}  // namespace weir
