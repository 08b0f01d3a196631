#include "clients/nats_subject.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <ranges>
#include <sstream>

#include <weir/format.hpp>
#include <weir/partition.hpp>

#include "text_tests/text_tests.hpp"

namespace weir::nats {
namespace {

SubjectPattern pattern(std::string_view text) { return SubjectPattern::parse(text).value(); }

using text_tests::Input;

/// The words of a step, of which there are `count`; what is missing is empty.
std::vector<std::string> words(const Input& in, char between, std::size_t count) {
  std::vector<std::string> out;
  for (const auto& word : std::views::split(in.argument, between)) out.emplace_back(word.begin(), word.end());
  out.resize(count);
  return out;
}

std::string matched(const Input& in) {
  const auto of = words(in, ' ', 2);
  std::string_view key, field;
  if (!pattern(of[0]).match(of[1], key, field)) return "no match";
  return std::string{key} + "/" + std::string{field};
}

std::string filter_of(const Input& in) {
  return pattern(in.text()).filter() + (pattern(in.text()).has_wildcard() ? ", a wildcard" : "");
}

std::string problem_of(const Input& in) {
  const auto parsed = SubjectPattern::parse(in.text());
  if (parsed) return "nothing";
  return weir::format("{}: {}: {}", parsed.error().setting, parsed.error().offset, parsed.error().message);
}

std::string expanded(const Input& in) {
  const auto of = words(in, ',', 3);
  return pattern(of[0]).expand(text_tests::with_bytes(of[1]), of[2]);
}

std::string mapping_of(const Input& in) {
  const auto mapping = pattern(in.text()).mapping(16);
  return mapping ? mapping->from + " > " + mapping->to : mapping.error().message;
}

std::string is_covered(const Input& in) {
  const auto of = words(in, ' ', 2);
  return covers(of[0], of[1]) ? "yes" : "no";
}

const bool nats_subject_tests = text_tests::add("operators/clients/nats_subject_test.txt", {{"match", matched},
                                                                                            {"filter", filter_of},
                                                                                            {"wrong", problem_of},
                                                                                            {"expand", expanded},
                                                                                            {"mapping", mapping_of},
                                                                                            {"covers", is_covered}});

TEST(Partition, isFnv1aModuloN) {
  EXPECT_EQ(partition_of("", 1u << 31), 2166136261u % (1u << 31));
  EXPECT_EQ(partition_of("a", 0xffffffffu), 0xe40c292cu);
  EXPECT_EQ(partition_of("foobar", 0xffffffffu), 0xbf9cf968u);
  EXPECT_EQ(partition_of("anything", 1), 0u);
}

// The firmware and nats-server are tested with the same lines.
TEST(Partition, agreesWithTheVectors) {
  std::ifstream in{WEIR_SOURCE_DIR "/schemas/partition_vectors.txt"};
  std::string line, key;
  std::uint32_t partitions = 0, partition = 0, lines = 0;
  while (std::getline(in, line)) {
    if (line.starts_with('#')) continue;
    ASSERT_TRUE(std::istringstream{line} >> key >> partitions >> partition) << line;
    EXPECT_EQ(partition_of(key, partitions), partition) << line;
    ++lines;
  }
  EXPECT_GT(lines, 90u);
}

}  // namespace
}  // namespace weir::nats
