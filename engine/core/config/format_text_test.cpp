#include "core/config/format_text.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "text_tests/text_tests.hpp"

namespace weir {
namespace {

std::string formatted(std::string_view text) {
  const Document document = read_text(text, "a.json");
  EXPECT_TRUE(document.findings.empty()) << text;
  return format_text(document);
}

/// What a text says, without its layout.
std::string meaning(const Value& of) {
  std::string out;
  for (const Comment& comment : of.comments.before) out += "<" + comment.text;
  for (const Comment& comment : of.comments.inside) out += "=" + comment.text;
  for (const Comment& comment : of.comments.after) out += ">" + comment.text;
  out += std::string{to_string(of.kind)} + " " + of.text + std::to_string(of.number);
  for (const Member& member : of.members) out += "\n" + member.key + ":" + meaning(member.value);
  for (const Value& item : of.items) out += "\n-" + meaning(item);
  return out + ".";
}

TEST(FormatText, ChangesNoMeaningAndNothingTheSecondTime) {
  std::vector<std::filesystem::path> files;
  for (const char* folder : {"pipelines", "operators", "tests/fuzz/corpus/pipeline_text"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator{folder}) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
  }
  std::size_t read = 0;
  for (const auto& file : files) {
    std::ifstream in{file, std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    const Document before = read_text(text, file.string());
    if (!before.findings.empty()) continue;
    ++read;
    const std::string once = format_text(before);
    const Document after = read_text(once, file.string());
    EXPECT_TRUE(after.findings.empty()) << file << "\n" << once;
    EXPECT_EQ(meaning(after.root), meaning(before.root)) << file;
    EXPECT_EQ(format_text(after), once) << file;
  }
  EXPECT_GE(read, 10u);
}

const bool format_text_tests =
    text_tests::add("engine/core/config/format_text_test.txt", {{"formatted", [](const auto& in) {
                                                                   const std::string out = formatted(in.text());
                                                                   EXPECT_EQ(formatted(out), out);
                                                                   EXPECT_TRUE(out.ends_with("\n")) << out;
                                                                   return out;
                                                                 }}});

}  // namespace
}  // namespace weir
